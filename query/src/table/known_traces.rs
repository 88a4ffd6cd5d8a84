//! The index of traces behind the tables: asked when a query names traces, and brought up to date beside it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::ObjectStore;
use storage::model::TraceId;
use storage::schema::Table;
use storage::trace_index::{self, Found, TraceIndex, TraceIndexStatus};
use storage::{Segment, Snapshot};
use tokio::runtime::Handle;

/// Shared by all sessions.
#[derive(Debug)]
pub(crate) struct KnownTraces {
    index: TraceIndex,
    store: Arc<dyn ObjectStore>,
    /// One reads, however many ask.
    is_reading: AtomicBool,
    /// Whether a query has named a trace: before, nothing is read for the index.
    is_wanted: AtomicBool,
    is_off: bool,
}

impl KnownTraces {
    pub(crate) fn new(max_bytes: usize, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            index: TraceIndex::new(max_bytes),
            store,
            is_reading: AtomicBool::default(),
            is_wanted: AtomicBool::default(),
            is_off: max_bytes == 0,
        }
    }

    pub(super) fn find(&self, segment: &Segment, traces: &HashSet<TraceId>) -> Found {
        self.is_wanted.store(true, Ordering::Relaxed);
        self.index.find(segment, traces)
    }

    pub(crate) fn status(&self) -> TraceIndexStatus {
        self.index.status()
    }

    /// Reads what is not known of the snapshot's segments, away from the async threads; returns at once. Until then
    /// these segments are searched.
    pub(crate) fn follow(self: &Arc<Self>, snapshot: &Snapshot) {
        if self.is_off || !self.is_wanted.load(Ordering::Relaxed) || self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let unknown = self.unknown(snapshot);
        let Ok(runtime) = Handle::try_current() else {
            self.is_reading.store(false, Ordering::Release);
            return;
        };
        if unknown.is_empty() {
            self.is_reading.store(false, Ordering::Release);
            return;
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _done = Reading(&this.is_reading);
            runtime.block_on(this.read(unknown));
        });
    }

    /// The same, and waits for it, unless it is being done already.
    pub(crate) async fn read_all(&self, snapshot: &Snapshot) {
        self.is_wanted.store(true, Ordering::Relaxed);
        if self.is_off || self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let _done = Reading(&self.is_reading);
        self.read(self.unknown(snapshot)).await;
    }

    fn unknown(&self, snapshot: &Snapshot) -> Vec<Arc<Segment>> {
        let tables = [Table::Traces, Table::Spans].into_iter();
        self.index.unknown(tables.flat_map(|table| &snapshot.table(table).segments))
    }

    /// The newest segments come first. Once one finds no room the older ones are not read: a store may be far larger than what
    /// is kept of it.
    async fn read(&self, segments: Vec<Arc<Segment>>) {
        let mut has_room = true;
        for segment in segments {
            if !has_room {
                self.index.insert(&segment, None);
                continue;
            }
            match trace_index::read(&segment, Arc::clone(&self.store)).await {
                Ok(None) => {
                    self.index.insert(&segment, None);
                }
                Ok(rows) => has_room = self.index.insert(&segment, rows),
                // Queries that need the segment say what is wrong with it; one that has just been removed is nobody's.
                Err(error) => {
                    tracing::debug!(%error, segment = %segment.location, "a segment's traces could not be read");
                }
            }
        }
    }
}

/// Ends the reading also where it panics.
struct Reading<'r>(&'r AtomicBool);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
