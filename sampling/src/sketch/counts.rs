//! Counters as narrow as the largest of them allows: most sketches never need more than one or two bytes a bucket.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    bytes: Vec<u8>,
    /// Bytes of a counter: 1, 2, 4 or 8.
    width: usize,
}

impl Counts {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), width: 1 }
    }

    fn zeros(len: usize, width: usize) -> Self {
        Self { bytes: vec![0; len.saturating_mul(width)], width }
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    pub fn get(&self, at: usize) -> u64 {
        let start = at.saturating_mul(self.width);
        let mut value = [0; 8];
        if let Some(bytes) = self.bytes.get(start..start.saturating_add(self.width)) {
            value[..self.width].copy_from_slice(bytes);
        }
        u64::from_le_bytes(value)
    }

    pub fn add(&mut self, at: usize, n: u64) {
        let value = self.get(at).saturating_add(n);
        if self.width < 8 && value >> (8 * self.width) != 0 {
            let mut wider = Self::zeros(self.len(), self.width * 2);
            for (from, to) in self.bytes.chunks_exact(self.width).zip(wider.bytes.chunks_exact_mut(self.width * 2)) {
                to[..self.width].copy_from_slice(from);
            }
            *self = wider;
            return self.add(at, n);
        }
        let start = at.saturating_mul(self.width);
        if let Some(bytes) = self.bytes.get_mut(start..start.saturating_add(self.width)) {
            bytes.copy_from_slice(&value.to_le_bytes()[..self.width]);
        }
    }

    /// Room before and behind.
    pub fn grow(&mut self, before: usize, behind: usize) {
        if before > 0 {
            let mut grown = Self::zeros(before.saturating_add(self.len()), self.width);
            grown.bytes[before * self.width..].copy_from_slice(&self.bytes);
            *self = grown;
        }
        self.bytes.resize(self.bytes.len() + behind * self.width, 0);
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u64> {
        (0..self.len()).map(|at| self.get(at))
    }

    pub fn bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
