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
//! - [`options`]: what the environment asks for
//! - [`corpus`]: the requests, encoded and compressed before anything is measured
//! - [`sender`] over [`http`] or [`grpc`]: sends them, and times each acknowledgement
//! - [`server`]: a server as a process; [`proc`]: what it used
//! - [`device`]: what the device itself takes for a sync of the same size
//! - [`phase`]: one run of one phase; [`figures`]: what it came to; [`report`]: the table and the JSON line
//!
//! Invariants: every run counts its spans in the server afterwards, and ends the bench if one is missing or doubled. What
//! is printed is a median with all its raw values. Units end the names of figures.

mod corpus;
mod device;
mod figures;
mod grpc;
mod http;
mod options;
mod phase;
mod proc;
mod report;
mod sender;
mod server;

use anyhow::Context;

use crate::corpus::Corpus;
use crate::options::Options;
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
