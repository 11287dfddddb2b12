//! What a process takes: processor time and memory, as Linux tells them under `/proc`. Client and servers are processes
//! apart, so their figures are too.

use std::fs;
use std::time::Duration;

use crate::error::{BenchError, Doing};

/// The kernel tells processor time of a whole process in hundredths of a second (USER_HZ is 100 on every platform of
/// Rust's), its two parts rounded down.
const TICK: Duration = Duration::from_millis(10);

/// A process by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

/// Processor time that was taken up to a moment; nothing at the start of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Of all threads that live, exact.
    threads: Duration,
    /// Of all threads that ever lived, coarse.
    process: Duration,
}

impl Cpu {
    /// What was taken since an earlier moment: the exact figure, unless threads ended and took theirs along.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let coarse = self.process.saturating_sub(earlier.process);
        let exact = self.threads.saturating_sub(earlier.threads);
        exact.max(coarse.saturating_sub(2 * TICK))
    }
}

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// Processor time up to now.
    pub(crate) fn cpu(self) -> Result<Cpu, BenchError> {
        let mut threads = Duration::ZERO;
        let folder = format!("/proc/{}/task", self.0);
        for task in fs::read_dir(&folder).doing(|| format!("reading {folder}"))? {
            // A thread may end while we look.
            let Ok(task) = task else { continue };
            let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            let nanos = stat.split(' ').next().and_then(|text| text.parse().ok());
            threads += Duration::from_nanos(nanos.unwrap_or(0));
        }
        let stat = self.file("stat")?;
        // The name stands in parentheses and may hold anything; what follows is in columns.
        let ticks: u32 = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|text| text.parse::<u32>().ok())
            .sum();
        Ok(Cpu {
            threads,
            process: TICK * ticks,
        })
    }

    /// How often its threads that live gave the processor away to wait for something.
    pub(crate) fn voluntary_switches(self) -> Result<f64, BenchError> {
        let folder = format!("/proc/{}/task", self.0);
        let mut switches = 0.0;
        for task in fs::read_dir(&folder).doing(|| format!("reading {folder}"))? {
            // A thread may end while we look.
            let Ok(task) = task else { continue };
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let found = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                .and_then(|text| text.trim().parse::<f64>().ok());
            switches += found.unwrap_or(0.0);
        }
        Ok(switches)
    }

    /// Memory it holds now, in MB.
    pub(crate) fn resident_mb(self) -> Result<f64, BenchError> {
        self.memory_mb("VmRSS:")
    }

    /// The most memory it has held, in MB.
    pub(crate) fn peak_mb(self) -> Result<f64, BenchError> {
        self.memory_mb("VmHWM:")
    }

    fn memory_mb(self, field: &str) -> Result<f64, BenchError> {
        let status = self.file("status")?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|text| text.parse::<f64>().ok())
            .ok_or_else(|| BenchError::Server(format!("process {} has ended", self.0)))?;
        Ok(kilobytes * 1_024.0 / 1e6)
    }

    fn file(self, name: &str) -> Result<String, BenchError> {
        let path = format!("/proc/{}/{name}", self.0);
        fs::read_to_string(&path).doing(|| format!("reading {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_takes() {
        let before = Process::own().cpu().unwrap();
        let mut sum = 0u64;
        for number in 0..20_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31) ^ number);
        }
        let taken = Process::own().cpu().unwrap().since(before);
        assert!(taken > Duration::from_millis(1), "{taken:?} for {sum}");
        let resident = Process::own().resident_mb().unwrap();
        assert!(resident > 0.5, "{resident}");
        assert!(Process::own().peak_mb().unwrap() > 0.5);
        let switches = Process::own().voluntary_switches().unwrap();
        std::thread::sleep(Duration::from_millis(1));
        assert!(Process::own().voluntary_switches().unwrap() > switches);
    }
}
