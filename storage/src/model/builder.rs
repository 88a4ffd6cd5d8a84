//! Builds a [`SpanBatch`], one span after the other.

use hashbrown::HashTable;

use super::attributes::{AttributeList, AttributesBuilder};
use super::batch::{
    Entry, Event, Head, Link, Origin, OriginId, Range, ResourceId, SpanBatch, Template, TypedKey, ValueId,
};
use super::span::Name;
use super::texts::{TextId, TextsBuilder};
use super::vocabulary::{Vocabulary, set};
use super::{SpanFields, SpanId, TraceId, UnixNanos};

/// More spans, texts or attributes than numbers of 32 bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spans of one request are too large")]
pub struct TooLarge;

/// Builds a [`SpanBatch`]. Resources and origins come first; then, for each span, its attributes, events and links, and
/// [`append`](Self::append), which ends it.
#[derive(Debug, Default)]
pub struct SpanBatchBuilder {
    vocabulary: Vocabulary,
    batch: SpanBatch,
    template_numbers: HashTable<u32>,
    /// Attributes of the span to come.
    attributes: AttributeList,
    /// Attributes of a resource, an event or a link.
    others: AttributeList,
    /// By name: the last row with it.
    rows_by_name: Vec<u32>,
    /// The row that the span to come may be like.
    model: Option<u32>,
    events_at: usize,
    links_at: usize,
    entries_at: usize,
    overflowed: bool,
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

    /// The name of the span to come; `None` if it is no UTF-8. With it first, the rest is guessed from the last span of
    /// the same name.
    pub fn name(&mut self, name: &[u8]) -> Option<TextId> {
        let last =
            self.batch.heads.last().map_or(TextId::NONE, |head| self.batch.templates[head.template as usize].span_name);
        let name = self.vocabulary.texts.intern_bytes(name, last)?;
        self.model = self.rows_by_name.get(name.0 as usize).copied().filter(|row| *row != u32::MAX);
        if !self.attributes.is_empty() {
            self.attributes.distrust();
        }
        Some(name)
    }

    /// The length of a text in bytes.
    pub fn text_bytes(&self, id: TextId) -> usize {
        self.vocabulary.texts.length(id)
    }

