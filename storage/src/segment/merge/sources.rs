//! Where the rows of a leaf come from.

use super::column::Column;
use super::input::Input;
use super::order::{Group, Run};
use super::overrides::Override;

/// A file's leaf, from the row on that is the group's first.
#[derive(Clone, Copy)]
pub(super) struct Source<'i> {
    pub input: &'i Input,
    /// `None` where the file has not the leaf.
    pub leaf: Option<usize>,
    pub first_row: u64,
}

/// A leaf of a row group that is to be written.
pub(super) struct Leaf<'g> {
    pub column: &'g Column,
    pub group: &'g Group,
    pub overrides: &'g [(usize, Override)],
    pub sources: Vec<Source<'g>>,
    /// By input, where several have their rows in one source.
    source_of: Vec<usize>,
}

impl<'g> Leaf<'g> {
    /// Each input is a source.
    pub fn new(column: &'g Column, inputs: &'g [Input], group: &'g Group, overrides: &'g [(usize, Override)]) -> Self {
        let source = |(input, first_row): (&'g Input, &u64)| {
            let leaf = input.leaf(column.leaf);
            Source { input, leaf, first_row: *first_row }
        };
        let sources: Vec<_> = inputs.iter().zip(&group.first_rows).map(source).collect();
        Self { column, group, overrides, source_of: (0..sources.len()).collect(), sources }
    }

    /// Lets the rows of some inputs come from `file` instead, which has them alone, in their order here.
    pub fn redirect(&mut self, file: &'g Input, is_there: impl Fn(usize) -> bool) {
        let source = self.sources.len();
        self.sources.push(Source { input: file, leaf: file.leaf(0), first_row: 0 });
        let inputs = self.source_of.iter_mut().enumerate().filter(|(input, _)| is_there(*input));
        inputs.for_each(|(_, of_input)| *of_input = source);
    }

    pub fn source_of(&self, run: Run) -> usize {
        self.source_of.get(run.input()).copied().unwrap_or_default()
    }

    /// The source in which rows that are gone are still there, to be passed. A file that stands for inputs never got them.
    pub fn passed_in(&self, run: Run) -> Option<usize> {
        let source = self.source_of(run);
        (source == run.input()).then_some(source)
    }
}
