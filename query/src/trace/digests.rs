//! What the digests of a trace say together. There is one, and another whenever spans came of which nothing was remembered any more.

use std::cmp::Reverse;

use crate::error::Result;
use crate::rows::Rows;

/// So many are read at most.
pub(super) const MAX_DIGESTS: usize = 16;

pub(super) struct Digests {
    /// The one that tells of the trace, the first by start of those that were kept, or of all if none was; no row if there is none.
    pub(super) shown: Rows,
    /// Spans that they say were stored; `None` if there is none, or more than were read.
    pub(super) counted: Option<u64>,
}

impl Digests {
    pub(super) fn new(rows: Rows, truncated: bool) -> Result<Self> {
        let (kept, counts, starts) = (rows.bool("kept")?, rows.int("span_count")?, rows.starts()?);
        let order = |row: &usize| (!kept.value(*row), starts[*row], Reverse(counts.value(*row)));
        let Some(first) = (0..rows.count()).min_by_key(order) else {
            return Ok(Self { shown: rows, counted: None });
        };
        let mut stored = (0..rows.count()).filter(|row| kept.value(*row)).map(|row| counts.value(row));
        let sum = stored.try_fold(0_u64, |sum, count| sum.checked_add(u64::try_from(count).ok()?));
        Ok(Self { shown: rows.only(first), counted: sum.filter(|_| !truncated) })
    }
}
