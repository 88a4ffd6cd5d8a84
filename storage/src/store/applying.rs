//! Appends and decisions: durable first, then applied in the log's order by one thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::committing::with_causes;
use super::{Shared, Store, lock};
use crate::metrics::BatchCounts;
use crate::model::{SpanBatch, UnixNanos};
use crate::repeats::Seen;
use crate::request::{Appended, Request};
use crate::wal::{Decision, Durable, Record};
use crate::{Error, Result};

/// What a durable record does to memory, and whom to tell.
#[derive(Debug)]
pub(super) enum Effect {
    Insert {
        arrival: UnixNanos,
        batch: Box<SpanBatch>,
        counts: BatchCounts,
        bytes: usize,
        hash: u128,
        done: oneshot::Sender<Result<()>>,
    },
    Decide {
        decisions: Vec<Decision>,
        done: oneshot::Sender<Result<()>>,
    },
    Seal {
        epoch: u64,
        done: oneshot::Sender<Result<()>>,
    },
}

impl Store {
    /// Stores a request. Returns once it is durable and its spans are visible to queries.
    pub async fn append(&self, request: Request, batch: SpanBatch) -> Result<Appended> {
        let shared = &self.shared;
        let hash = request.content_hash;
        let in_flight = match lock(&shared.repeats).begin(hash, request.arrival) {
            Seen::New => None,
            Seen::Stored => return Ok(Appended::Duplicate),
            Seen::InFlight(outcome) => Some(outcome),
        };
        if let Some(mut outcome) = in_flight {
            let stored = outcome.wait_for(Option::is_some).await.is_ok_and(|stored| *stored == Some(true));
            return if stored {
                Ok(Appended::Duplicate)
            } else {
                Err(Error::Busy("the same request is being stored; send it again".to_owned()))
            };
        }
        let (done, wait) = oneshot::channel();
        let arrival = request.arrival;
        let counts = BatchCounts::of(&batch);
        let bytes = batch.size_bytes() + counts.size_bytes();
        let queued = shared.take_room(bytes).and_then(|()| {
            let effect = Effect::Insert { arrival, batch: Box::new(batch), counts, bytes, hash, done };
            shared.wal.append(Record::Request(request), effect).inspect_err(|_| shared.give_back_room(bytes))
        });
        if let Err(error) = queued {
            lock(&shared.repeats).failed(hash);
            return Err(error);
        }
        shared.outcome(wait).await.map(|()| Appended::Stored)
    }

    /// Makes decisions durable and moves the named traces out of pending.
    pub async fn decide(&self, decisions: Vec<Decision>) -> Result<()> {
        let (done, wait) = oneshot::channel();
        self.shared.wal.append(Record::Decisions(decisions.clone()), Effect::Decide { decisions, done })?;
        self.shared.outcome(wait).await
    }
}

impl Shared {
    /// Reserves memory for a batch on its way to be applied, and refuses if that is too much with what is there.
    fn take_room(&self, bytes: usize) -> Result<()> {
        let under_way = self.under_way_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = lock(&self.memory).bytes().saturating_add(under_way);
        // A request that is larger than all that is allowed must still get through an empty store.
        if taken > 0 && taken.saturating_add(bytes) > self.config.memory_bytes {
            self.give_back_room(bytes);
            // Whatever is decided can go at once.
            self.due.notify_one();
            let why = match &self.progress.borrow().failure {
                Some((_, why)) => format!(", since the last flush failed: {why}"),
                None => String::new(),
            };
            return Err(Error::Busy(format!("{taken} bytes of spans wait to become segments{why}")));
        }
        Ok(())
    }

    fn give_back_room(&self, bytes: usize) {
        self.under_way_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Applies durable records in order: the only writer of memory but for commits.
    pub(super) fn apply_groups(&self, groups: &mpsc::Receiver<Result<Vec<Durable<Effect>>>>) {
        while let Ok(group) = groups.recv() {
            match group {
                Ok(group) => {
                    if !group.into_iter().all(|durable| self.apply(durable)) {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(error = with_causes(&error), "the WAL failed; nothing more is accepted");
                    self.failed.send_replace(Some(Arc::new(error)));
                    break;
                }
            }
        }
    }

    /// Whether memory is what the log says, and can be used on.
    fn apply(&self, Durable { lsn, payload }: Durable<Effect>) -> bool {
        // Whoever asked may be gone; the record counts all the same.
        match payload {
            Effect::Insert { arrival, batch, counts, bytes, hash, done } => {
                let has_many_metrics = {
                    let mut memory = lock(&self.memory);
                    memory.insert(lsn, self.clock.now(), arrival, *batch, counts);
                    memory.open.metric_rows() >= self.config.metric_rows
                };
                if has_many_metrics {
                    self.due.notify_one();
                }
                self.give_back_room(bytes);
                lock(&self.repeats).stored(hash, arrival);
                let _ = done.send(Ok(()));
            }
            Effect::Decide { decisions, done } => {
                let decided = lock(&self.memory).decide(lsn, self.clock.now(), &decisions);
                match decided {
                    Ok(same_ids) => *lock(&self.same_ids) += same_ids,
                    Err(error) => {
                        // The log is right and memory is not; a restart reads the log.
                        tracing::error!(error = %error, "decided traces could not be derived; nothing more is accepted");
                        self.failed.send_replace(Some(Arc::new(error)));
                        return false;
                    }
                }
                if self.is_due() {
                    self.due.notify_one();
                }
                let _ = done.send(Ok(()));
            }
            Effect::Seal { epoch, done } => {
                lock(&self.memory).seal(lsn, epoch);
                self.sealed.notify_one();
                let _ = done.send(Ok(()));
            }
        }
        true
    }
}
