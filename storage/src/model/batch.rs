//! The spans of one request, in the least memory that still lets each be read by itself.
//!
//! A span is a [`Head`] of 64 bytes, which is what traces are assembled and derived from, and a value of 4 bytes for each
//! of its attributes. What spans of one operation have in common (names, kind, status, origin and the attributes' keys) is
//! a [`Template`], there once however many spans have it. Texts and numbers are there once, too.

use super::texts::{TextId, Texts};
use super::{SpanId, TraceId, UnixNanos};

/// A resource and a scope that spans come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OriginId(pub(super) u32);

/// A resource's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceId(pub(super) u32);

impl ResourceId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What each span has for itself alone.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// All zero at a root.
    pub(super) parent_span_id: [u8; 8],
    pub start: UnixNanos,
    pub duration_nanos: i64,
    pub template: u32,
    pub(super) values_at: u32,
    pub(super) events_at: u32,
    pub(super) links_at: u32,
}

impl Head {
    /// `None` at a root.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(self.parent_span_id).ok()
    }

    pub fn end(&self) -> UnixNanos {
        self.start.plus(self.duration_nanos)
    }
}

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    Text,
    Int,
    Float,
    Bool,
    Json,
}

impl ValueType {
    pub const ALL: [ValueType; 5] = [Self::Text, Self::Int, Self::Float, Self::Bool, Self::Json];

    fn of(code: u32) -> Self {
        match code {
            0 => Self::Text,
            1 => Self::Int,
            2 => Self::Float,
            3 => Self::Bool,
            _ => Self::Json,
        }
    }
}

/// An attribute's key and type in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypedKey(u32);

/// Keys have the low bits; a batch's texts are bounded far below that.
const KEY_BITS: u32 = 29;

impl TypedKey {
    pub(super) const MAX_TEXTS: usize = 1 << KEY_BITS;
    /// No key: its type is none.
    pub(super) const REPLACED: Self = Self(u32::MAX);

    pub(super) fn new(key: TextId, value_type: ValueType) -> Self {
        Self((value_type as u32) << KEY_BITS | key.0 & ((1 << KEY_BITS) - 1))
    }

    pub fn key(self) -> TextId {
        TextId(self.0 & ((1 << KEY_BITS) - 1))
    }

    pub fn value_type(self) -> ValueType {
        ValueType::of(self.0 >> KEY_BITS)
    }
}

/// An attribute's value by number: of a text for [`ValueType::Text`] and [`ValueType::Json`], of a word for
/// [`ValueType::Int`] and [`ValueType::Float`], and 0 or 1 for [`ValueType::Bool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueId(pub u32);

impl ValueId {
    /// A value that the client left unset.
    pub const UNSET: Self = Self(u32::MAX);
}

/// An attribute of a resource, an event or a link.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub key: TypedKey,
    pub value: ValueId,
}

/// A range of the batch's entries.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub start: u32,
    pub end: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub time: UnixNanos,
    pub name: TextId,
    pub(super) attributes: Range,
}

#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub trace_state: TextId,
    pub flags: u32,
    pub(super) attributes: Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub resource: u32,
    pub service_name: TextId,
    pub scope_name: TextId,
    pub scope_version: TextId,
}

/// What spans have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Template {
    pub origin: OriginId,
    pub span_name: TextId,
    pub kind: TextId,
    pub status_code: TextId,
    pub status_message: TextId,
    pub trace_state: TextId,
    pub flags: u32,
    /// Of the batch's keys.
    pub(super) keys_start: u32,
    pub(super) keys_end: u32,
}

/// Spans in the order of their request. Immutable.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    pub(super) heads: Vec<Head>,
    pub(super) templates: Vec<Template>,
    pub(super) keys: Vec<TypedKey>,
    pub(super) values: Vec<ValueId>,
    pub(super) origins: Vec<Origin>,
    pub(super) resources: Vec<Range>,
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<Link>,
    pub(super) texts: Texts,
    /// Little-endian, as files have them.
    pub(super) words: Vec<[u8; 8]>,
    pub(super) may_be_thinned: bool,
}

