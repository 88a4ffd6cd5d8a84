//! Ranges of rows, ascending and apart: what two have in common.

use std::ops::Range;

/// Ranges that pages are compared with, page after page.
pub(super) struct Overlaps<'r>(pub(super) &'r [Range<usize>]);

impl Overlaps<'_> {
    /// How many of a page's rows are in the ranges; pages come ascending.
    pub(super) fn count(&mut self, rows: &Range<usize>) -> usize {
        let passed = self.0.partition_point(|range| range.end <= rows.start);
        self.0 = self.0.get(passed..).unwrap_or_default();
        let there = self.0.iter().take_while(|range| range.start < rows.end);
        there.map(|range| overlap(range, rows).len()).sum()
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// The rows that are in both, each ascending.
pub(super) fn overlaps(ones: &[Range<usize>], others: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut ones, mut others) = (ones.iter().peekable(), others.iter().peekable());
    let mut both = Vec::new();
    while let (Some(one), Some(other)) = (ones.peek(), others.peek()) {
        let rows = overlap(one, other);
        let one_ends = one.end <= other.end;
        if !rows.is_empty() {
            both.push(rows);
        }
        if one_ends {
            ones.next();
        } else {
            others.next();
        }
    }
    both
}
