//! `spanhouse import`: sends files of OTLP requests to a server.
//!
//! - [`sources`]: which files; [`requests`]: the requests in them, as they go over the wire
//! - [`wire`]: counts and shifts spans inside a protobuf request without decoding it
//! - [`report`]: progress, and what went wrong
//!
//! Protobuf files go out byte for byte, compressed as they are. A refused request is named and the rest goes on; a server
//! that is gone ends the import. Requests start in the order of the files; `--parallel` are under way at once.

mod report;
mod requests;
mod sources;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use demo::send::{Accepted, Client, Config, Endpoint, Retry, Transport};
use storage::{Clock, SystemClock};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use report::Report;
use requests::{Prepared, prepare};
use sources::Source;

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Files of OTLP trace requests, or folders of them: .pb (one request), .json (one or more), .jsonl (one a line), each
    /// also with .gz or .zst
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where the server takes OTLP over HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    to: String,

    /// How many requests are under way at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,

    /// Move all times by the same amount, so that the newest span ends now
    #[arg(long)]
    shift_to_now: bool,
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that is restarted comes back within this.
const PATIENCE: Duration = Duration::from_secs(90);

pub async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let endpoint = Endpoint::parse(&args.to, Transport::Http)?;
    let sources = Arc::new(sources::find(&args.files)?);
    let client = connect(endpoint).await?;
    let shift_nanos = match args.shift_to_now {
        true => Some(shift_to_now(Arc::clone(&sources)).await?),
        false => None,
    };
    let mut report = Report::new(sources.iter().map(|source| source.bytes).sum());
    let gone = send_all(&client, sources, shift_nanos, usize::from(args.parallel), &mut report).await;
    report.finish();
    match (gone, report.failed()) {
        (Some(error), _) => Err(error),
        (None, 0) => Ok(()),
        (None, failed) => bail!("{failed} of {} requests failed", report.requests()),
    }
}

/// Fails at once when nobody listens, instead of after all the tries of the first request.
async fn connect(endpoint: Endpoint) -> anyhow::Result<Client> {
    let reason = match timeout(PROBE_TIMEOUT, TcpStream::connect(endpoint.authority())).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {PROBE_TIMEOUT:?}")),
    };
    if let Some(reason) = reason {
        bail!("no server at {endpoint}: {reason}; start one with `spanhouse serve`, or name another with --to URL");
    }
    let retry = Retry { max_tries: 1_000, max_elapsed: PATIENCE, ..Retry::default() };
    let config = Config { timeout: REQUEST_TIMEOUT, retry, jitter_seed: u64::from(std::process::id()) };
    Ok(Client::new(endpoint, config))
}

async fn shift_to_now(sources: Arc<Vec<Source>>) -> anyhow::Result<i64> {
    let newest = tokio::task::spawn_blocking(move || requests::newest_end_unix_nanos(&sources)).await??;
    let newest = newest.context("--shift-to-now: no span with a time in these files")?;
    Ok(SystemClock.now().0.saturating_sub(i64::try_from(newest).unwrap_or(i64::MAX)))
}

/// `Some` when the import had to end early.
async fn send_all(
    client: &Client,
    sources: Arc<Vec<Source>>,
    shift_nanos: Option<i64>,
    parallel: usize,
    report: &mut Report,
) -> Option<anyhow::Error> {
    let (queue, mut prepared) = mpsc::channel(parallel);
    let reader = tokio::task::spawn_blocking(move || {
        for source in sources.iter() {
            let went_on = prepare(source, shift_nanos, &mut |request| queue.blocking_send(request).is_ok());
            if !went_on {
                break;
            }
        }
    });
    let mut under_way = JoinSet::new();
    let mut gone = None;
    let mut is_read = false;
    while !is_read || !under_way.is_empty() {
        tokio::select! {
            Some(outcome) = under_way.join_next() => {
                if let Err(error) = note(outcome, report) {
                    gone.get_or_insert(error);
                    is_read = true;
                }
            }
            request = prepared.recv(), if !is_read && under_way.len() < parallel => match request {
                Some(Ok(request)) => {
                    let client = client.clone();
                    under_way.spawn(async move {
                        let outcome = client.send_payload(&request.payload).await;
                        (request, outcome)
                    });
                }
                Some(Err(broken)) => report.failed_request(&broken.name, &broken.error),
                None => is_read = true,
            },
        }
    }
    drop(prepared);
    if let Err(error) = reader.await {
        gone.get_or_insert(anyhow::Error::from(error));
    }
    gone
}

/// An error ends the import: what comes after would fail like this one.
fn note(
    outcome: Result<(Prepared, Result<Accepted, demo::Error>), JoinError>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (request, outcome) = outcome?;
    match outcome {
        Ok(accepted) => report.accepted(&request, &accepted),
        Err(error) => {
            report.failed_request(&request.name, &error);
            if error.is_retryable() {
                bail!("ended early, since the server takes no more");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
