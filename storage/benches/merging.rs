//! What merging segments costs a row: `cargo bench -p storage --bench merging -- [--left] TABLE OUT FILE...`.
//!
//! TABLE is a table's name, FILEs are segments of it and of one date. Prints CPU time and bytes a row that is written, and the
//! most memory that the process had. With `--left`, traces whose spans lie in several files are left as they are: then files
//! may be given several times, to see what memory follows.

use std::fs::File;
use std::time::Duration;

use storage::schema::Table;
use storage::{MergeInput, MergeLimits, merge};

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn most_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (options, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut limits = MergeLimits::default();
    if options.iter().any(|option| option == "--left") {
        limits.rederived_rows = 0;
    }
    let mut arguments = arguments.into_iter();
    let (Some(name), Some(out)) = (arguments.next(), arguments.next()) else {
        println!("nothing to merge: -- TABLE OUT FILE...");
        return Ok(());
    };
    let table = Table::ALL.into_iter().find(|table| table.name() == name).ok_or("there is no such table")?;
    let mut inputs = Vec::new();
    let mut bytes_before = 0;
    for name in arguments {
        let file = File::open(&name)?;
        bytes_before += file.metadata()?.len();
        inputs.push(MergeInput { name, file });
    }
    let count = inputs.len();
    let before = cpu_time();
    let report = merge(table, inputs, File::create(out)?, &limits)?;
    let taken = cpu_time() - before;
    let rows = report.rows.max(1) as f64;
    println!(
        "{count} segments, {} rows: {:.0} ns of CPU a row, {:.2} s",
        report.rows,
        taken.as_nanos() as f64 / rows,
        taken.as_secs_f64()
    );
    println!("{:.2} bytes a row before, {:.2} after", bytes_before as f64 / rows, report.bytes as f64 / rows);
    println!("{} traces derived again, {} left", report.rederived_traces, report.left_traces);
    println!("at most {} of memory", most_memory());
    Ok(())
}
