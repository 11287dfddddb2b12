//! The assignor at the command line: `cargo run --example simulate -- --members 3 --topics orders:12`.

fn main() -> std::process::ExitCode {
    callboard_assignor_simulate::main([lag_weighted::LagWeighted])
}
