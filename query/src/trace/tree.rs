//! The order of a trace's spans, made without recursion: a trace may be 100,000 spans deep.
//!
//! Ids come from clients, so parents may be missing, a span id may occur twice, and parents may form a circle. Every row
//! is placed exactly once: one whose parent is missing is a root here, children of a doubled id go to its first row, and
//! a circle is opened at its first row.

use std::collections::HashMap;

use arrow::array::{Array, BinaryViewArray};

/// A row and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) row: usize,
    /// Place of the parent in the order; `None` at a root.
    pub(super) parent: Option<usize>,
    pub(super) depth: u32,
    /// Place of the last descendant; the own place at a leaf.
    pub(super) last_descendant: usize,
}

#[derive(Debug)]
pub(super) struct Tree {
    order: Vec<Placed>,
    /// Rows without a parent id.
    true_roots: Vec<bool>,
    missing_parents: usize,
    circles: usize,
}

impl Tree {
    /// The rows come sorted as siblings shall be.
    pub(super) fn new(spans: &BinaryViewArray, parents: &BinaryViewArray) -> Self {
        let rows = spans.len();
        let mut first: HashMap<&[u8], usize> = HashMap::with_capacity(rows);
        for row in (0..rows).rev() {
            first.insert(spans.value(row), row);
        }
        let parent_of = |row: usize| -> Option<usize> {
            parents
                .is_valid(row)
                .then(|| first.get(parents.value(row)).copied())
                .flatten()
                .filter(|parent| *parent != row)
        };
        let parent: Vec<Option<usize>> = (0..rows).map(parent_of).collect();
        let true_roots: Vec<bool> = (0..rows).map(|row| parents.is_null(row)).collect();
        let missing_parents = (0..rows).filter(|row| !true_roots[*row] && parent[*row].is_none()).count();
        let mut tree = Self { order: Vec::with_capacity(rows), true_roots, missing_parents, circles: 0 };
        let children = Children::new(&parent);
        let mut placed = vec![false; rows];
        for root in (0..rows).filter(|row| parent[*row].is_none()) {
            tree.place(root, &children, &mut placed);
        }
        for row in 0..rows {
            if !placed[row] {
                tree.circles += 1;
                tree.place(row, &children, &mut placed);
            }
        }
        tree
    }

    /// Places a root and all below it.
    fn place(&mut self, root: usize, children: &Children, placed: &mut [bool]) {
        // Each open span with the children that are still to come.
        let mut open: Vec<(usize, usize)> = Vec::new();
        self.push(root, None, 0);
        placed[root] = true;
        open.push((self.order.len() - 1, 0));
        while let Some((place, next)) = open.last_mut() {
            let here = *place;
            match children.of(self.order[here].row).get(*next) {
                Some(child) => {
                    *next += 1;
                    if !placed[*child] {
                        placed[*child] = true;
                        let depth = self.order[here].depth.saturating_add(1);
                        self.push(*child, Some(here), depth);
                        open.push((self.order.len() - 1, 0));
                    }
                }
                None => {
                    self.order[here].last_descendant = self.order.len() - 1;
                    open.pop();
                }
            }
        }
    }

    fn push(&mut self, row: usize, parent: Option<usize>, depth: u32) {
        let last_descendant = self.order.len();
        self.order.push(Placed { row, parent, depth, last_descendant });
    }

    pub(super) fn order(&self) -> &[Placed] {
        &self.order
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        0..self.true_roots.len()
    }

    pub(super) fn is_true_root(&self, row: usize) -> bool {
        self.true_roots[row]
    }

    pub(super) fn missing_parents(&self) -> usize {
        self.missing_parents
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing_parents == 0 && self.circles == 0 && self.true_roots.iter().filter(|root| **root).count() == 1
    }
}

/// The children of every row, in the rows' order, in two arrays.
struct Children {
    ends: Vec<usize>,
    rows: Vec<usize>,
}

