//! Attribute lists, read with limits, each key once: those of spans straight into the batch, the few others first into a
//! list, because what they belong to may be refused or come in parts.

use std::collections::HashMap;

use storage::model::AttributesBuilder;

use super::findings::Findings;
use super::rejected::Cause;
use super::span::Text;
use super::value::Value;
use crate::Result;

/// What is to be known of a span's attributes, which are in the batch already.
#[derive(Debug, Default)]
pub struct SpanAttributes {
    taken: usize,
    /// As the client counted them.
    pub dropped: u32,
    /// What the limit cut.
    cut: u32,
    /// What they take in columns.
    pub spent_bytes: usize,
}

impl SpanAttributes {
    /// Forgets all but what the client counted.
    pub fn clear(&mut self) {
        *self = Self { dropped: self.dropped, ..Self::default() };
    }

    /// Whether there is a place for one more; counts it.
    #[inline]
    pub fn take(&mut self, findings: &mut Findings<'_>) -> bool {
        if self.taken >= findings.limits.attributes {
            findings.note(Cause::TooManyAttributes);
            self.cut = self.cut.saturating_add(1);
            return false;
        }
        self.taken += 1;
        true
    }

    /// It was not taken after all.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    #[inline]
    pub fn spend(&mut self, key_bytes: usize, value_bytes: usize) {
        self.spent_bytes = self.spent_bytes.saturating_add(key_bytes).saturating_add(value_bytes);
        self.spent_bytes = self.spent_bytes.saturating_add(ENTRY_BYTES);
    }

    /// All that the client and the limits dropped.
    pub fn dropped_in_all(&self) -> u32 {
        self.dropped.saturating_add(self.cut)
    }
}

/// Up to this many keys are compared with each other; more go through a map.
const FEW: usize = 32;

/// What a key and an entry's own bookkeeping cost in the columns, roughly.
const ENTRY_BYTES: usize = 16;

#[derive(Debug, Default)]
pub struct Attribute<'a> {
    pub key: Text<'a>,
    pub value: Value<'a>,
    /// A cheap hash of the key: different hashes spare comparing the keys.
    hash: u32,
    /// Another attribute took its place.
    is_replaced: bool,
}

/// The attributes of a span, resource, scope, event or link.
#[derive(Debug, Default)]
pub struct Attributes<'a> {
    items: Vec<Attribute<'a>>,
    /// As the client counted them.
    pub dropped: u32,
    /// What the limit cut.
    cut: u32,
}

impl<'a> Attributes<'a> {
    pub fn clear(&mut self) {
        self.items.clear();
        self.dropped = 0;
        self.cut = 0;
    }

    /// Adds an attribute, unless it has no key or there are too many.
    #[inline(always)]
    pub fn push(&mut self, key: Text<'a>, value: Value<'a>, findings: &mut Findings<'_>) -> Result<()> {
        if key.is_empty() {
            findings.note(Cause::EmptyKey);
            return Ok(());
        }
        if self.items.len() >= findings.limits.attributes {
            findings.note(Cause::TooManyAttributes);
            self.cut = self.cut.saturating_add(1);
            return Ok(());
        }
        findings.charge(size_of::<Attribute<'_>>())?;
        let hash = hash(&key);
        self.items.push(Attribute { key, value, hash, is_replaced: false });
        Ok(())
    }

    /// All that the client and the limits dropped.
    pub fn dropped_in_all(&self) -> u32 {
        self.dropped.saturating_add(self.cut)
    }

    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let hash = hash(key);
        let mut found = self.items.iter().filter(|item| item.hash == hash && !item.is_replaced && item.key == key);
        found.next_back().map(|item| &item.value)
    }

    /// Leaves one attribute a key: the last.
    pub fn settle(&mut self, findings: &mut Findings<'_>) {
        let mut replaced = 0;
        if self.items.len() <= FEW {
            let mut rest = self.items.as_mut_slice();
            while let Some((item, later)) = rest.split_first_mut() {
                if later.iter().any(|other| other.hash == item.hash && other.key == item.key) {
                    item.is_replaced = true;
                    replaced += 1;
                }
                rest = later;
            }
        } else {
            // A map of the standard library, so that chosen keys cannot make it slow.
            let last: HashMap<&str, usize> =
                self.items.iter().enumerate().map(|(at, item)| (item.key.as_ref(), at)).collect();
            let lost: Vec<usize> = self
                .items
                .iter()
                .enumerate()
                .filter(|(at, item)| last.get(item.key.as_ref()) != Some(at))
                .map(|(at, _)| at)
                .collect();
            drop(last);
            for at in lost {
                if let Some(item) = self.items.get_mut(at) {
                    item.is_replaced = true;
                    replaced += 1;
                }
            }
        }
        findings.note_many(Cause::DuplicateKey, replaced);
    }

