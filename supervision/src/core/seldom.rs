//! When a line that can be repeated is told. Times are durations since any moment of the caller's.

use std::time::Duration;

/// For so long after a line of a kind further ones are counted and not told.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug, Default)]
pub(crate) struct Kind {
    /// The end of the window that runs, and lines left out in it.
    window: Option<(Duration, u64)>,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is told, with the count of those that were left out before it and of which nobody was told.
    Told { left_out: u64 },
    /// It is only counted. The first of a window has somebody called when the window ends.
    LeftOut { first: bool },
}

impl Kind {
    /// None was told yet.
    pub(crate) const fn new() -> Self {
        Self { window: None }
    }

    /// A line comes.
    pub(crate) fn comes(&mut self, now: Duration) -> Verdict {
        match &mut self.window {
            Some((end, left_out)) if now < *end => {
                *left_out += 1;
                let first = *left_out == 1;
                Verdict::LeftOut { first }
            }
            window => {
                let before = window.replace((now.saturating_add(WINDOW), 0));
                let left_out = before.map_or(0, |(_, left_out)| left_out);
                Verdict::Told { left_out }
            }
        }
    }

    /// Whether some were left out of which nobody was told.
    pub(crate) fn is_counting(&self) -> bool {
        self.window.is_some_and(|(_, left_out)| left_out > 0)
    }

    /// How many were left out, if the window is over and nobody was told of them. The kind begins anew then: telling this
    /// is a line as well, and opens the next window where there was any.
    pub(crate) fn looked_at(&mut self, now: Duration) -> Option<u64> {
        let (end, left_out) = self.window?;
        if now < end {
            return None;
        }
        self.window = (left_out > 0).then(|| (now.saturating_add(WINDOW), 0));
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_are_counted() {
        let mut kind = Kind::new();
        assert_eq!(kind.comes(at(5)), Verdict::Told { left_out: 0 });
        assert_eq!(kind.comes(at(5)), Verdict::LeftOut { first: true });
        assert_eq!(kind.comes(at(10_004)), Verdict::LeftOut { first: false });
        assert_eq!(kind.comes(at(10_005)), Verdict::Told { left_out: 2 });
    }

    #[test]
    fn what_was_left_out_is_told_when_none_comes_any_more() {
        let mut kind = Kind::new();
        assert_eq!(kind.looked_at(at(0)), None);
        kind.comes(at(0));
        kind.comes(at(1));
        assert_eq!(kind.looked_at(at(9_999)), None);
        assert_eq!(kind.looked_at(at(10_000)), Some(1));
        // Told by nobody else again.
        assert_eq!(kind.looked_at(at(30_000)), None);
        assert_eq!(kind.comes(at(30_000)), Verdict::Told { left_out: 0 });
    }

    #[test]
    fn a_flood_is_a_line_a_window() {
        let mut kind = Kind::new();
        let (mut lines, mut counted) = (0, 0);
        for ms in 0..60_000 {
            if let Verdict::Told { left_out } = kind.comes(at(ms)) {
                lines += 1;
                counted += left_out + 1;
            }
            if let Some(left_out) = kind.looked_at(at(ms)) {
                lines += 1;
                counted += left_out;
            }
        }
        assert_eq!(lines, 6);
        // The last window still runs.
        assert_eq!(counted, 50_001);
    }
}
