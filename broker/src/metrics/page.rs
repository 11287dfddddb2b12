//! What `/metrics` shows: what is recorded, and what is collected from the topics.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Recorder, TopicCounts, topics};

/// Counts what is by topic, anew at each call.
pub(crate) type Count = Arc<dyn Fn() -> Vec<TopicCounts> + Send + Sync>;

/// The page. Rendering runs where blocking is allowed, one at a time.
pub(crate) struct Page {
    recorder: Option<Recorder>,
    count: Count,
    series_max: usize,
    /// The last render, and when it began.
    last: Mutex<Option<(Instant, String)>>,
}

impl Page {
    pub(crate) fn new(recorder: Option<Recorder>, count: Count, series_max: usize) -> Self {
        Self {
            recorder,
            count,
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
        let (count, recorder, series_max) = (
            Arc::clone(&self.count),
            self.recorder.clone(),
            self.series_max,
        );
        let rendered = tokio::task::spawn_blocking(move || {
            // Collected first: what it counts is in what is recorded.
            let collected = topics::render(count(), series_max);
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
