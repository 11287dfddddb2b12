//! The machine a table was made on, in one line.

use std::fs;

/// Processors, memory, kernel, and the commit that was measured.
pub(crate) fn describe() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(String::new, |kilobytes| {
            format!("{:.0} GiB, ", kilobytes / 1_048_576.0)
        });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = said_by("git", &["log", "-1", "--format=%h of %cs"]);
    let rustc = said_by("rustc", &["--version"]);
    format!(
        "Machine: {processors} x {model}, {memory}Linux {}; {rustc}; commit {commit}.\n",
        kernel.trim()
    )
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    std::process::Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(
            || format!("{program} unknown"),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
}
