//! The attributes of one span, resource, event or link while they are read.

use super::batch::{Entry, SpanBatch, TypedKey, ValueId, ValueType};
use super::texts::TextId;
use super::vocabulary::{Expected, Vocabulary, set};

/// An attribute's value as a decoder has it.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Must be UTF-8.
    Text(&'a [u8]),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// An array, key-value list or bytes, as JSON text.
    Json(&'a str),
    /// The client left it unset.
    Unset,
}

/// What became of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    New,
    /// In the place of one with the same key.
    Replaced,
    /// Its key or its value is no UTF-8; nothing was pushed.
    NotUtf8,
}

/// Each key once: of equal ones, the last.
#[derive(Debug)]
pub(super) struct AttributeList {
    /// Some of them [`REPLACED`](TypedKey::REPLACED).
    entries: Vec<Entry>,
    replaced: usize,
    /// So far the keys are those of the span that the guesses come from. Such a span has each key once.
    is_as_expected: bool,
    /// By key: in which list it came last, and where. Kept up only once a list is not as expected.
    seen: Vec<Seen>,
    /// Of this list in `seen`.
    number: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    list: u32,
    at: u32,
}

impl Default for AttributeList {
    fn default() -> Self {
        Self { entries: Vec::new(), replaced: 0, is_as_expected: true, seen: Vec::new(), number: 1 }
    }
}

impl AttributeList {
    /// Empties the list for other attributes.
    pub fn begin(&mut self) {
        self.entries.clear();
        self.replaced = 0;
        self.is_as_expected = true;
        self.number = self.number.wrapping_add(1);
        if self.number == 0 {
            // What was seen four billion lists ago must not count.
            self.seen.clear();
            self.number = 1;
        }
    }

    /// The attributes, and whether their keys are all as expected.
    pub fn finish(&mut self, expected_keys: &[TypedKey]) -> (&[Entry], bool) {
        if std::mem::take(&mut self.replaced) > 0 {
            self.entries.retain(|entry| entry.key != TypedKey::REPLACED);
        }
        (&self.entries, self.is_as_expected && self.entries.len() == expected_keys.len())
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was pushed so far was compared with other expectations than what comes.
    pub fn distrust(&mut self) {
        if std::mem::take(&mut self.is_as_expected) {
            for at in 0..self.entries.len() {
                self.note(self.entries[at].key.key(), at);
            }
        }
    }

    /// Where an attribute with this key is already.
    fn place_of(&mut self, key: TextId) -> Option<usize> {
        self.distrust();
        let seen = self.seen.get(key.0 as usize).filter(|seen| seen.list == self.number);
        let place = seen.map(|seen| seen.at as usize);
        self.note(key, self.entries.len());
        place
    }

    fn note(&mut self, key: TextId, at: usize) {
        if !key.is_none() {
            set(&mut self.seen, key.0, Seen { list: self.number, at: at as u32 }, Seen::default());
        }
    }
}

/// Takes attributes.
#[derive(Debug)]
pub struct AttributesBuilder<'b> {
    pub(super) vocabulary: &'b mut Vocabulary,
    pub(super) list: &'b mut AttributeList,
    pub(super) expected_keys: &'b [TypedKey],
    pub(super) expected_values: &'b [ValueId],
}

impl AttributesBuilder<'_> {
    /// Adds an attribute, in the place of one with the same key.
    #[inline]
    pub fn push(&mut self, key: &[u8], value: Value<'_>) -> Pushed {
        let at = self.list.entries.len();
        let (expected_key, expected) = match (self.expected_keys.get(at), self.expected_values.get(at)) {
            (Some(key), Some(value)) => (Some(*key), Expected::new(*key, *value)),
            _ => (None, Expected::NOTHING),
        };
        let before = self.list.entries.last().map_or(TextId::NONE, |entry| entry.key.key());
        let Some(key) = self.vocabulary.key(key, before, expected) else { return Pushed::NotUtf8 };
        let (value_type, value) = match value {
            Value::Text(text) => match self.vocabulary.text(text, key, expected) {
                Some(value) => (ValueType::Text, value),
                None => return Pushed::NotUtf8,
            },
            Value::Int(value) => (ValueType::Int, self.vocabulary.word(value.cast_unsigned(), key, expected)),
            Value::Float(value) => (ValueType::Float, self.vocabulary.word(value.to_bits(), key, expected)),
            Value::Bool(value) => (ValueType::Bool, ValueId(u32::from(value))),
            Value::Json(text) => match self.vocabulary.text(text.as_bytes(), key, expected) {
                Some(value) => (ValueType::Json, value),
                None => return Pushed::NotUtf8,
            },
            Value::Unset => (ValueType::Json, ValueId::UNSET),
        };
        let key = TypedKey::new(key, value_type);
        let mut pushed = Pushed::New;
        if (expected_key != Some(key) || !self.list.is_as_expected)
            && let Some(place) = self.list.place_of(key.key())
            && let Some(replaced) = self.list.entries.get_mut(place)
        {
            replaced.key = TypedKey::REPLACED;
            self.list.replaced += 1;
            pushed = Pushed::Replaced;
        }
        self.list.entries.push(Entry { key, value });
        pushed
    }

    /// The same for what is text for sure.
    pub fn set(&mut self, key: &str, value: Value<'_>) {
        let _ = self.push(key.as_bytes(), value);
    }

    pub fn push_text(&mut self, key: &str, value: &str) {
        self.set(key, Value::Text(value.as_bytes()));
    }

    pub fn push_int(&mut self, key: &str, value: i64) {
        self.set(key, Value::Int(value));
    }

    pub fn push_float(&mut self, key: &str, value: f64) {
        self.set(key, Value::Float(value));
    }

    pub fn push_bool(&mut self, key: &str, value: bool) {
        self.set(key, Value::Bool(value));
    }

    /// Arrays, key-value lists and bytes, as JSON text.
    pub fn push_json(&mut self, key: &str, value: &str) {
        self.set(key, Value::Json(value));
    }

    /// A key whose value the client left unset.
    pub fn push_null(&mut self, key: &str) {
        self.set(key, Value::Unset);
    }

    /// Takes an attribute of another batch.
    pub(super) fn copy(&mut self, from: &SpanBatch, entry: Entry) {
        let text = |value: ValueId| from.texts().bytes(TextId(value.0));
        let value = match entry.key.value_type() {
            _ if entry.value == ValueId::UNSET => Value::Unset,
            ValueType::Text => Value::Text(text(entry.value)),
            ValueType::Json => Value::Json(from.texts().text(TextId(entry.value.0))),
            ValueType::Int => Value::Int(from.word(entry.value).cast_signed()),
            ValueType::Float => Value::Float(f64::from_bits(from.word(entry.value))),
            ValueType::Bool => Value::Bool(entry.value.0 != 0),
        };
        let _ = self.push(from.texts().bytes(entry.key.key()), value);
    }
}