    /// The attributes of the span to come.
    #[inline]
    pub fn attributes(&mut self) -> AttributesBuilder<'_> {
        let (expected_keys, expected_values) = expected(&self.batch, self.model);
        let Self { vocabulary, attributes, .. } = self;
        AttributesBuilder { vocabulary, list: attributes, expected_keys, expected_values }
    }

    /// Forgets the attributes of the span to come.
    pub fn clear_attributes(&mut self) {
        self.attributes.begin();
    }

    /// Forgets all of the span to come.
    pub fn discard(&mut self) {
        self.attributes.begin();
        self.model = None;
        self.batch.events.truncate(self.events_at);
        self.batch.links.truncate(self.links_at);
        self.batch.entries.truncate(self.entries_at);
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
        let Self { vocabulary, others, batch, overflowed, .. } = self;
        others.begin();
        fill(&mut AttributesBuilder { vocabulary, list: others, expected_keys: &[], expected_values: &[] });
        let start = number_of(batch.entries.len(), overflowed);
        batch.entries.extend_from_slice(others.finish(&[]).0);
        Range { start, end: number_of(batch.entries.len(), overflowed) }
    }

    /// Ends a span with its scalar fields.
    pub fn append(&mut self, span: &SpanFields<'_>) {
        let name = match span.span_name {
            Name::Known(name) => name,
            Name::Text(name) => self.name(name.as_bytes()).unwrap_or(TextId::NONE),
        };
        let Self { vocabulary, batch, template_numbers, attributes, overflowed, .. } = self;
        let model = self.model.and_then(|row| batch.heads.get(row as usize)).map(|head| head.template);
        let model = model.and_then(|number| Some((number, *batch.templates.get(number as usize)?)));
        let like = |part: fn(&Template) -> TextId| model.map_or(TextId::NONE, |(_, model)| part(&model));
        let texts = &mut vocabulary.texts;
        let template = Template {
            origin: span.origin,
            span_name: name,
            kind: texts.intern(span.kind, like(|model| model.kind)),
            status_code: texts.intern(span.status_code, like(|model| model.status_code)),
            status_message: optional(texts, span.status_message, like(|model| model.status_message)),
            trace_state: optional(texts, span.trace_state, like(|model| model.trace_state)),
            flags: span.flags,
            keys_start: model.map_or(0, |(_, model)| model.keys_start),
            keys_end: model.map_or(0, |(_, model)| model.keys_end),
        };
        let expected_keys =
            batch.keys.get(template.keys_start as usize..template.keys_end as usize).unwrap_or_default();
        let (entries, is_as_expected) = attributes.finish(expected_keys);
        let number = match model {
            Some((number, model)) if is_as_expected && model == template => number,
            _ => template_number(batch, template_numbers, template, entries, overflowed),
        };
        let row = number_of(batch.heads.len(), overflowed);
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
        batch.values.extend(entries.iter().map(|entry| entry.value));
        if !name.is_none() {
            set(&mut self.rows_by_name, name.0, row, u32::MAX);
        }
        self.model = None;
        attributes.begin();
        self.events_at = batch.events.len();
        self.links_at = batch.links.len();
        self.entries_at = batch.entries.len();
    }

    /// Appends a span of another batch. `origins` remembers which of its origins are here already.
    pub fn copy(&mut self, from: &SpanBatch, row: usize, origins: &mut CopiedOrigins) {
        let head = &from.heads()[row];
        let template = from.template(row);
        let origin = self.copy_origin(from, template, origins);
        let text = |id: TextId| (!id.is_none()).then(|| from.texts().text(id));
        self.name(from.texts().bytes(template.span_name));
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
            span_name: from.texts().text(template.span_name).into(),
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

/// What the span to come may have, from the row that it may be like.
fn expected(batch: &SpanBatch, model: Option<u32>) -> (&[TypedKey], &[ValueId]) {
    let Some(head) = model.and_then(|row| batch.heads.get(row as usize)) else { return (&[], &[]) };
    let template = &batch.templates[head.template as usize];
    let keys = batch.keys(template);
    let start = head.values_at as usize;
    (keys, batch.values.get(start..start + keys.len()).unwrap_or_default())
}

/// The number of the template with these keys.
fn template_number(
    batch: &mut SpanBatch,
    numbers: &mut HashTable<u32>,
    mut template: Template,
    entries: &[Entry],
    overflowed: &mut bool,
) -> u32 {
    let SpanBatch { templates, keys, .. } = batch;
    (template.keys_start, template.keys_end) = (0, 0);
    let hash = template_hash(&template, entries.iter().map(|entry| entry.key));
    let is_same = |known: &Template| {
        let of_known = keys.get(known.keys_start as usize..known.keys_end as usize).unwrap_or_default();
        Template { keys_start: 0, keys_end: 0, ..*known } == template
            && of_known.iter().eq(entries.iter().map(|entry| &entry.key))
    };
    if let Some(number) = numbers.find(hash, |number| is_same(&templates[*number as usize])) {
        return *number;
    }
    let number = number_of(templates.len(), overflowed);
    template.keys_start = number_of(keys.len(), overflowed);
    keys.extend(entries.iter().map(|entry| entry.key));
    template.keys_end = number_of(keys.len(), overflowed);
    templates.push(template);
    numbers.insert_unique(hash, number, |number| {
        let known = &templates[*number as usize];
        let of_known = keys.get(known.keys_start as usize..known.keys_end as usize).unwrap_or_default();
        template_hash(known, of_known.iter().copied())
    });
    number
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
