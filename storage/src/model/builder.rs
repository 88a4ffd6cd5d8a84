//! Builds a [`SpanBatch`], one span after the other.

use hashbrown::HashTable;

use super::batch::{
    Entry, Event, Head, Link, Origin, OriginId, Range, ResourceId, SpanBatch, Template, TypedKey, ValueId, ValueType,
};
use super::texts::{TextId, TextsBuilder, hash_of};
use super::{SpanFields, SpanId, TraceId, UnixNanos};

/// More spans, texts or attributes than numbers of 32 bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spans of one request are too large")]
pub struct TooLarge;

/// What texts and words the attributes come to, and guesses which come next: keys follow each other in the same order
/// from span to span, and values repeat.
#[derive(Debug, Default)]
struct Vocabulary {
    texts: TextsBuilder,
    words: Vec<[u8; 8]>,
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
    fn key(&mut self, key: &str, before: TextId) -> TextId {
        let expected = if before.is_none() { self.first_key } else { self.next_keys.get(before.0 as usize).copied() };
        let expected = expected.unwrap_or(TextId::NONE);
        let found = self.texts.intern(key, expected);
        if found != expected && !found.is_none() {
            if before.is_none() {
                self.first_key = Some(found);
            } else {
                set(&mut self.next_keys, before.0, found, TextId::NONE);
            }
        }
        found
    }

    fn text(&mut self, text: &str, key: TextId) -> ValueId {
        let expected = self.last_texts.get(key.0 as usize).copied().unwrap_or(TextId::NONE);
        let found = self.texts.intern(text, expected);
        if found != expected && !key.is_none() {
            set(&mut self.last_texts, key.0, found, TextId::NONE);
        }
        ValueId(found.0)
    }

