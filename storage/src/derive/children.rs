//! Children of every span of a trace, in one allocation: no vector a span.

#[derive(Debug, Default)]
pub(super) struct Children {
    starts: Vec<usize>,
    next: Vec<usize>,
    rows: Vec<usize>,
}

impl Children {
    pub fn fill(&mut self, parents: &[Option<usize>]) {
        let Self { starts, next, rows } = self;
        starts.clear();
        starts.resize(parents.len() + 1, 0);
        for &parent in parents.iter().flatten() {
            starts[parent + 1] += 1;
        }
        for index in 0..parents.len() {
            starts[index + 1] += starts[index];
        }
        next.clone_from(starts);
        rows.clear();
        rows.resize(starts[parents.len()], 0);
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = *parent {
                rows[next[parent]] = index;
                next[parent] += 1;
            }
        }
    }

    pub fn of(&self, index: usize) -> &[usize] {
        &self.rows[self.starts[index]..self.starts[index + 1]]
    }

    /// The same, to be put in another order.
    pub fn of_mut(&mut self, index: usize) -> &mut [usize] {
        &mut self.rows[self.starts[index]..self.starts[index + 1]]
    }
}
