//! `make bench-sampling`, and `make bench-sampling-quick` for CI.

use anyhow::bail;
use bench_sampling::options::Options;
use bench_sampling::{bench, report};

fn main() -> anyhow::Result<()> {
    let options = Options::from_environment(|name| std::env::var(name).ok())?;
    let runs = bench::run(&options)?;
    print!("{}", report::table(&runs));
    println!("{}", report::json(&options, &runs));
    for missed in report::missed_on_recorded(&runs) {
        println!("missed on recorded traces: {missed}");
    }
    let missed = report::missed(&runs);
    if options.quick && !missed.is_empty() {
        bail!("missed: {}", missed.join(", "));
    }
    Ok(())
}
