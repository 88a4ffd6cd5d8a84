//! Ends flush epochs: by size, by age, and on demand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::applying::Effect;
use super::{Shared, Store, lock};
use crate::wal::Record;
use crate::{Error, Result};

/// What one flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    pub epoch: u64,
    pub spans: u64,
    pub traces: u64,
    pub segments: usize,
    pub elapsed: Duration,
}

impl Store {
    /// Makes all decided spans segments now, and waits for it.
    pub async fn flush(&self) -> Result<FlushReport> {
        let start = Instant::now();
        let shared = &self.shared;
        let sealed = shared.seal().await?;
        let wanted = match &sealed {
            Some(report) => report.epoch,
            // Nothing new; whatever is being flushed still counts as memory.
            None => lock(&shared.memory).sealed.back().map_or(0, |epoch| epoch.number),
        };
        let mut progress = shared.progress.subscribe();
        let reached = progress
            .wait_for(|progress| {
                progress.committed >= wanted || progress.failure.as_ref().is_some_and(|(epoch, _)| *epoch <= wanted)
            })
            .await
            .map_err(|_| Error::Closed)?
            .clone();
        if reached.committed < wanted {
            let why = reached.failure.map_or_else(String::new, |(_, why)| why);
            return Err(Error::Busy(format!("flush epoch {wanted} is not in segments yet: {why}")));
        }
        let report = sealed.unwrap_or_default();
        Ok(FlushReport {
            segments: if report.epoch > 0 { reached.segments } else { 0 },
            elapsed: start.elapsed(),
            ..report
        })
    }
}

impl Shared {
    /// Seals the open epoch; `None` if it is empty.
    pub(super) async fn seal(self: &Arc<Self>) -> Result<Option<FlushReport>> {
        let shared = Arc::clone(self);
        // A caller that leaves must not free the epoch's number before its seal is applied: a second seal of the same
        // number would take the next epoch's spans with it.
        tokio::spawn(async move { shared.seal_to_the_end().await }).await.unwrap_or(Err(Error::Closed))
    }

    async fn seal_to_the_end(&self) -> Result<Option<FlushReport>> {
        let _one_at_a_time = self.sealing.lock().await;
        let report = {
            let memory = lock(&self.memory);
            if memory.open.is_empty() {
                return Ok(None);
            }
            FlushReport {
                epoch: memory.open.number,
                spans: memory.open.span_count as u64,
                traces: memory.open.traces.iter().map(|rows| rows.num_rows() as u64).sum(),
                ..FlushReport::default()
            }
        };
        let (done, wait) = oneshot::channel();
        self.wal.append(Record::Seal { epoch: report.epoch }, Effect::Seal { epoch: report.epoch, done })?;
        self.outcome(wait).await?;
        Ok(Some(report))
    }

    pub(super) fn is_due(&self) -> bool {
        let memory = lock(&self.memory);
        let age = i64::try_from(self.config.flush_age.as_nanos()).unwrap_or(i64::MAX);
        let is_full = memory.bytes() >= self.config.memory_bytes - self.config.memory_bytes / 8;
        memory.open.size_bytes() >= self.config.flush_bytes
            || memory.open.metric_rows() >= self.config.metric_rows
            // More small segments are better than refused requests.
            || (is_full && memory.sealed.is_empty() && memory.open.has_decided())
            || memory.open.since.is_some_and(|since| self.clock.now().since(since) >= age)
    }
}

/// Seals the open epoch whenever its size or age says so.
pub(super) async fn seal_when_due(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.due.notified() => {}
        }
        if shared.is_due() && matches!(shared.seal().await, Err(Error::Closed)) {
            return;
        }
    }
}
