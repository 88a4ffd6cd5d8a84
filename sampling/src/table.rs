//! A bounded map from hashes to rows that are reached by number within a tick.
//!
//! Rows keep the order in which they came, so nothing depends on the order of a hash map.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are hashes already; one multiplication spreads what the caller's hash may have left uneven.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

pub(crate) type Mixed = BuildHasherDefault<Mix>;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    rows_by_key: HashMap<u64, u32, Mixed>,
    rows: Vec<(u64, V)>,
    max: u32,
}

impl<V> Table<V> {
    pub fn new(max: u32) -> Self {
        Self { rows_by_key: HashMap::default(), rows: Vec::new(), max }
    }

    pub fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether more than three quarters are taken.
    pub fn is_crowded(&self) -> bool {
        self.rows.len() as u64 * 4 > u64::from(self.max) * 3
    }

    pub fn find(&self, key: u64) -> Option<u32> {
        self.rows_by_key.get(&key).copied()
    }

    /// The row of `key`, or a new one; `None` if there is no room.
    pub fn find_or_add(&mut self, key: u64, value: impl FnOnce() -> V) -> Option<u32> {
        if let Some(row) = self.rows_by_key.get(&key) {
            return Some(*row);
        }
        let row = u32::try_from(self.rows.len()).ok().filter(|row| *row < self.max)?;
        self.rows.push((key, value()));
        self.rows_by_key.insert(key, row);
        Some(row)
    }

    pub fn get_mut(&mut self, row: u32) -> Option<&mut V> {
        self.rows.get_mut(row as usize).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.rows.iter().map(|(key, value)| (*key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.rows.iter_mut().map(|(key, value)| (*key, value))
    }

    /// Removes the rows that `keep` refuses; the others move together. Whether any was removed.
    pub fn retain(&mut self, mut keep: impl FnMut(u64, &V) -> bool) -> bool {
        let before = self.rows.len();
        self.rows.retain(|(key, value)| keep(*key, value));
        if self.rows.len() == before {
            return false;
        }
        self.rows_by_key.clear();
        self.rows_by_key.extend((0..).zip(&self.rows).map(|(row, (key, _))| (*key, row)));
        // A burst of keys is not paid for forever.
        self.rows_by_key.shrink_to(self.rows.len() * 2);
        self.rows.shrink_to(self.rows.len() * 2);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_rows_keep_their_order() {
        let mut table = Table::new(3);
        assert_eq!(
            [7, 5, 9, 4, 7].map(|key| table.find_or_add(key, || key * 10)),
            [Some(0), Some(1), Some(2), None, Some(0)]
        );
        assert!(table.retain(|key, _| key != 5));
        assert!(!table.retain(|_, _| true));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(7, &70), (9, &90)]);
        assert_eq!((table.find(9), table.find(5)), (Some(1), None));
        assert_eq!(table.find_or_add(4, || 40), Some(2));
        assert_eq!(table.get_mut(2), Some(&mut 40));
    }
}
