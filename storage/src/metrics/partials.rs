//! Rows by window and names, that grow and can be looked at meanwhile.
//!
//! Rows lie in chunks that a frozen view shares. Whoever adds to a row of a shared chunk copies the chunk first, so a view
//! costs a reference a chunk, and a change as much as it touches.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use hashbrown::HashTable;

use super::batch::hash_of;
use super::{BatchCounts, Bucket, Buckets, Totals};
use crate::model::{SpanBatch, UnixNanos};

const CHUNK_ROWS: usize = 128;

/// Some texts in one.
#[derive(Debug, Clone)]
pub(super) struct Names<const N: usize> {
    text: Arc<str>,
    ends: [u32; N],
}

impl<const N: usize> Names<N> {
    fn new(names: [&[u8]; N]) -> Self {
        let mut text = String::with_capacity(names.iter().map(|name| name.len()).sum());
        let ends = names.map(|name| {
            // Texts of a batch are UTF-8, and bounded far below 32 bits.
            text.push_str(std::str::from_utf8(name).unwrap_or_default());
            text.len() as u32
        });
        Self { text: Arc::from(text), ends }
    }

    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..self.ends[at] as usize).unwrap_or_default()
    }

    fn are(&self, names: [&[u8]; N]) -> bool {
        names.iter().enumerate().all(|(at, name)| self.get(at).as_bytes() == *name)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Row<const N: usize> {
    pub window: UnixNanos,
    pub names: Names<N>,
    pub totals: Totals,
    pub buckets: Buckets,
}

/// Rows by window and `N` names.
#[derive(Debug)]
pub struct Partials<const N: usize> {
    /// Each but the last is full.
    chunks: Vec<Arc<Vec<Row<N>>>>,
    /// Hashes, and where their rows are.
    places: HashTable<(u64, u32)>,
    bytes: usize,
    /// Of what is here now.
    frozen: Option<Arc<Frozen<N>>>,
}

impl<const N: usize> Default for Partials<N> {
    fn default() -> Self {
        Self { chunks: Vec::new(), places: HashTable::new(), bytes: 0, frozen: None }
    }
}

impl<const N: usize> Partials<N> {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// About as much as it takes.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Where the row of these names is, made if it is new. `hash` is that of [`hash_of`].
    fn place_hashed(&mut self, hash: u64, window: UnixNanos, names: [&[u8]; N]) -> usize {
        let Self { chunks, places, bytes, .. } = self;
        let is_it = |(known, place): &(u64, u32)| {
            let row = &chunks[*place as usize / CHUNK_ROWS][*place as usize % CHUNK_ROWS];
            *known == hash && row.window == window && row.names.are(names)
        };
        if let Some((_, place)) = places.find(hash, is_it) {
            return *place as usize;
        }
        let row = Row { window, names: Names::new(names), totals: Totals::NOTHING, buckets: Buckets::default() };
        *bytes += size_of::<Row<N>>() + size_of::<(u64, u32)>() + row.names.text.len();
        let place = places.len();
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ROWS => Arc::make_mut(last).push(row),
            _ => chunks.push(Arc::new(vec![row])),
        }
        places.insert_unique(hash, (hash, place as u32), |(hash, _)| *hash);
        place
    }

    /// Where the row of these names is, made if it is new. It stays there.
    pub(super) fn place(&mut self, window: UnixNanos, names: [&[u8]; N]) -> usize {
        self.frozen = None;
        self.place_hashed(hash_of(window, names), window, names)
    }

    /// Adds to the row at `place`. `buckets` must be in order.
    pub(super) fn merge(&mut self, place: usize, totals: &Totals, buckets: &[Bucket]) {
        self.frozen = None;
        let row = &mut Arc::make_mut(&mut self.chunks[place / CHUNK_ROWS])[place % CHUNK_ROWS];
        row.totals.merge(totals);
        self.bytes += row.buckets.merge(buckets) * size_of::<Bucket>();
    }

    /// What is here now. The same view as before where nothing has changed.
    pub fn freeze(&mut self) -> Arc<Frozen<N>> {
        let frozen = self.view();
        self.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// The same, not remembered where it is a new one.
    pub fn view(&self) -> Arc<Frozen<N>> {
        let new = || Arc::new(Frozen { chunks: self.chunks.clone(), row_count: self.len(), columns: OnceLock::new() });
        self.frozen.clone().unwrap_or_else(new)
    }
}

impl Partials<4> {
    /// Adds what was counted of `batch`.
    pub fn add(&mut self, batch: &SpanBatch, counts: &BatchCounts) {
        let texts = batch.texts();
        for (row, buckets) in counts.rows() {
            let place = self.place_hashed(row.hash, row.window, row.names.map(|name| texts.bytes(name)));
            self.merge(place, &row.totals, buckets);
        }
    }
}

/// Rows that change no more.
#[derive(Debug)]
pub struct Frozen<const N: usize> {
    chunks: Vec<Arc<Vec<Row<N>>>>,
    row_count: usize,
    pub(super) columns: OnceLock<RecordBatch>,
}

impl<const N: usize> Frozen<N> {
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row<N>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}
