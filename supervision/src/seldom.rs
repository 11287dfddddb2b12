//! Lines of the log that a peer or a sick disk could repeat without end: one line a kind and ten seconds, with the count of
//! those left out. A kind is a place in the code, for the whole process. The first is told at once; what was left out is
//! told with the next one, or, where none comes, when the ten seconds are over, by a thread that is there for that long.
//! How often such a thing happens altogether is a counter's business.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::seldom::{Kind, Verdict};

#[doc(hidden)]
pub use tracing;

/// How often it is looked for windows that are over.
const LOOK: Duration = Duration::from_secs(1);

/// Writes a line as `tracing`'s macro of that level does, but at most one a ten seconds from here; see the module
/// [`seldom`](mod@crate::seldom). `left_out` is the count of those that were not written since the last one.
///
/// ```
/// # let error = "no space left on device";
/// callboard_supervision::seldom!(warn, %error, "append failed");
/// ```
#[macro_export]
macro_rules! seldom {
    ($level:ident, $($line:tt)+) => {{
        static PLACE: $crate::seldom::Place = $crate::seldom::Place::new(|left_out| {
            $crate::seldom::tracing::$level!(
                left_out,
                concat!("there was more of the same from ", file!(), ":", line!())
            );
        });
        if let Some(left_out) = PLACE.comes() {
            $crate::seldom::tracing::$level!(left_out, $($line)+);
        }
    }};
}

/// One place in the code; made by [`seldom!`](crate::seldom!).
#[doc(hidden)]
#[derive(Debug)]
pub struct Place {
    kind: Mutex<Kind>,
    summary: fn(u64),
}

impl Place {
    #[must_use]
    pub const fn new(summary: fn(u64)) -> Self {
        Self {
            kind: Mutex::new(Kind::new()),
            summary,
        }
    }

    /// Whether this one is told: then how many were left out before it, None for none.
    pub fn comes(&'static self) -> Option<Option<u64>> {
        let verdict = self.lock().comes(now());
        match verdict {
            Verdict::Told { left_out } => Some((left_out > 0).then_some(left_out)),
            Verdict::LeftOut { first } => {
                if first {
                    remember(self);
                }
                None
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kind> {
        self.kind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places that have left out something; whoever puts in the first starts the thread that looks at them.
static WAITING: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

fn remember(place: &'static Place) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.iter().any(|known| std::ptr::eq(*known, place)) {
        return;
    }
    waiting.push(place);
    if waiting.len() == 1 {
        // Without it the count is told with the next line of that place.
        let started = std::thread::Builder::new().name("seldom".to_owned());
        if started.spawn(look).is_err() {
            waiting.clear();
        }
    }
}

fn look() {
    loop {
        std::thread::sleep(LOOK);
        let mut over = Vec::new();
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|place| {
            let mut kind = place.lock();
            if let Some(left_out) = kind.looked_at(now()) {
                over.push((*place, left_out));
            }
            kind.is_counting()
        });
        let ends = waiting.is_empty();
        drop(waiting);
        for (place, left_out) in over {
            (place.summary)(left_out);
        }
        if ends {
            return;
        }
    }
}

/// Since the first look at the clock; real time, whatever a test's clock does.
#[allow(
    clippy::disallowed_methods,
    reason = "lines are read by people, in their time"
)]
fn now() -> Duration {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::span;

    use super::*;
    use crate::testing::Limit;

    /// Keeps lines as text.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Text<'a>(&'a mut String);

    impl tracing::field::Visit for Text<'_> {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut line = event.metadata().level().to_string();
            line.push(' ');
            event.record(&mut Text(&mut line));
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn of_a_thousand_lines_of_a_kind_the_first_is_told_and_then_their_count() {
        let _limit = Limit::start();
        let lines = Lines::default();
        // The count comes from the thread that looks, so for the whole program.
        tracing::subscriber::set_global_default(lines.clone()).unwrap();
        for number in 0..1_000 {
            crate::seldom!(warn, number, "it failed");
        }
        let told = || lines.0.lock().unwrap().clone();
        // Of this place: another kind is told at once.
        crate::seldom!(error, "something else failed");
        assert_eq!(
            told(),
            [
                "WARN message=it failed number=0 ",
                "ERROR message=something else failed "
            ]
        );
        // Ten seconds later, without another one.
        while told().len() == 2 {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(told()[2].starts_with(
            "WARN message=there was more of the same from supervision/src/seldom.rs:"
        ));
        assert!(told()[2].ends_with("left_out=999 "), "{:?}", told()[2]);
    }
}
