//! What `/metrics` shows: what is recorded, and what is collected from the topics.

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Recorder, topics};
use crate::topics::Topics;

/// The page. Rendering runs where blocking is allowed, one at a time.
pub(crate) struct Page {
    recorder: Option<Recorder>,
    topics: Topics,
    series_max: usize,
    /// The last render, and when it began.
    last: Mutex<Option<(Instant, String)>>,
}

impl Page {
    pub(crate) fn new(recorder: Option<Recorder>, topics: Topics, series_max: usize) -> Self {
        Self {
            recorder,
            topics,
            series_max,
            last: Mutex::new(None),
        }
    }

    /// The page as it is now. Scrapes at the same time share a render: one that began after they came.
    pub(crate) async fn scrape(&self) -> String {
        let came = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((began, text)) = &*last
            && *began > came
        {
            return text.clone();
        }
        let began = Instant::now();
        let (topics, recorder, series_max) = (
            self.topics.snapshot(),
            self.recorder.clone(),
            self.series_max,
        );
        let rendered = tokio::task::spawn_blocking(move || {
            // Collected first: what it counts is in what is recorded.
            let collected = topics::render(&topics, series_max);
            let mut text = recorder.as_ref().map(Recorder::render).unwrap_or_default();
            text.push_str(&collected);
            text
        });
        // A panic of the recorder's leaves an empty page, and the next scrape tries again.
        let text = rendered.await.unwrap_or_default();
        *last = Some((began, text.clone()));
        text
    }
}
