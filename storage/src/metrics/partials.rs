//! Rows by window and names, that grow and can be looked at meanwhile.
//!
//! Whoever stores a request waits for this, so nothing is looked up here: counts of requests are put beside each other as they
//! are. Once there are some, they are merged into one by a sort, which is cheaper than a search for each row and keeps the
//! counts of many small requests few. Windows and names may occur several times in a view; a flush merges everything.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;

use super::Counts;
use super::merged::merged;

/// As many counts are merged at once: a millisecond of work for large requests.
const MERGED_PARTS: usize = 64;

/// Rows by window and `N` names.
#[derive(Debug)]
pub struct Partials<const N: usize> {
    merged: Vec<Arc<Counts<N>>>,
    recent: Vec<Arc<Counts<N>>>,
    row_count: usize,
    bytes: usize,
    /// Of what is here now.
    frozen: Option<Arc<Frozen<N>>>,
}

impl<const N: usize> Default for Partials<N> {
    fn default() -> Self {
        Self { merged: Vec::new(), recent: Vec::new(), row_count: 0, bytes: 0, frozen: None }
    }
}

impl<const N: usize> Partials<N> {
    pub fn len(&self) -> usize {
        self.row_count
    }

    pub fn is_empty(&self) -> bool {
        self.row_count == 0
    }

    /// About as much as it takes.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, counts: Counts<N>) {
        if counts.is_empty() {
            return;
        }
        self.frozen = None;
        self.row_count += counts.len();
        self.bytes += counts.size_bytes();
        self.recent.push(Arc::new(counts));
        if self.recent.len() == MERGED_PARTS {
            let merged = merged(&self.recent);
            self.row_count += merged.len();
            self.bytes += merged.size_bytes();
            for part in self.recent.drain(..) {
                self.row_count -= part.len();
                self.bytes -= part.size_bytes();
            }
            self.merged.push(Arc::new(merged));
        }
    }

    /// What is here now. The same view as before where nothing has changed.
    pub fn freeze(&mut self) -> Arc<Frozen<N>> {
        let frozen = self.view();
        self.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// The same, not remembered where it is a new one.
    pub fn view(&self) -> Arc<Frozen<N>> {
        let parts = || self.merged.iter().chain(&self.recent).cloned().collect();
        let new = || Arc::new(Frozen { parts: parts(), row_count: self.row_count, columns: OnceLock::new() });
        self.frozen.clone().unwrap_or_else(new)
    }
}

/// Rows that change no more.
#[derive(Debug)]
pub struct Frozen<const N: usize> {
    parts: Vec<Arc<Counts<N>>>,
    row_count: usize,
    pub(super) columns: OnceLock<RecordBatch>,
}

impl<const N: usize> Frozen<N> {
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    pub(super) fn parts(&self) -> &[Arc<Counts<N>>] {
        &self.parts
    }

    /// The same with each window and names once, in order of names.
    pub fn merged(&self) -> Self {
        let merged = merged(&self.parts);
        Self { row_count: merged.len(), parts: vec![Arc::new(merged)], columns: OnceLock::new() }
    }
}