    /// Puts in what the protocol has a field for and the tables have no column for. It replaces an attribute of the
    /// same key, so that each key stays unique after [`settle`](Self::settle).
    pub fn set(&mut self, key: Text<'a>, value: Value<'a>) {
        self.remove(&key);
        let hash = hash(&key);
        self.items.push(Attribute { key, value, hash, is_replaced: false });
    }

    pub fn remove(&mut self, key: &str) {
        let hash = hash(key);
        for item in &mut self.items {
            item.is_replaced |= item.hash == hash && item.key == key;
        }
    }

    /// Writes lists and the like as JSON text now, because every span of a resource or scope repeats them.
    pub fn render(&mut self, findings: &mut Findings<'_>) {
        for item in &mut self.items {
            item.value.render(findings);
        }
    }

    /// The same attributes under keys that begin with `prefix`.
    pub fn prefixed(self, prefix: &str) -> Self {
        let prefixed = |item: Attribute<'a>| {
            let key = format!("{prefix}{}", item.key);
            Attribute { hash: hash(&key), key: key.into(), ..item }
        };
        Self { items: self.items.into_iter().map(prefixed).collect(), ..self }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.items.iter().filter(|item| !item.is_replaced)
    }

    /// Pushes all of them into the row that `columns` is at; returns the bytes that they take there.
    pub fn push_to(
        &self,
        columns: &mut AttributesBuilder<'_>,
        findings: &mut Findings<'_>,
        scratch: &mut String,
    ) -> usize {
        let mut spent: usize = 0;
        for Attribute { key, value, .. } in self.iter() {
            let (_, value_bytes) = value.push(key, columns, findings, scratch);
            spent = spent.saturating_add(key.len()).saturating_add(value_bytes).saturating_add(ENTRY_BYTES);
        }
        spent
    }
}

fn hash(key: &str) -> u32 {
    let bytes = key.as_bytes();
    let end: u32 = bytes.iter().rev().take(4).fold(0, |hash, byte| hash << 8 | u32::from(*byte));
    let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
    // Lengths beyond 32 bits cannot be, and would only make the hash worse.
    end ^ (u32::from(middle) << 20) ^ (bytes.len() as u32).rotate_right(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::otlp::rejected::Warnings;

    fn settled(keys: &[&'static str], limits: &Limits) -> Result<(Vec<(String, Value<'static>)>, Warnings)> {
        let mut findings = Findings::new(limits);
        let mut attributes = Attributes::default();
        for (at, key) in keys.iter().enumerate() {
            attributes.push((*key).into(), Value::Int(at as i64), &mut findings)?;
        }
        attributes.settle(&mut findings);
        let mut warnings = Warnings::default();
        findings.report(&mut warnings, "");
        Ok((attributes.iter().map(|item| (item.key.to_string(), item.value.clone())).collect(), warnings))
    }

    #[test]
    fn the_last_of_equal_keys_stays_in_short_and_long_lists() -> Result<()> {
        for repeats in [1, 20] {
            let keys = ["a", "b", "a", "c", "b", "", "aa"].repeat(repeats);
            let (left, warnings) = settled(&keys, &Limits::default())?;
            let mut names: Vec<&str> = left.iter().map(|(key, _)| key.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["a", "aa", "b", "c"]);
            let last = (repeats as i64 - 1) * 7;
            assert!(left.contains(&("a".to_owned(), Value::Int(last + 2))));
            assert_eq!(warnings.count(Cause::DuplicateKey), repeats as u64 * 6 - 4);
            assert_eq!(warnings.count(Cause::EmptyKey), repeats as u64);
        }
        Ok(())
    }

    #[test]
    fn the_surplus_is_cut_and_counted() -> Result<()> {
        let (left, warnings) = settled(&["a", "b", "c"], &Limits { attributes: 2, ..Limits::default() })?;
        assert_eq!(left.len(), 2);
        assert_eq!(warnings.count(Cause::TooManyAttributes), 1);
        Ok(())
    }

    #[test]
    fn what_the_protocol_says_replaces_an_attribute_of_its_name() -> Result<()> {
        let limits = Limits::default();
        let mut findings = Findings::new(&limits);
        let mut attributes = Attributes::default();
        attributes.push("otel.schema_url".into(), Value::Int(1), &mut findings)?;
        attributes.settle(&mut findings);
        attributes.set("otel.schema_url".into(), Value::Int(2));
        assert_eq!(attributes.iter().count(), 1);
        assert_eq!(attributes.get("otel.schema_url"), Some(&Value::Int(2)));
        Ok(())
    }
}
