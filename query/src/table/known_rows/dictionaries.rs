//! Dictionaries of segments that were read before: a search for twenty rows needs a handful of values, and would decompress all
//! trace ids of a segment each time.

use std::sync::Arc;

use object_store::path::Path;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::picked::Dictionary;

/// A dictionary is about as large, for how many there may be.
const USUAL_BYTES: usize = 16 << 10;

/// Which column of which file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OfColumn {
    pub(super) location: Path,
    pub(super) group: usize,
    pub(super) leaf: usize,
}

/// As many as a budget allows; shared by all queries. Segments never change, and what is gone is not asked for.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    known: Cache<OfColumn, Arc<Dictionary>, Bytes>,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<OfColumn, Arc<Dictionary>> for Bytes {
    fn weight(&self, of: &OfColumn, dictionary: &Arc<Dictionary>) -> u64 {
        (size_of::<OfColumn>() + of.location.as_ref().len() + dictionary.size_bytes()) as u64
    }
}

impl Dictionaries {
    /// Fails if the budget cannot be kept.
    pub(crate) fn new(max_bytes: usize) -> Result<Self, String> {
        let options = OptionsBuilder::new()
            // One dictionary may take much of the budget, which shards would divide.
            .shards(1)
            .estimated_items_capacity((max_bytes / USUAL_BYTES).max(1))
            .weight_capacity(max_bytes as u64)
            .build();
        let options = options.map_err(|error| error.to_string())?;
        let known = Cache::with_options(options, Bytes, DefaultHashBuilder::default(), Default::default());
        Ok(Self { known })
    }

    pub(super) fn get(&self, of: &OfColumn) -> Option<Arc<Dictionary>> {
        self.known.get(of)
    }

    pub(super) fn insert(&self, of: OfColumn, dictionary: Arc<Dictionary>) {
        self.known.insert(of, dictionary);
    }

    /// Bytes of memory that they take.
    pub(crate) fn size_bytes(&self) -> usize {
        usize::try_from(self.known.weight()).unwrap_or(usize::MAX)
    }
}
