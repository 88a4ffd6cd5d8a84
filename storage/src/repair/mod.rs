//! Names damage in a data directory's WAL, and cuts it out so that the store opens again.
//!
//! - `fold`: what was pending and what was decided at each hole.
//! - `plan`: what to put in the holes, so that whole spans are neither lost nor doubled. Pure.
//! - `stored`: which of those spans the tables have.
//! - this file: in order, under the directory's lock.
//!
//! # Exactly once
//!
//! A hole may have swallowed decisions and seals of epochs that the tables have. Replay would then take those epochs'
//! spans, whose requests are whole, for undecided or unflushed, and store them again. The log alone cannot tell; the
//! tables can. So decisions and a seal that have the same effect are put in the hole. Of epochs that the tables do not
//! have nothing is needed: lost decisions are taken again, and a lost seal only makes two epochs one.

mod fold;
mod plan;
mod stored;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lock::DirectoryLock;
use crate::model::UnixNanos;
use crate::recovery::DataDirectory;
use crate::request::Decoder;
use crate::wal::{self, Decision, Found, Hole, LocalDisk, Record};
use crate::{Error, Result};
use fold::Fold;
use plan::Mending;

/// `keep_reason` of decisions that stand for lost ones. They concern stored spans alone, so no table ever shows it.
const REASON: &str = "repair";

/// A data directory's WAL, looked through. No server can start as long as this lives.
#[derive(Debug)]
pub struct Inspection {
    directory: DataDirectory,
    decoder: Arc<dyn Decoder>,
    pub damage: Vec<Hole>,
    /// Whole records.
    pub records: u64,
    mending: Vec<Mending>,
    _lock: DirectoryLock,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Where the files' old bytes are.
    pub kept_in: PathBuf,
    pub files: Vec<String>,
}

/// Looks for damage. Changes nothing.
pub async fn inspect(directory: &Path, decoder: Arc<dyn Decoder>) -> Result<Inspection> {
    let found = DataDirectory::new(directory);
    if !found.wal().is_dir() {
        return Err(Error::Read {
            what: format!("data directory {}", directory.display()),
            source: "no server has ever written to it".into(),
        });
    }
    let lock = DirectoryLock::exclusive(directory)?;
    let tables = stored::Tables::open(&found).await?;
    let committed = tables.committed_epoch();
    let (walked, decoder) = {
        let directory = found.clone();
        tokio::task::spawn_blocking(move || walk(&directory, &*decoder, committed).map(|walked| (walked, decoder)))
            .await
            .map_err(|_| Error::Closed)??
    };
    let Walked { fold, damage, records } = walked;
    let events = fold.events;
    let mending = tokio::task::spawn_blocking(move || {
        let stored = tables.which(plan::questions(&events))?;
        Ok::<_, Error>(plan::plan(&events, committed, |span| stored.contains(span)))
    })
    .await
    .map_err(|_| Error::Closed)??;
    Ok(Inspection { directory: found, decoder, damage, records, mending, _lock: lock })
}

struct Walked {
    fold: Fold,
    damage: Vec<Hole>,
    records: u64,
}

fn walk(directory: &DataDirectory, decoder: &dyn Decoder, committed: u64) -> Result<Walked> {
    let disk = LocalDisk::existing(directory.wal());
    let mut walked = Walked { fold: Fold::new(committed), damage: Vec::new(), records: 0 };
    wal::salvage(&disk, &|record| decodes(decoder, record), |found| match found {
        Found::Hole(hole) => {
            walked.fold.hole(hole.records());
            walked.damage.push(hole);
        }
        Found::Record(_, record) => {
            walked.records += 1;
            match record {
                // What does not decode was told to be a hole.
                Record::Request(request) => walked.fold.request(spans(decoder, &request).unwrap_or_default()),
                Record::Decisions(decisions) => walked.fold.decide(&decisions),
                Record::Seal { epoch } => walked.fold.seal(epoch),
            }
        }
    })?;
    Ok(walked)
}

fn decodes(decoder: &dyn Decoder, record: &Record) -> Result<(), String> {
    match record {
        Record::Request(request) => {
            spans(decoder, request).map(drop).map_err(|error| format!("its request cannot be decoded: {error}"))
        }
        _ => Ok(()),
    }
}

fn spans(
    decoder: &dyn Decoder,
    request: &crate::Request,
) -> Result<Vec<plan::Span>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(stored::spans_of(&decoder.decode(request)?))
}

impl Inspection {
    /// Cuts the damage out. The files' old bytes go to a folder named after `now`.
    pub fn cut(self, now: UnixNanos) -> Result<Repaired> {
        let folder = format!("damaged-{}", now.0.div_euclid(1_000_000_000));
        let disk = LocalDisk::open(self.directory.wal())
            .map_err(|source| Error::Write { what: "the WAL directory".to_owned(), source })?;
        let mut mending = self.mending.into_iter();
        let decoder = self.decoder;
        let files = wal::cut(&disk, &|record| decodes(&*decoder, record), &folder, |_| {
            // Holes come in the order of the inspection, under the same lock.
            mending.next().map(records).unwrap_or_default()
        })?;
        Ok(Repaired { kept_in: self.directory.wal().join(folder), files })
    }
}

fn records(mending: Mending) -> Vec<Record> {
    let decisions: Vec<Decision> = mending
        .decisions
        .into_iter()
        .map(|trace_id| Decision {
            adjusted_count: None,
            head_count: None,
            keep_reason: REASON.into(),
            ..Decision::keep_all(trace_id)
        })
        .collect();
    let decisions = (!decisions.is_empty()).then_some(Record::Decisions(decisions));
    decisions.into_iter().chain(mending.seal.map(|epoch| Record::Seal { epoch })).collect()
}

#[cfg(test)]
mod tests;