fn part<T>(all: &[T], start: u32, end: u32) -> &[T] {
    all.get(start as usize..end as usize).unwrap_or_default()
}

impl SpanBatch {
    pub fn span_count(&self) -> usize {
        self.heads.len()
    }

    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Whether its spans may stand for others that were not sampled at their source, though nothing in them says so.
    pub fn may_be_thinned(&self) -> bool {
        self.may_be_thinned
    }

    pub fn note_thinned(&mut self) {
        self.may_be_thinned = true;
    }

    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The number behind a value of [`ValueType::Int`], or the bits of one of [`ValueType::Float`].
    pub fn word(&self, id: ValueId) -> u64 {
        u64::from_le_bytes(self.words.get(id.0 as usize).copied().unwrap_or_default())
    }

    /// The eight little-endian bytes of [`word`](Self::word).
    pub fn word_bytes(&self, id: ValueId) -> &[u8] {
        self.words.get(id.0 as usize).map_or(&[0; 8], |word| word)
    }

    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    pub fn template(&self, row: usize) -> &Template {
        &self.templates[self.heads[row].template as usize]
    }

    pub fn service_name(&self, template: &Template) -> TextId {
        self.origins[template.origin.0 as usize].service_name
    }

    pub fn scope_name(&self, template: &Template) -> TextId {
        self.origins[template.origin.0 as usize].scope_name
    }

    pub fn scope_version(&self, template: &Template) -> TextId {
        self.origins[template.origin.0 as usize].scope_version
    }

    pub fn resource_of(&self, template: &Template) -> ResourceId {
        ResourceId(self.origins[template.origin.0 as usize].resource)
    }

    pub fn resources(&self) -> impl Iterator<Item = ResourceId> {
        (0..self.resources.len() as u32).map(ResourceId)
    }

    pub fn resource_count(&self) -> usize {
        self.resources.len()
    }

    pub fn resource(&self, resource: ResourceId) -> &[Entry] {
        self.resources.get(resource.0 as usize).map_or(&[], |range| self.entries(*range))
    }

    fn entries(&self, range: Range) -> &[Entry] {
        part(&self.entries, range.start, range.end)
    }

    /// The keys that the values of [`values`](Self::values) have, in the same order.
    pub fn keys(&self, template: &Template) -> &[TypedKey] {
        part(&self.keys, template.keys_start, template.keys_end)
    }

    pub fn values(&self, row: usize) -> &[ValueId] {
        let head = &self.heads[row];
        let template = &self.templates[head.template as usize];
        part(&self.values, head.values_at, head.values_at + (template.keys_end - template.keys_start))
    }

    pub fn events(&self, row: usize) -> &[Event] {
        let end = self.heads.get(row + 1).map_or(self.events.len() as u32, |next| next.events_at);
        part(&self.events, self.heads[row].events_at, end)
    }

    pub fn links(&self, row: usize) -> &[Link] {
        let end = self.heads.get(row + 1).map_or(self.links.len() as u32, |next| next.links_at);
        part(&self.links, self.heads[row].links_at, end)
    }

    pub fn event_attributes(&self, event: &Event) -> &[Entry] {
        self.entries(event.attributes)
    }

    pub fn link_attributes(&self, link: &Link) -> &[Entry] {
        self.entries(link.attributes)
    }

    /// The memory that the batch takes.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.heads)
            + size_of_val(&*self.templates)
            + size_of_val(&*self.keys)
            + size_of_val(&*self.values)
            + size_of_val(&*self.origins)
            + size_of_val(&*self.resources)
            + size_of_val(&*self.entries)
            + size_of_val(&*self.events)
            + size_of_val(&*self.links)
            + size_of_val(&*self.words)
            + self.texts.size_bytes()
            + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_one_cache_line() {
        assert_eq!(size_of::<Head>(), 64);
    }
}
