//! Spans whose id another span of their trace has.
//!
//! A client that was not answered in time sends its spans again, perhaps in other batches. What came that way is the same
//! in all it says and is taken once. Zipkin's client and server share an id and differ otherwise: both stay.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::content;
use crate::model::{SpanBatch, SpanId};
use crate::rows::SpanRef;

/// How many spans of a trace had the id of an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SameIds {
    /// They said the same as an earlier one and were left out.
    pub repeated: u64,
    /// They said something else and stayed.
    pub conflicting: u64,
}

impl std::ops::AddAssign for SameIds {
    fn add_assign(&mut self, other: Self) {
        self.repeated += other.repeated;
        self.conflicting += other.conflicting;
    }
}

/// Leaves out of a trace's spans those that an earlier one repeats. Linear in what the spans with equal ids say, however
/// many have the same id.
pub(super) fn leave_out(batches: &[Arc<SpanBatch>], spans: &mut Vec<SpanRef>) -> SameIds {
    let id = |span: &SpanRef| batches[span.batch as usize].heads()[span.row as usize].span_id;
    let mut counts: HashMap<SpanId, u32> = HashMap::new();
    spans.iter().for_each(|span| *counts.entry(id(span)).or_default() += 1);

    let mut same_ids = SameIds::default();
    let mut met: HashMap<SpanId, HashTable<(u64, SpanRef)>> = HashMap::new();
    // Clients choose what spans say, so they must not know where its hash falls.
    let hasher = DefaultHashBuilder::default();
    let mut content = Vec::new();
    let mut earlier = Vec::new();
    spans.retain(|span| {
        let id = id(span);
        if counts.get(&id).is_none_or(|count| *count == 1) {
            return true;
        }
        content::write(batches, *span, &mut content);
        let hash = hasher.hash_one(&content);
        let variants = met.entry(id).or_default();
        let says_the_same = |(known, span): &(u64, SpanRef)| {
            *known == hash && {
                content::write(batches, *span, &mut earlier);
                earlier == content
            }
        };
        if variants.find(hash, says_the_same).is_some() {
            same_ids.repeated += 1;
            return false;
        }
        same_ids.conflicting += u64::from(!variants.is_empty());
        variants.insert_unique(hash, (hash, *span), |(hash, _)| *hash);
        true
    });
    same_ids
}
