//! What ingest costs: `make bench-ingest`.
//!
//! Starts a server on a fresh data directory, sends it a corpus over loopback with a sender that costs little CPU, and
//! reads from `/proc` what the server used. Two phases, each on a server of its own, in alternation:
//!
//! - **buffer**: nothing is decided or flushed, which leaves accept, WAL and decode
//! - **segments**: default settings, then a flush, up to the last commit and until the server rests
//!
//! Parts:
//!
//! - the library: options, corpus, sender, server, and what it used
//! - [`device`]: what the device itself takes for a sync of the same size
//! - [`phase`]: one run of one phase; [`report`]: the table and the JSON line
//!
//! Invariants: every run counts its spans in the server afterwards, and ends the bench if one is missing or doubled. What
//! is printed is a median with all its raw values. Units end the names of figures.

mod device;
mod phase;
mod report;

use anyhow::Context;
use bench::corpus::Corpus;
use bench::options::{self, Options};

use crate::phase::{Bench, Phase};

fn main() -> anyhow::Result<()> {
    let options = Options::from_environment(|name| std::env::var(name).ok())?;
    let folder = options::target_folder()?.join("bench-ingest");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    println!("server     {}", options.server.display());
    let corpus = Corpus::load(&options, &folder)?;
    println!("corpus     {corpus}");
    println!("sender     {}", options.sending);
    let mut bench = Bench::new(&options, &corpus, &folder)?;
    println!("buffer     {}", bench.buffer_note());

    let mut runs = Vec::new();
    for number in 1..=options.runs {
        for phase in [Phase::Buffer, Phase::Segments] {
            let run = bench.run(phase).with_context(|| format!("run {number} to the {}", phase.name()))?;
            println!("run {number}      {}", report::line(phase, &run));
            runs.push((phase, run));
        }
    }
    print!("{}", report::table(&runs));
    println!("{}", report::json(&options, &corpus, &runs));
    Ok(())
}
