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

pub(crate) fn hasher() -> impl std::hash::Hasher {
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

/// Most keys and values have 8 to 32 bytes: four loads, where a call of `memcmp` costs more than it compares.
#[inline]
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ends = |length: usize| a.len() >= length && a.len() <= 2 * length;
    if ends(8) {
        a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk::<8>()
    } else if ends(16) {
        a.first_chunk::<16>() == b.first_chunk::<16>() && a.last_chunk::<16>() == b.last_chunk::<16>()
    } else {
        a == b
    }
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
        if self.is(expected, text.as_bytes()) {
            return expected;
        }
        self.look_up(text.as_bytes(), |_| true).unwrap_or(TextId::NONE)
    }

    /// The number of what may be no text: `None` if it is none. What is here already is text, and not checked again.
    #[inline]
    pub fn intern_bytes(&mut self, bytes: &[u8], expected: TextId) -> Option<TextId> {
        if self.is(expected, bytes) {
            return Some(expected);
        }
        self.look_up(bytes, |bytes| std::str::from_utf8(bytes).is_ok())
    }

    /// Whether `text` has the number `id`.
    #[inline]
    pub fn is(&self, id: TextId, text: &[u8]) -> bool {
        match self.ends.get(id.0 as usize) {
            Some(&end) => {
                let start = start(&self.ends, id);
                self.bytes.get(start as usize..end as usize).is_some_and(|known| is_equal(known, text))
            }
            None => false,
        }
    }

    /// The length of the text in bytes.
    pub fn length(&self, id: TextId) -> usize {
        slice(&self.bytes, &self.ends, id).len()
    }

    /// `None` if it is new, and not accepted.
    fn look_up(&mut self, text: &[u8], accept: impl FnOnce(&[u8]) -> bool) -> Option<TextId> {
        let Self { bytes, ends, numbers, overflowed } = self;
        let entry = numbers.entry(
            hash_of(text),
            |number| slice(bytes, ends, TextId(*number)) == text,
            |number| hash_of(slice(bytes, ends, TextId(*number))),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => Some(TextId(*known.get())),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                if !accept(text) {
                    return None;
                }
                let Ok(end) = u32::try_from(bytes.len().saturating_add(text.len())) else {
                    *overflowed = true;
                    return Some(TextId::NONE);
                };
                // Each number stands for four bytes of `ends`, which memory ends long before 32 bits do.
                let number = ends.len() as u32;
                bytes.extend_from_slice(text);
                ends.push(end);
                vacant.insert(number);
                Some(TextId(number))
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
    fn texts_are_equal_if_all_their_bytes_are() {
        for length in 0..70usize {
            let text: Vec<u8> = (0..length as u8).collect();
            assert!(is_equal(&text, &text.clone()));
            assert!(!is_equal(&text, &[text.as_slice(), b"x"].concat()));
            for at in 0..length {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!is_equal(&text, &other), "{length} bytes, of which {at} differs");
            }
        }
    }

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
