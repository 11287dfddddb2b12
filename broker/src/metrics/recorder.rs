//! The Prometheus recorder as this workspace's histograms want it. A library never installs one: whoever does owns its
//! upkeep, without which it keeps every sample of every histogram.

use std::time::Duration;

use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::{BUCKETS, describe};

/// Until upkeep the histograms keep every sample: a few hundred thousand requests a second leave tens of megabytes in five
/// seconds.
const UPKEEP: Duration = Duration::from_millis(500);

/// Names of histograms and the bounds of their buckets.
pub type Buckets = &'static [(&'static str, &'static [f64])];

/// The process's Prometheus recorder, installed by [`install`]. Clones are the same recorder.
#[derive(Clone, Debug)]
pub struct Recorder(PrometheusHandle);

/// Installs a Prometheus recorder for the process, with the buckets of `more` crates beside those of a broker, so that its
/// histograms of a consumer or a producer are histograms as well. Call it before anything that counts is started: what
/// is made earlier counts into nothing. None where the process has a recorder already: then that one has the metrics.
///
/// The caller owns its upkeep: spawn [`Recorder::upkeep`], also if nobody ever reads it.
#[must_use = "its upkeep is the caller's"]
pub fn install(more: &[Buckets]) -> Option<Recorder> {
    let recorder = build(more)?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe();
    Some(Recorder(handle))
}

fn build(more: &[Buckets]) -> Option<PrometheusRecorder> {
    let mut builder = PrometheusBuilder::new();
    let own = [
        BUCKETS,
        crate::compute::metrics::BUCKETS,
        callboard_coordinator::metrics::BUCKETS,
        callboard_offsets::metrics::BUCKETS,
        callboard_supervision::metrics::BUCKETS,
    ];
    for (name, bounds) in own.iter().chain(more).copied().flatten() {
        // Refused only for an empty list of bounds; a histogram without buckets would show as a summary.
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
            .ok()?;
    }
    Some(builder.build_recorder())
}

impl Recorder {
    /// Everything recorded, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Drains the samples of histograms into their buckets, twice a second. Never ends: it is a task of whoever installed
    /// the recorder.
    pub async fn upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}
