//! Progress on long work, for a person: drawn on stderr, and only while stdout is a terminal,
//! so that a pipe or a log never sees it.

use std::fmt::Write;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar over `total` rows; hidden when nobody watches.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    styled(Some(total), "{msg:>10} {wide_bar} {human_pos}/{human_len}").with_message(what)
}

/// A bar over `total` bytes; hidden when nobody watches.
pub(crate) fn bytes(total: u64, what: &'static str) -> ProgressBar {
    styled(
        Some(total),
        "{msg:>10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )
    .with_message(what)
}

/// A counter for work of unknown length; hidden when nobody watches.
pub(crate) fn counter(what: &'static str) -> ProgressBar {
    styled(None, "{msg:>10} {spinner} {human_pos} {rate}").with_message(what)
}

fn styled(total: Option<u64>, template: &str) -> ProgressBar {
    let target = if std::io::stdout().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(total, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        // Whole numbers; the built-in rate has four decimals.
        bar.set_style(
            style.with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
                let _ = write!(text, "{:.0}/s", state.per_sec());
            }),
        );
    }
    bar
}