    fn word(&mut self, word: u64, key: TextId) -> ValueId {
        let word = word.to_le_bytes();
        let last = self.last_words.get(key.0 as usize).copied().unwrap_or(u32::MAX);
        if self.words.get(last as usize) == Some(&word) {
            return ValueId(last);
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

fn set<T: Copy>(list: &mut Vec<T>, at: u32, value: T, empty: T) {
    let at = at as usize;
    if at >= list.len() {
        list.resize(at + 1, empty);
    }
    list[at] = value;
}

/// Takes the attributes of one span, resource, event or link. The caller gives each key once.
#[derive(Debug)]
pub struct AttributesBuilder<'b> {
    vocabulary: &'b mut Vocabulary,
    previous_key: TextId,
    entries: &'b mut Vec<Entry>,
}

impl<'b> AttributesBuilder<'b> {
    fn new(vocabulary: &'b mut Vocabulary, entries: &'b mut Vec<Entry>) -> Self {
        let previous_key = entries.last().map_or(TextId::NONE, |entry| entry.key.key());
        Self { vocabulary, previous_key, entries }
    }

    #[inline]
    fn push(&mut self, key: &str, value_type: ValueType, value: impl FnOnce(&mut Vocabulary, TextId) -> ValueId) {
        let key = self.vocabulary.key(key, self.previous_key);
        let value = value(self.vocabulary, key);
        self.previous_key = key;
        self.entries.push(Entry { key: TypedKey::new(key, value_type), value });
    }

    pub fn push_text(&mut self, key: &str, value: &str) {
        self.push(key, ValueType::Text, |vocabulary, key| vocabulary.text(value, key));
    }

    pub fn push_int(&mut self, key: &str, value: i64) {
        self.push(key, ValueType::Int, |vocabulary, key| vocabulary.word(value.cast_unsigned(), key));
    }

    pub fn push_float(&mut self, key: &str, value: f64) {
        self.push(key, ValueType::Float, |vocabulary, key| vocabulary.word(value.to_bits(), key));
    }

    pub fn push_bool(&mut self, key: &str, value: bool) {
        self.push(key, ValueType::Bool, |_, _| ValueId(u32::from(value)));
    }

    /// Arrays, key-value lists and bytes, as JSON text.
    pub fn push_json(&mut self, key: &str, value: &str) {
        self.push(key, ValueType::Json, |vocabulary, key| vocabulary.text(value, key));
    }

    /// A key whose value the client left unset.
    pub fn push_null(&mut self, key: &str) {
        self.push(key, ValueType::Json, |_, _| ValueId::UNSET);
    }

    fn copy(&mut self, from: &SpanBatch, entry: Entry) {
        let key = from.texts().text(entry.key.key());
        match entry.key.value_type() {
            _ if entry.value == ValueId::UNSET => self.push_null(key),
            ValueType::Text => self.push_text(key, from.texts().text(TextId(entry.value.0))),
            ValueType::Json => self.push_json(key, from.texts().text(TextId(entry.value.0))),
            ValueType::Int => self.push_int(key, from.word(entry.value).cast_signed()),
            ValueType::Float => self.push_float(key, f64::from_bits(from.word(entry.value))),
            ValueType::Bool => self.push_bool(key, entry.value.0 != 0),
        }
    }
}

/// Builds a [`SpanBatch`]. Resources and origins come first; then, for each span, its attributes, events and links, and
/// [`append`](Self::append), which ends it.
#[derive(Debug, Default)]
pub struct SpanBatchBuilder {
    vocabulary: Vocabulary,
    batch: SpanBatch,
    template_numbers: HashTable<u32>,
    /// Attributes of the span to come.
    attributes: Vec<Entry>,
    /// Of the span appended last: the guess for the next.
    last: Guess,
    events_at: usize,
    links_at: usize,
    overflowed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Guess {
    span_name: TextId,
    kind: TextId,
    status_code: TextId,
    status_message: TextId,
    trace_state: TextId,
}

impl Default for Guess {
    fn default() -> Self {
        let none = TextId::NONE;
        Self { span_name: none, kind: none, status_code: none, status_message: none, trace_state: none }
    }
}

impl SpanBatchBuilder {
    pub fn span_count(&self) -> usize {
        self.batch.heads.len()
    }

    /// Adds a resource; `fill` gives it its attributes.
    pub fn resource(&mut self, fill: impl FnOnce(&mut AttributesBuilder<'_>)) -> ResourceId {
        let attributes = self.entries(fill);
        let number = number_of(self.batch.resources.len(), &mut self.overflowed);
        self.batch.resources.push(attributes);
        ResourceId(number)
    }

    /// Adds a place that spans come from.
    pub fn origin(
        &mut self,
        resource: ResourceId,
        service_name: &str,
        scope_name: Option<&str>,
        scope_version: Option<&str>,
    ) -> OriginId {
        let texts = &mut self.vocabulary.texts;
        let origin = Origin {
            resource: resource.0,
            service_name: texts.intern(service_name, TextId::NONE),
            scope_name: optional(texts, scope_name, TextId::NONE),
            scope_version: optional(texts, scope_version, TextId::NONE),
        };
        let number = number_of(self.batch.origins.len(), &mut self.overflowed);
        self.batch.origins.push(origin);
        OriginId(number)
    }

    /// The attributes of the span to come.
    pub fn attributes(&mut self) -> AttributesBuilder<'_> {
        AttributesBuilder::new(&mut self.vocabulary, &mut self.attributes)
    }

    /// Adds an event to the span to come; `fill` gives it its attributes.
    pub fn event(&mut self, time: UnixNanos, name: &str, fill: impl FnOnce(&mut AttributesBuilder<'_>)) {
        let attributes = self.entries(fill);
        let name = self.vocabulary.texts.intern(name, TextId::NONE);
        self.batch.events.push(Event { time, name, attributes });
    }

    /// Adds a link to the span to come; `fill` gives it its attributes.
    pub fn link(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        trace_state: Option<&str>,
        flags: u32,
        fill: impl FnOnce(&mut AttributesBuilder<'_>),
    ) {
        let attributes = self.entries(fill);
        let trace_state = optional(&mut self.vocabulary.texts, trace_state, TextId::NONE);
        self.batch.links.push(Link { trace_id, span_id, trace_state, flags, attributes });
    }

    fn entries(&mut self, fill: impl FnOnce(&mut AttributesBuilder<'_>)) -> Range {
        let start = number_of(self.batch.entries.len(), &mut self.overflowed);
        let mut attributes = AttributesBuilder::new(&mut self.vocabulary, &mut self.batch.entries);
        attributes.previous_key = TextId::NONE;
        fill(&mut attributes);
        Range { start, end: number_of(self.batch.entries.len(), &mut self.overflowed) }
    }

    /// Ends a span with its scalar fields.
    pub fn append(&mut self, span: &SpanFields<'_>) {
        let texts = &mut self.vocabulary.texts;
        let mut template = Template {
            origin: span.origin,
            span_name: texts.intern(span.span_name, self.last.span_name),
            kind: texts.intern(span.kind, self.last.kind),
            status_code: texts.intern(span.status_code, self.last.status_code),
            status_message: optional(texts, span.status_message, self.last.status_message),
            trace_state: optional(texts, span.trace_state, self.last.trace_state),
            flags: span.flags,
            keys_start: 0,
            keys_end: 0,
        };
        self.last = Guess {
            span_name: template.span_name,
            kind: template.kind,
            status_code: template.status_code,
            status_message: template.status_message,
            trace_state: template.trace_state,
        };
        let number = self.template(&mut template);
        let overflowed = &mut self.overflowed;
        let batch = &mut self.batch;
        batch.heads.push(Head {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id.map_or([0; 8], |id| *id.as_bytes()),
            start: span.start,
            duration_nanos: span.duration_nanos,
            template: number,
            values_at: number_of(batch.values.len(), overflowed),
            events_at: number_of(self.events_at, overflowed),
            links_at: number_of(self.links_at, overflowed),
        });
        batch.values.extend(self.attributes.drain(..).map(|entry| entry.value));
        self.events_at = batch.events.len();
        self.links_at = batch.links.len();
    }

    /// The number of the template with the keys of the attributes at hand.
    fn template(&mut self, template: &mut Template) -> u32 {
        let Self { batch, template_numbers, attributes, overflowed, .. } = self;
        let SpanBatch { templates, keys, .. } = batch;
        let hash = template_hash(template, attributes.iter().map(|entry| entry.key));
        let is_same = |known: &Template| {
            let of_known = keys.get(known.keys_start as usize..known.keys_end as usize).unwrap_or_default();
            Template { keys_start: 0, keys_end: 0, ..*known } == *template
                && of_known.iter().eq(attributes.iter().map(|entry| &entry.key))
        };
        if let Some(number) = template_numbers.find(hash, |number| is_same(&templates[*number as usize])) {
            return *number;
        }
        let number = number_of(templates.len(), overflowed);
        template.keys_start = number_of(keys.len(), overflowed);
        keys.extend(attributes.iter().map(|entry| entry.key));
        template.keys_end = number_of(keys.len(), overflowed);
        templates.push(*template);
        template_numbers.insert_unique(hash, number, |number| {
            let known = &templates[*number as usize];
            let of_known = keys.get(known.keys_start as usize..known.keys_end as usize).unwrap_or_default();
            template_hash(known, of_known.iter().copied())
        });
        number
    }

    /// Appends a span of another batch. `origins` remembers which of its origins are here already.
    pub fn copy(&mut self, from: &SpanBatch, row: usize, origins: &mut CopiedOrigins) {
        let head = &from.heads()[row];
        let template = from.template(row);
        let origin = self.copy_origin(from, template, origins);
        let text = |id: TextId| (!id.is_none()).then(|| from.texts().text(id));
        for (key, value) in from.keys(template).iter().zip(from.values(row)) {
            self.attributes().copy(from, Entry { key: *key, value: *value });
        }
        for event in from.events(row) {
            self.event(event.time, from.texts().text(event.name), |to| {
                from.event_attributes(event).iter().for_each(|entry| to.copy(from, *entry));
            });
        }
        for link in from.links(row) {
            self.link(link.trace_id, link.span_id, text(link.trace_state), link.flags, |to| {
                from.link_attributes(link).iter().for_each(|entry| to.copy(from, *entry));
            });
        }
        self.append(&SpanFields {
            trace_id: head.trace_id,
            span_id: head.span_id,
            parent_span_id: head.parent_span_id(),
            origin,
            span_name: from.texts().text(template.span_name),
            kind: from.texts().text(template.kind),
            status_code: from.texts().text(template.status_code),
            status_message: text(template.status_message),
            start: head.start,
            duration_nanos: head.duration_nanos,
            trace_state: text(template.trace_state),
            flags: template.flags,
        });
    }

    fn copy_origin(&mut self, from: &SpanBatch, template: &Template, origins: &mut CopiedOrigins) -> OriginId {
        let CopiedOrigins { of_origins, of_resources } = origins;
        if let Some(known) = of_origins.get(&template.origin) {
            return *known;
        }
        let theirs = from.resource_of(template);
        let resource = *of_resources.entry(theirs).or_insert_with(|| {
            self.resource(|to| from.resource(theirs).iter().for_each(|entry| to.copy(from, *entry)))
        });
        let text = |id: TextId| (!id.is_none()).then(|| from.texts().text(id));
        let origin = self.origin(
            resource,
            from.texts().text(from.service_name(template)),
            text(from.scope_name(template)),
            text(from.scope_version(template)),
        );
        of_origins.insert(template.origin, origin);
        origin
    }

    /// The spans so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> Result<SpanBatch, TooLarge> {
        let Self { mut vocabulary, mut batch, overflowed, .. } = std::mem::take(self);
        batch.texts = vocabulary.texts.finish().ok_or(TooLarge)?;
        batch.words = vocabulary.words;
        if overflowed || batch.texts.len() > TypedKey::MAX_TEXTS {
            return Err(TooLarge);
        }
        // What vectors took in advance is a hundred times what a request of one span needs.
        batch.heads.shrink_to_fit();
        batch.templates.shrink_to_fit();
        batch.keys.shrink_to_fit();
        batch.values.shrink_to_fit();
        batch.origins.shrink_to_fit();
        batch.resources.shrink_to_fit();
        batch.entries.shrink_to_fit();
        batch.events.shrink_to_fit();
        batch.links.shrink_to_fit();
        batch.words.shrink_to_fit();
        Ok(batch)
    }
}

/// Which origins of another batch were copied, and as what.
#[derive(Debug, Default)]
pub struct CopiedOrigins {
    of_origins: hashbrown::HashMap<OriginId, OriginId>,
    of_resources: hashbrown::HashMap<ResourceId, ResourceId>,
}

fn optional(texts: &mut TextsBuilder, text: Option<&str>, expected: TextId) -> TextId {
    text.map_or(TextId::NONE, |text| texts.intern(text, expected))
}

fn number_of(length: usize, overflowed: &mut bool) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| {
        *overflowed = true;
        u32::MAX
    })
}

fn template_hash(template: &Template, keys: impl Iterator<Item = TypedKey>) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = super::texts::hasher();
    Template { keys_start: 0, keys_end: 0, ..*template }.hash(&mut hasher);
    keys.for_each(|key| key.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests;
