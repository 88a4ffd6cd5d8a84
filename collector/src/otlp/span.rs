//! One span as a reader fills it, borrowed from the request wherever possible.
//!
//! Readers put in what the bytes say; `assemble` judges it. The name and the attributes, which are most of a span, go
//! straight to the batch that is built. A [`Span`] is reused from span to span, so that its lists are allocated once a
//! request.

use std::borrow::Cow;

use storage::model::TextId;

use super::attributes::{Attributes, SpanAttributes};
use super::findings::Findings;
use crate::Result;

pub type Text<'a> = Cow<'a, str>;

/// An id as the client wrote it.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum RawId<'a> {
    #[default]
    Absent,
    Bytes(&'a [u8]),
    /// JSON has ids in hex.
    Hex(Text<'a>),
}

impl RawId<'_> {
    pub fn is_empty(&self) -> bool {
        match self {
            RawId::Absent => true,
            RawId::Bytes(bytes) => bytes.is_empty(),
            RawId::Hex(text) => text.is_empty(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Resource<'a> {
    pub attributes: Attributes<'a>,
    pub schema_url: Text<'a>,
}

#[derive(Debug, Default)]
pub struct Scope<'a> {
    pub name: Text<'a>,
    pub version: Text<'a>,
    pub attributes: Attributes<'a>,
    pub schema_url: Text<'a>,
}

#[derive(Debug, Default)]
pub struct Event<'a> {
    pub time_unix_nanos: u64,
    pub name: Text<'a>,
    pub attributes: Attributes<'a>,
}

impl Event<'_> {
    fn clear(&mut self) {
        self.time_unix_nanos = 0;
        self.name = Text::default();
        self.attributes.clear();
    }
}

#[derive(Debug, Default)]
pub struct Link<'a> {
    pub trace_id: RawId<'a>,
    pub span_id: RawId<'a>,
    pub trace_state: Text<'a>,
    pub flags: u32,
    pub attributes: Attributes<'a>,
}

impl Link<'_> {
    fn clear(&mut self) {
        self.trace_id = RawId::Absent;
        self.span_id = RawId::Absent;
        self.trace_state = Text::default();
        self.flags = 0;
        self.attributes.clear();
    }
}

/// A list whose items keep their own allocations when it is cleared.
#[derive(Debug)]
pub struct Slots<T> {
    items: Vec<T>,
    used: usize,
    /// Items that the limit left no place for.
    pub cut: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { items: Vec::new(), used: 0, cut: 0 }
    }
}

impl<T: Default> Slots<T> {
    /// The next place, cleared; `None` beyond `limit`.
    fn next(&mut self, limit: usize, clear: fn(&mut T)) -> Option<&mut T> {
        if self.used >= limit {
            self.cut = self.cut.saturating_add(1);
            return None;
        }
        if self.used == self.items.len() {
            self.items.push(T::default());
        }
        let at = self.used;
        self.used += 1;
        let item = self.items.get_mut(at)?;
        clear(item);
        Some(item)
    }

    pub fn clear(&mut self) {
        self.used = 0;
        self.cut = 0;
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().take(self.used)
    }
}

#[derive(Debug, Default)]
pub struct Span<'a> {
    pub trace_id: RawId<'a>,
    pub span_id: RawId<'a>,
    pub parent_span_id: RawId<'a>,
    pub trace_state: Text<'a>,
    pub flags: u32,
    /// In the batch that is built; `None` if it is empty.
    pub name: Option<TextId>,
    pub kind: i32,
    pub start_unix_nanos: u64,
    pub end_unix_nanos: u64,
    pub attributes: SpanAttributes,
    pub events: Slots<Event<'a>>,
    pub dropped_events: u32,
    pub links: Slots<Link<'a>>,
    pub dropped_links: u32,
    pub status_message: Text<'a>,
    pub status_code: i32,
    /// A name where JSON wants an enum's number.
    pub enum_name: Option<String>,
}

impl<'a> Span<'a> {
    pub fn clear(&mut self) {
        self.trace_id = RawId::Absent;
        self.span_id = RawId::Absent;
        self.parent_span_id = RawId::Absent;
        self.trace_state = Text::default();
        self.flags = 0;
        self.name = None;
        self.kind = 0;
        self.start_unix_nanos = 0;
        self.end_unix_nanos = 0;
        self.attributes = SpanAttributes::default();
        self.events.clear();
        self.dropped_events = 0;
        self.links.clear();
        self.dropped_links = 0;
        self.status_message = Text::default();
        self.status_code = 0;
        self.enum_name = None;
    }

    /// A place for one more event, cleared; `None` beyond the limit.
    pub fn next_event(&mut self, findings: &mut Findings<'_>) -> Result<Option<&mut Event<'a>>> {
        findings.charge(size_of::<Event<'_>>())?;
        Ok(self.events.next(findings.limits.events_per_span, Event::clear))
    }

    pub fn next_link(&mut self, findings: &mut Findings<'_>) -> Result<Option<&mut Link<'a>>> {
        findings.charge(size_of::<Link<'_>>())?;
        Ok(self.links.next(findings.limits.links_per_span, Link::clear))
    }
}