impl Children {
    fn new(parent: &[Option<usize>]) -> Self {
        let mut ends = vec![0; parent.len() + 1];
        for parent in parent.iter().flatten() {
            ends[parent + 1] += 1;
        }
        for index in 1..ends.len() {
            ends[index] += ends[index - 1];
        }
        let mut next = ends.clone();
        let mut rows = vec![0; ends.last().copied().unwrap_or_default()];
        for (row, parent) in parent.iter().enumerate() {
            if let Some(parent) = parent {
                rows[next[*parent]] = row;
                next[*parent] += 1;
            }
        }
        Self { ends, rows }
    }

    fn of(&self, row: usize) -> &[usize] {
        &self.rows[self.ends[row]..self.ends[row + 1]]
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::BinaryViewArray;

    use super::*;

    /// `spans` are (id, parent) with parent 0 for none; gives (id, depth, parent's place, last descendant).
    fn check(spans: &[(u8, u8)], expected: &[(u8, u32, i64, usize)], missing: usize, complete: bool) {
        let ids: Vec<[u8; 1]> = spans.iter().map(|(id, _)| [*id]).collect();
        let parents: Vec<Option<[u8; 1]>> =
            spans.iter().map(|(_, parent)| (*parent > 0).then_some([*parent])).collect();
        let tree = Tree::new(&BinaryViewArray::from_iter_values(&ids), &BinaryViewArray::from_iter(&parents));
        let got: Vec<_> = tree
            .order()
            .iter()
            .map(|placed| {
                let parent = placed.parent.map_or(-1, |parent| parent as i64);
                (spans[placed.row].0, placed.depth, parent, placed.last_descendant)
            })
            .collect();
        assert_eq!(got, expected, "{spans:?}");
        assert_eq!(tree.missing_parents(), missing, "{spans:?}");
        assert_eq!(tree.is_complete(), complete, "{spans:?}");
    }

    #[test]
    fn every_row_is_placed_once_whatever_the_parents_are() {
        check(&[], &[], 0, false);
        check(&[(1, 0), (2, 1), (3, 2), (4, 1)], &[(1, 0, -1, 3), (2, 1, 0, 2), (3, 2, 1, 2), (4, 1, 0, 3)], 0, true);
        check(&[(2, 1), (1, 0)], &[(1, 0, -1, 1), (2, 1, 0, 1)], 0, true);
        // A missing parent.
        check(&[(1, 0), (2, 9), (3, 2)], &[(1, 0, -1, 0), (2, 0, -1, 2), (3, 1, 1, 2)], 1, false);
        // The same id twice: both stay, the child goes to the first.
        check(&[(1, 0), (2, 1), (2, 1), (3, 2)], &[(1, 0, -1, 3), (2, 1, 0, 2), (3, 2, 1, 2), (2, 1, 0, 3)], 0, true);
        // Its own parent.
        check(&[(1, 1)], &[(1, 0, -1, 0)], 1, false);
        // A circle beside a tree.
        check(&[(1, 0), (2, 3), (3, 2), (4, 3)], &[(1, 0, -1, 0), (2, 0, -1, 3), (3, 1, 1, 3), (4, 2, 2, 3)], 0, false);
        // Two roots.
        check(&[(1, 0), (2, 0)], &[(1, 0, -1, 0), (2, 0, -1, 1)], 0, false);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_spans_needs_no_stack() {
        let rows = 100_000_u32;
        let ids: Vec<[u8; 4]> = (0..rows).map(u32::to_be_bytes).collect();
        let parents: Vec<Option<[u8; 4]>> = (0..rows).map(|row| row.checked_sub(1).map(u32::to_be_bytes)).collect();
        let tree = Tree::new(&BinaryViewArray::from_iter_values(&ids), &BinaryViewArray::from_iter(&parents));
        assert_eq!(tree.order().last().map(|placed| placed.depth), Some(rows - 1));
        assert!(tree.order().iter().all(|placed| placed.last_descendant == rows as usize - 1));
    }
}
