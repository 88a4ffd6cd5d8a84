//! A column's distinct values, numbered in the order of their first appearance.
//!
//! Values of a batch have numbers there already, so that a value is looked up once a batch and not once a row.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

/// No number yet.
const UNKNOWN: u32 = u32::MAX;

/// Values are bytes: of texts, or the eight of a number.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    /// More bytes than numbers of 32 bits can point into.
    pub overflowed: bool,
    hasher: DefaultHashBuilder,
    /// By batch, by the number that the value has in it.
    of_batches: Vec<Vec<u32>>,
}

impl Dictionary {
    /// The number of the value that has number `id` in `batch`, where `count` values have one.
    #[inline(always)]
    pub fn number<'v>(&mut self, batch: u32, id: u32, count: usize, value: impl FnOnce() -> &'v [u8]) -> u32 {
        let known = self.of_batches.get(batch as usize).and_then(|numbers| numbers.get(id as usize));
        match known {
            Some(&number) if number != UNKNOWN => number,
            _ => self.learn(batch, id, count, value()),
        }
    }

    #[cold]
    fn learn(&mut self, batch: u32, id: u32, count: usize, value: &[u8]) -> u32 {
        let number = self.add(value);
        let batch = batch as usize;
        if self.of_batches.len() <= batch {
            self.of_batches.resize_with(batch + 1, Vec::new);
        }
        let numbers = &mut self.of_batches[batch];
        if numbers.len() <= id as usize {
            numbers.resize(count.max(id as usize + 1), UNKNOWN);
        }
        numbers[id as usize] = number;
        number
    }

    /// The number of `value`; any if the dictionary has overflowed.
    pub fn add(&mut self, value: &[u8]) -> u32 {
        let Self { bytes, ends, numbers, overflowed, hasher, .. } = self;
        let hash = |value: &[u8]| {
            let mut hasher = hasher.build_hasher();
            hasher.write(value);
            hasher.finish()
        };
        let entry = numbers.entry(
            hash(value),
            |number| part(bytes, ends, *number) == value,
            |number| hash(part(bytes, ends, *number)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let Ok(end) = u32::try_from(bytes.len().saturating_add(value.len())) else {
                    *overflowed = true;
                    return 0;
                };
                let number = ends.len() as u32;
                bytes.extend_from_slice(value);
                ends.push(end);
                vacant.insert(number);
                number
            }
        }
    }

    /// Adds `value` without a look whether it is there.
    pub fn push(&mut self, value: &[u8]) -> u32 {
        let Ok(end) = u32::try_from(self.bytes.len().saturating_add(value.len())) else {
            self.overflowed = true;
            return 0;
        };
        self.bytes.extend_from_slice(value);
        self.ends.push(end);
        self.ends.len() as u32 - 1
    }

    /// Forgets values, all of which were pushed.
    pub fn clear_pushed(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn value(&self, number: u32) -> &[u8] {
        part(&self.bytes, &self.ends, number)
    }

    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|number| self.value(number))
    }
}

fn part<'a>(bytes: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(number).copied().unwrap_or(start);
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_of_different_batches_have_one_number() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.number(0, 5, 6, || b"a"), 0);
        assert_eq!(dictionary.number(0, 2, 6, || b"b"), 1);
        assert_eq!(dictionary.number(3, 0, 1, || b"b"), 1);
        assert_eq!(dictionary.number(3, 0, 1, || panic!("is known")), 1);
        assert_eq!(dictionary.values().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!((dictionary.len(), dictionary.size_bytes()), (2, 2));
    }
}
