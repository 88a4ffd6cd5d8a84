//! Equal texts once: the texts of a batch, by number.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use arrow::buffer::Buffer;
use hashbrown::{DefaultHashBuilder, HashTable};

/// A text's number within its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(pub u32);

impl TextId {
    /// No text: NULL.
    pub const NONE: Self = Self(u32::MAX);

    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// One seed for the process, so that nobody outside can choose texts whose hashes collide.
static SEED: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

pub(super) fn hasher() -> impl std::hash::Hasher {
    SEED.build_hasher()
}

pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = SEED.build_hasher();
    std::hash::Hasher::write(&mut hasher, bytes);
    std::hash::Hasher::finish(&hasher)
}

/// Numbered texts.
#[derive(Debug, Clone)]
pub struct Texts {
    bytes: Buffer,
    ends: Vec<u32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Buffer::from_vec(Vec::<u8>::new()), ends: Vec::new() }
    }
}

impl Texts {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text's UTF-8; empty for a number that is not here.
    pub fn bytes(&self, id: TextId) -> &[u8] {
        slice(&self.bytes, &self.ends, id)
    }

    pub fn text(&self, id: TextId) -> &str {
        std::str::from_utf8(self.bytes(id)).unwrap_or_default()
    }

    /// All texts end to end, and where one begins.
    pub fn buffer(&self) -> &Buffer {
        &self.bytes
    }

    pub fn start(&self, id: TextId) -> u32 {
        start(&self.ends, id)
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }
}

fn start(ends: &[u32], id: TextId) -> u32 {
    (id.0 as usize).checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0)
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], id: TextId) -> &'a [u8] {
    let Some(&end) = ends.get(id.0 as usize) else { return &[] };
    bytes.get(start(ends, id) as usize..end as usize).unwrap_or_default()
}

/// Numbers texts as they come.
#[derive(Debug, Default)]
pub struct TextsBuilder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    /// More text than numbers of 32 bits can point into.
    overflowed: bool,
}

impl TextsBuilder {
    /// The number of `text`. `expected` is a guess that costs one comparison if it is right.
    #[inline]
    pub fn intern(&mut self, text: &str, expected: TextId) -> TextId {
        if (expected.0 as usize) < self.ends.len() && slice(&self.bytes, &self.ends, expected) == text.as_bytes() {
            return expected;
        }
        self.look_up(text.as_bytes())
    }

    fn look_up(&mut self, text: &[u8]) -> TextId {
        let Self { bytes, ends, numbers, overflowed } = self;
        let entry = numbers.entry(
            hash_of(text),
            |number| slice(bytes, ends, TextId(*number)) == text,
            |number| hash_of(slice(bytes, ends, TextId(*number))),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => TextId(*known.get()),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let Ok(end) = u32::try_from(bytes.len().saturating_add(text.len())) else {
                    *overflowed = true;
                    return TextId::NONE;
                };
                // Each number stands for four bytes of `ends`, which memory ends long before 32 bits do.
                let number = ends.len() as u32;
                bytes.extend_from_slice(text);
                ends.push(end);
                vacant.insert(number);
                TextId(number)
            }
        }
    }

    /// `None` if there was more text than can be numbered.
    pub fn finish(&mut self) -> Option<Texts> {
        let Self { mut bytes, mut ends, overflowed, .. } = std::mem::take(self);
        bytes.shrink_to_fit();
        ends.shrink_to_fit();
        (!overflowed).then(|| Texts { bytes: Buffer::from_vec(bytes), ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number_whatever_was_expected() {
        let mut texts = TextsBuilder::default();
        let a = texts.intern("a", TextId::NONE);
        let empty = texts.intern("", a);
        let long = texts.intern("längerer Text", empty);
        assert_eq!(texts.intern("a", long), a);
        assert_eq!(texts.intern("", TextId(900)), empty);
        assert_eq!(texts.intern("längerer Text", long), long);
        let texts = texts.finish().unwrap();
        assert_eq!(texts.len(), 3);
        assert_eq!((texts.text(a), texts.text(empty), texts.text(long)), ("a", "", "längerer Text"));
        assert_eq!(texts.text(TextId::NONE), "");
    }
}
