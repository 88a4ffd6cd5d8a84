//! What storing costs and what asking takes: `make bench-storage`.
//!
//! Sends a corpus to a server on a fresh data directory, flushes, compacts, and tells how many bytes a span takes by table and by
//! column, beside what it must take at least. Then the questions that people ask, over SQL and over the API, with the
//! CPU time that the server used for them. Then the same rows and questions for ClickHouse and PostgreSQL.
//!
//! Parts:
//!
//! - [`options`]: what the environment asks for
//! - [`facts`]: what is in the corpus; [`renew`]: the corpus again, as later spans of other traces
//! - [`live`]: which files the tables' logs list; [`footprint`]: their bytes by column; [`floor`]: what those must be
//! - [`questions`]: what is asked; [`ask`]: of the server, with times
//! - [`rows`]: the corpus as rows for others; [`peers`]: what the others came to
//! - [`report`]: tables and JSON
//!
//! Invariants: the server and everyone else get the same spans, and every answer has as many rows as the corpus says or
//! as the others gave; else the bench fails. Bytes are those of live files, each in one row of the report.

mod ask;
mod facts;
mod floor;
mod footprint;
mod live;
mod options;
mod peers;
mod questions;
mod renew;
mod report;
mod rows;

use std::path::Path;

use anyhow::{Context, ensure};
use bench::corpus::{Corpus, Request};
use bench::sender;
use bench::server::Server;

use crate::facts::Facts;
use crate::footprint::Footprint;
use crate::options::Options;
use crate::questions::Questions;
use crate::renew::Renewal;
use crate::report::Report;

/// So many requests of a renewed corpus are in memory at a time.
const RENEWED_REQUESTS: usize = 64;

fn main() -> anyhow::Result<()> {
    let options = Options::from_environment(|name| std::env::var(name).ok())?;
    let folder = bench::options::target_folder()?.join("bench-storage");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let corpus = Corpus::load(&options.sending, &folder)?;
    let facts = Facts::of(corpus.requests.iter().map(|request| request.body.as_ref()))?;
    let copies = options.spans.div_ceil(corpus.spans).max(1);
    println!("server     {}", options.sending.server.display());
    println!("corpus     {corpus}, {copies} times");

    let data = tempfile::Builder::new().prefix("data-").tempdir_in(&folder).context("no folder for data")?;
    let server = Server::start(&options.sending.server, data.path(), &settings())?;
    let renewal = Renewal::of(&facts);
    for copy in (0..copies).rev() {
        send(&server, &options, &corpus, &renewal, copy)?;
    }
    server.flush()?;
    server.wait_for_rest()?;
    let spans = copies * corpus.spans;
    let counted = server.count("SELECT count(*) FROM spans")?;
    ensure!(counted == spans, "{spans} spans were sent, but SQL counts {counted}");

    let tables = data.path().join("tables");
    let flushed = Footprint::read(&tables, spans)?;
    println!("{}", report::sums("as flushed", &flushed));
    let before = server.usage()?;
    server.compact()?;
    server.wait_for_rest()?;
    let compacting = server.usage()?.since(&before);
    println!("{}", report::compaction(&compacting, spans));
    let counted = server.count("SELECT count(*) FROM spans")?;
    ensure!(counted == spans, "of {spans} spans SQL counts {counted} after the compaction");
    let footprint = Footprint::read(&tables, spans)?;
    print!("{}", report::storage(&footprint, &floor::floors(&facts)));
    let questions = Questions::draw(&facts, options.queries);
    let ours = ask::all(&server, &questions, &renewal, copies)?;
    println!("{}", report::trace_index(&server.metrics()?)?);
    server.stop()?;
    drop(data);

    let peers = if options.peers.is_empty() {
        peers::Outcome::default()
    } else {
        print!("{}", report::answers(&questions, &[&ours]));
        println!("the same of others: this takes minutes");
        peers::measure(&options, &folder, &corpus, &questions)?
    };
    let report = Report { options: &options, corpus: &corpus, footprint: &footprint, ours: &ours, peers: &peers };
    print!("{}", report.text(&questions));
    save(&options.output(&folder), &report.json(&questions, &floor::floors(&facts)).to_string())?;
    peers::agree(&ours, &peers.systems, copies)
}

/// Nothing is merged before the bench asks for it: what a compaction takes is told from the same files each time.
fn settings() -> [(&'static str, String); 1] {
    [("SPANHOUSE_COMPACTION_ENABLED", "false".to_owned())]
}

/// The corpus itself is the last and newest copy.
fn send(server: &Server, options: &Options, corpus: &Corpus, renewal: &Renewal, copy: u64) -> anyhow::Result<()> {
    let to = server.address("otlp-http")?;
    let send = |requests: &[Request]| {
        let sent = sender::send(to, options.sending.sending, requests)?;
        ensure!(sent.rejected_spans == 0, "the server rejected {} spans", sent.rejected_spans);
        Ok(())
    };
    if copy == 0 {
        return send(&corpus.requests);
    }
    for requests in corpus.requests.chunks(RENEWED_REQUESTS) {
        let renewed = requests.iter().map(|request| {
            let body = renewal.apply(&request.body, copy)?.into();
            Ok(Request { body, ..request.clone() })
        });
        send(&renewed.collect::<anyhow::Result<Vec<_>>>()?)?;
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("raw values in {}", path.display());
    Ok(())
}
