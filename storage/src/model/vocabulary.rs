//! The texts and words of a batch that is being built.

use hashbrown::HashTable;

use super::batch::{TypedKey, ValueId};
use super::texts::{TextId, TextsBuilder, hash_of};

/// A key and a value that may come next, from the last span of the same name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub key: TextId,
    pub value: ValueId,
}

impl Expected {
    pub const NOTHING: Self = Self { key: TextId::NONE, value: ValueId::UNSET };

    pub fn new(key: TypedKey, value: ValueId) -> Self {
        Self { key: key.key(), value }
    }
}

/// Numbers the texts and words of attributes. A right guess costs one comparison, a wrong one a look into a table: keys
/// follow each other in the same order from span to span, and values repeat.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    pub texts: TextsBuilder,
    pub words: Vec<[u8; 8]>,
    word_numbers: HashTable<u32>,
    /// By key: the key that came after it the last time.
    next_keys: Vec<TextId>,
    /// The key that came first the last time.
    first_key: Option<TextId>,
    /// By key: its last value, where that was a text.
    last_texts: Vec<TextId>,
    /// By key: its last value, where that was a word.
    last_words: Vec<u32>,
}

impl Vocabulary {
    /// `None` if the key is no UTF-8.
    #[inline]
    pub fn key(&mut self, key: &[u8], before: TextId, expected: Expected) -> Option<TextId> {
        if self.texts.is(expected.key, key) {
            return Some(expected.key);
        }
        let last = if before.is_none() { self.first_key } else { self.next_keys.get(before.0 as usize).copied() };
        let last = last.unwrap_or(TextId::NONE);
        let found = self.texts.intern_bytes(key, last)?;
        if found != last && !found.is_none() {
            if before.is_none() {
                self.first_key = Some(found);
            } else {
                set(&mut self.next_keys, before.0, found, TextId::NONE);
            }
        }
        Some(found)
    }

    /// `None` if the text is no UTF-8.
    #[inline]
    pub fn text(&mut self, text: &[u8], key: TextId, expected: Expected) -> Option<ValueId> {
        if self.texts.is(TextId(expected.value.0), text) {
            return Some(expected.value);
        }
        let last = self.last_texts.get(key.0 as usize).copied().unwrap_or(TextId::NONE);
        let found = self.texts.intern_bytes(text, last)?;
        if found != last && !key.is_none() {
            set(&mut self.last_texts, key.0, found, TextId::NONE);
        }
        Some(ValueId(found.0))
    }

    #[inline]
    pub fn word(&mut self, word: u64, key: TextId, expected: Expected) -> ValueId {
        let word = word.to_le_bytes();
        let last = self.last_words.get(key.0 as usize).copied().unwrap_or(u32::MAX);
        for guess in [expected.value.0, last] {
            if self.words.get(guess as usize) == Some(&word) {
                return ValueId(guess);
            }
        }
        let Self { words, word_numbers, .. } = self;
        let hash = |word: [u8; 8]| hash_of(&word);
        let of = |number: &u32| words.get(*number as usize).copied().unwrap_or_default();
        let entry = word_numbers.entry(hash(word), |number| of(number) == word, |number| hash(of(number)));
        let number = match entry {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let number = words.len() as u32;
                vacant.insert(number);
                words.push(word);
                number
            }
        };
        if !key.is_none() {
            set(&mut self.last_words, key.0, number, u32::MAX);
        }
        ValueId(number)
    }
}

pub(super) fn set<T: Copy>(list: &mut Vec<T>, at: u32, value: T, empty: T) {
    let at = at as usize;
    if at >= list.len() {
        list.resize(at + 1, empty);
    }
    list[at] = value;
}
