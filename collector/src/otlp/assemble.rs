//! The rules for spans, the same for both encodings, and the batch that comes of them.

use std::borrow::Cow;
use std::cell::Cell;

use storage::model::{
    Name, OriginId, Pushed, ResourceId, SpanBatch, SpanBatchBuilder, SpanFields, SpanId, TextId, TraceId, UnixNanos,
    Value as Raw,
};

use super::attributes::{Attributes, SpanAttributes};
use super::findings::{Findings, cut_to};
use super::folded::{DROPPED_ATTRIBUTES, DROPPED_EVENTS, DROPPED_LINKS, SCHEMA_URL, SCOPE_DROPPED, SCOPE_PREFIX};
use super::rejected::{Cause, Reason, Rejected, Warnings};
use super::span::{Event, Link, RawId, Resource, Scope, Span, Text};
use super::value::Value;
use super::words::{kind_word, status_word};
use crate::{Error, Limits, Result};

const UNKNOWN_SERVICE: &str = "unknown_service";

/// What a row takes in columns, attributes apart.
const ROW_BYTES: usize = 200;

/// A resource that is ready for its spans.
#[derive(Debug)]
pub struct SettledResource<'a> {
    service_name: String,
    attributes: Attributes<'a>,
    too_deep: bool,
    /// Once a span of it was stored.
    stored: Cell<Option<(ResourceId, usize)>>,
}

/// A scope that is ready for its spans; its attributes have the names that they get on spans.
#[derive(Debug)]
pub struct SettledScope<'a> {
    name: Text<'a>,
    version: Text<'a>,
    attributes: Attributes<'a>,
    too_deep: bool,
    /// Once a span of it was stored; and what its origin takes as columns, which repeat it.
    stored: Cell<Option<(OriginId, usize)>>,
}

/// The parts of a span that had to be judged.
struct Judged {
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    start: UnixNanos,
    duration_nanos: i64,
}

type Refusal = (Reason, String);

/// Takes spans in the order of the request.
#[derive(Debug)]
pub struct Assembler<'l> {
    pub limits: &'l Limits,
    /// Times of spans must be within these.
    earliest_unix_nanos: u64,
    latest_unix_nanos: u64,
    builder: SpanBatchBuilder,
    rejected: Rejected,
    warnings: Warnings,
    next_index: u64,
    decoded_bytes: usize,
    scratch: String,
}

impl<'l> Assembler<'l> {
    pub fn new(limits: &'l Limits, arrival: UnixNanos) -> Self {
        let arrival = u64::try_from(arrival.0).unwrap_or_default();
        let nanos = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        Self {
            limits,
            earliest_unix_nanos: limits.max_age_seconds.map_or(0, |age| arrival.saturating_sub(nanos(age))),
            // What is within this fits the signed times of the model.
            latest_unix_nanos: arrival.saturating_add(nanos(limits.future_seconds)).min(i64::MAX as u64),
            builder: SpanBatchBuilder::default(),
            rejected: Rejected::default(),
            warnings: Warnings::default(),
            next_index: 0,
            decoded_bytes: 0,
            scratch: String::new(),
        }
    }

    pub fn resource<'a>(&mut self, resource: Resource<'a>, findings: &mut Findings<'_>) -> SettledResource<'a> {
        let Resource { mut attributes, schema_url } = resource;
        attributes.settle(findings);
        let service_name = service_name(&attributes, findings);
        attributes.render(findings);
        if !schema_url.is_empty() {
            attributes.set(SCHEMA_URL.into(), Value::Text(schema_url));
        }
        let dropped = attributes.dropped_in_all();
        if dropped > 0 {
            attributes.set(DROPPED_ATTRIBUTES.into(), Value::Int(dropped.into()));
        }
        findings.report(&mut self.warnings, &service_name);
        SettledResource { service_name, attributes, too_deep: findings.too_deep, stored: Cell::new(None) }
    }

    pub fn scope<'a>(
        &mut self,
        scope: Scope<'a>,
        resource: &SettledResource<'_>,
        findings: &mut Findings<'_>,
    ) -> SettledScope<'a> {
        let Scope { name, version, mut attributes, schema_url } = scope;
        attributes.settle(findings);
        attributes.render(findings);
        let dropped = attributes.dropped_in_all();
        if dropped > 0 {
            attributes.set(SCOPE_DROPPED.into(), Value::Int(dropped.into()));
        }
        let mut attributes = attributes.prefixed(SCOPE_PREFIX);
        if !schema_url.is_empty() {
            attributes.set(SCHEMA_URL.into(), Value::Text(schema_url));
        }
        findings.report(&mut self.warnings, &resource.service_name);
        SettledScope { name, version, attributes, too_deep: findings.too_deep, stored: Cell::new(None) }
    }

    /// The name of the span to come, which had better be known before its attributes.
    pub fn name(&mut self, name: &[u8], findings: &mut Findings<'_>) -> Result<Option<TextId>> {
        if name.len() <= self.limits.text_bytes
            && let Some(name) = self.builder.name(name)
        {
            return Ok(Some(name));
        }
        Ok(self.builder.name(findings.text(name)?.as_bytes()))
    }

    /// An attribute of the span to come, with a value that the wire has in one piece.
    #[inline(always)]
    pub fn plain_attribute(
        &mut self,
        key: &[u8],
        value: Raw<'_>,
        to: &mut SpanAttributes,
        findings: &mut Findings<'_>,
    ) -> Result<()> {
        let value_bytes = match value {
            Raw::Text(text) => text.len(),
            _ => size_of::<u64>(),
        };
        let most = self.limits.text_bytes;
        if key.is_empty() || key.len() > most || value_bytes > most {
            return self.odd_attribute(key, value, to, findings);
        }
        if !to.take(findings) {
            return Ok(());
        }
        match self.builder.attributes().push(key, value) {
            Pushed::New => {}
            Pushed::Replaced => findings.note(Cause::DuplicateKey),
            Pushed::NotUtf8 => {
                to.give_back();
                return self.odd_attribute(key, value, to, findings);
            }
        }
        to.spend(key.len(), value_bytes);
        Ok(())
    }

    /// The same with text that is too long or no UTF-8.
    #[cold]
    fn odd_attribute(
        &mut self,
        key: &[u8],
        value: Raw<'_>,
        to: &mut SpanAttributes,
        findings: &mut Findings<'_>,
    ) -> Result<()> {
        let key = findings.text(key)?;
        let value = match value {
            Raw::Text(text) => Value::Text(findings.text(text)?),
            Raw::Int(value) => Value::Int(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Bool(value) => Value::Bool(value),
            Raw::Json(text) => Value::Json(text.to_owned()),
            Raw::Unset => Value::Unset,
        };
        self.attribute(&key, &value, to, findings)
    }

    /// An attribute of the span to come.
    pub fn attribute(
        &mut self,
        key: &str,
        value: &Value<'_>,
        to: &mut SpanAttributes,
        findings: &mut Findings<'_>,
    ) -> Result<()> {
        if key.is_empty() {
            findings.note(Cause::EmptyKey);
            return Ok(());
        }
        if !to.take(findings) {
            return Ok(());
        }
        let (pushed, value_bytes) = value.push(key, &mut self.builder.attributes(), findings, &mut self.scratch);
        if pushed == Pushed::Replaced {
            findings.note(Cause::DuplicateKey);
        }
        to.spend(key.len(), value_bytes);
        Ok(())
    }

    /// Forgets the attributes of the span to come.
    pub fn clear_attributes(&mut self, of: &mut SpanAttributes) {
        self.builder.clear_attributes();
        of.clear();
    }

    /// Judges a span, and stores or rejects it.
    pub fn span(
        &mut self,
        resource: &SettledResource<'_>,
        scope: &SettledScope<'_>,
        span: &mut Span<'_>,
        findings: &mut Findings<'_>,
    ) -> Result<()> {
        let index = self.next_index;
        self.next_index = index.saturating_add(1);
        let too_deep = findings.too_deep || resource.too_deep || scope.too_deep;
        let judged = match self.judge(span, too_deep, findings) {
            Ok(judged) => judged,
            Err((reason, detail)) => {
                self.builder.discard();
                self.rejected.add(reason, index, || detail);
                return Ok(());
            }
        };
        self.store(resource, scope, span, &judged, findings);
        findings.report(&mut self.warnings, &resource.service_name);
        if self.decoded_bytes > self.limits.decoded_bytes {
            let limit_bytes = self.limits.decoded_bytes as u64;
            return Err(Error::TooLarge { what: "the decoded request", limit_bytes });
        }
        Ok(())
    }

    /// The batch, and what is to be said of the rest.
    pub fn finish(mut self) -> Result<(Option<SpanBatch>, Rejected, Warnings)> {
        let batch = match self.builder.span_count() {
            0 => None,
            _ => Some(self.builder.finish().map_err(|error| Error::Internal(error.to_string()))?),
        };
        Ok((batch, self.rejected, self.warnings))
    }

    fn judge(
        &self,
        span: &Span<'_>,
        too_deep: bool,
        findings: &mut Findings<'_>,
    ) -> std::result::Result<Judged, Refusal> {
        let trace_id = trace_id(&span.trace_id).map_err(|detail| (Reason::InvalidTraceId, detail))?;
        let span_id = span_id(&span.span_id, "span id", "spanId").map_err(|detail| (Reason::InvalidSpanId, detail))?;
        let parent_span_id = parent_id(&span.parent_span_id, findings)?;
        if let Some(name) = &span.enum_name {
            let detail = format!("{name}: enums are numbers in OTLP/JSON");
            return Err((Reason::EnumName, detail));
        }
        if too_deep {
            let detail = format!("a value is nested deeper than {}", self.limits.value_depth);
            return Err((Reason::TooDeep, detail));
        }
        let (start, duration_nanos) = self.times(span, findings)?;
        Ok(Judged { trace_id, span_id, parent_span_id, start, duration_nanos })
    }

    fn times(&self, span: &Span<'_>, findings: &mut Findings<'_>) -> std::result::Result<(UnixNanos, i64), Refusal> {
        let (mut start, mut end) = (span.start_unix_nanos, span.end_unix_nanos);
        match (start, end) {
            (0, 0) => return Err((Reason::MissingTime, "neither start nor end is set".to_owned())),
            (0, _) => {
                findings.note(Cause::NoStart);
                start = end;
            }
            (_, 0) => {
                findings.note(Cause::NoEnd);
                end = start;
            }
            _ if end < start => findings.note(Cause::EndBeforeStart),
            _ => {}
        }
        let out_of_range = |detail: String| Err((Reason::TimeOutOfRange, detail));
        let latest = start.max(end);
        if latest > self.latest_unix_nanos {
            let seconds = self.limits.future_seconds;
            return out_of_range(format!("unix nanosecond {latest} is more than {seconds} s after the arrival"));
        }
        if latest < self.earliest_unix_nanos {
            return out_of_range(format!("unix nanosecond {latest} is before the retention's begin"));
        }
        // Both are at most `latest_unix_nanos`, which fits.
        let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        Ok((UnixNanos(signed(start)), signed(end.saturating_sub(start))))
    }

    fn store(
        &mut self,
        resource: &SettledResource<'_>,
        scope: &SettledScope<'_>,
        span: &mut Span<'_>,
        judged: &Judged,
        findings: &mut Findings<'_>,
    ) {
        let (origin, of_origin) = self.origin(resource, scope, findings);
        let mut spent = ROW_BYTES.saturating_add(of_origin);
        for event in span.events.iter_mut() {
            spent = spent.saturating_add(push_event(event, &mut self.builder, findings, &mut self.scratch));
        }
        findings.note_many(Cause::TooManyEvents, span.events.cut);
        let mut lost_links: u32 = span.links.cut;
        findings.note_many(Cause::TooManyLinks, lost_links);
        for link in span.links.iter_mut() {
            match push_link(link, &mut self.builder, findings, &mut self.scratch) {
                Some(bytes) => spent = spent.saturating_add(bytes),
                None => lost_links = lost_links.saturating_add(1),
            }
        }

        let counts = [
            (DROPPED_ATTRIBUTES, span.attributes.dropped_in_all()),
            (DROPPED_EVENTS, span.dropped_events.saturating_add(span.events.cut)),
            (DROPPED_LINKS, span.dropped_links.saturating_add(lost_links)),
        ];
        spent = spent.saturating_add(span.attributes.spent_bytes);
        let columns = &mut self.builder.attributes();
        spent = spent.saturating_add(scope.attributes.push_to(columns, findings, &mut self.scratch));
        for (key, count) in counts.iter().filter(|(_, count)| *count > 0) {
            columns.push_int(key, i64::from(*count));
        }

        spent = spent.saturating_add(span.name.map_or(0, |name| self.builder.text_bytes(name)));
        for text in [&span.status_message, &span.trace_state] {
            spent = spent.saturating_add(text.len());
        }
        let (kind_number, status_number);
        let kind = match kind_word(span.kind) {
            Some(word) => word,
            None => {
                kind_number = span.kind.to_string();
                &kind_number
            }
        };
        let status_code = match status_word(span.status_code) {
            Some(word) => word,
            None => {
                status_number = span.status_code.to_string();
                &status_number
            }
        };
        self.builder.append(&SpanFields {
            trace_id: judged.trace_id,
            span_id: judged.span_id,
            parent_span_id: judged.parent_span_id,
            origin,
            span_name: span.name.map_or(Name::Text(""), Name::Known),
            kind,
            status_code,
            status_message: non_empty(&span.status_message),
            start: judged.start,
            duration_nanos: judged.duration_nanos,
            trace_state: non_empty(&span.trace_state),
            flags: span.flags,
        });
        self.decoded_bytes = self.decoded_bytes.saturating_add(spent);
    }

    /// Where the spans of a scope come from, stored with the first of them; and the bytes that each of them has of it in
    /// columns.
    fn origin(
        &mut self,
        resource: &SettledResource<'_>,
        scope: &SettledScope<'_>,
        findings: &mut Findings<'_>,
    ) -> (OriginId, usize) {
        if let Some(known) = scope.stored.get() {
            return known;
        }
        let scratch = &mut self.scratch;
        let (of, of_resource) = resource.stored.get().unwrap_or_else(|| {
            let mut spent = 0;
            let of = self.builder.resource(|columns| spent = resource.attributes.push_to(columns, findings, scratch));
            (of, spent)
        });
        resource.stored.set(Some((of, of_resource)));
        let texts = [resource.service_name.len(), scope.name.len(), scope.version.len()];
        let spent = texts.into_iter().fold(of_resource, usize::saturating_add);
        let origin = self.builder.origin(of, &resource.service_name, non_empty(&scope.name), non_empty(&scope.version));
        scope.stored.set(Some((origin, spent)));
        (origin, spent)
    }
}

/// An event's row; returns the bytes it takes.
fn push_event(
    event: &mut Event<'_>,
    builder: &mut SpanBatchBuilder,
    findings: &mut Findings<'_>,
    scratch: &mut String,
) -> usize {
    let nanos = i64::try_from(event.time_unix_nanos).unwrap_or_else(|_| {
        findings.note(Cause::EventTime);
        i64::MAX
    });
    event.attributes.settle(findings);
    let mut spent = event.name.len().saturating_add(ROW_BYTES / 4);
    builder.event(UnixNanos(nanos), &event.name, |columns| {
        let dropped = event.attributes.dropped_in_all();
        if dropped > 0 {
            event.attributes.set(DROPPED_ATTRIBUTES.into(), Value::Int(dropped.into()));
        }
        spent = spent.saturating_add(event.attributes.push_to(columns, findings, scratch));
    });
    spent
}

/// A link's row; `None` if its ids are invalid.
fn push_link(
    link: &mut Link<'_>,
    builder: &mut SpanBatchBuilder,
    findings: &mut Findings<'_>,
    scratch: &mut String,
) -> Option<usize> {
    let (Ok(trace_id), Ok(span_id)) = (trace_id(&link.trace_id), span_id(&link.span_id, "", "")) else {
        findings.note(Cause::LinkIds);
        return None;
    };
    link.attributes.settle(findings);
    let mut spent = link.trace_state.len().saturating_add(ROW_BYTES / 4);
    builder.link(trace_id, span_id, non_empty(&link.trace_state), link.flags, |columns| {
        let dropped = link.attributes.dropped_in_all();
        if dropped > 0 {
            link.attributes.set(DROPPED_ATTRIBUTES.into(), Value::Int(dropped.into()));
        }
        spent = spent.saturating_add(link.attributes.push_to(columns, findings, scratch));
    });
    Some(spent)
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn service_name(attributes: &Attributes<'_>, findings: &mut Findings<'_>) -> String {
    let as_text = |text: String, findings: &mut Findings<'_>| {
        findings.note(Cause::ServiceName);
        text
    };
    match attributes.get("service.name") {
        Some(Value::Text(name)) if !name.is_empty() => name.to_string(),
        Some(Value::Int(number)) => as_text(number.to_string(), findings),
        Some(Value::Float(number)) => as_text(number.to_string(), findings),
        Some(Value::Bool(value)) => as_text(value.to_string(), findings),
        _ => UNKNOWN_SERVICE.to_owned(),
    }
}

fn trace_id(id: &RawId<'_>) -> std::result::Result<TraceId, String> {
    match id {
        RawId::Absent => Err(missing("trace id", "traceId")),
        RawId::Bytes(bytes) => TraceId::from_slice(bytes).map_err(|error| error.to_string()),
        RawId::Hex(text) => shortened(text).parse::<TraceId>().map_err(|error| error.to_string()),
    }
}

fn span_id(id: &RawId<'_>, what: &str, key: &str) -> std::result::Result<SpanId, String> {
    match id {
        RawId::Absent => Err(missing(what, key)),
        RawId::Bytes(bytes) => SpanId::from_slice(bytes).map_err(|error| error.to_string()),
        RawId::Hex(text) => shortened(text).parse::<SpanId>().map_err(|error| error.to_string()),
    }
}

/// A parent of no or zero bytes is none. Another length is a client's mistake that must not cost the span; text that
/// is no hex at all is none of OTLP's encodings.
fn parent_id(id: &RawId<'_>, findings: &mut Findings<'_>) -> std::result::Result<Option<SpanId>, Refusal> {
    if id.is_empty() {
        return Ok(None);
    }
    let is_zero = match id {
        RawId::Absent => true,
        RawId::Bytes(bytes) => bytes.len() == SpanId::LENGTH && bytes.iter().all(|byte| *byte == 0),
        RawId::Hex(text) => text.len() == 2 * SpanId::LENGTH && text.bytes().all(|digit| digit == b'0'),
    };
    if is_zero {
        return Ok(None);
    }
    match (span_id(id, "parent span id", "parentSpanId"), id) {
        (Ok(parent), _) => Ok(Some(parent)),
        (Err(_), RawId::Hex(text)) if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            let detail = format!("parent span id {:?} is not 16 hex digits", shortened(text));
            Err((Reason::InvalidSpanId, detail))
        }
        (Err(_), _) => {
            findings.note(Cause::ParentId);
            Ok(None)
        }
    }
}

fn missing(what: &str, json_key: &str) -> String {
    format!("{what} is missing (the JSON key is {json_key:?})")
}

/// Enough of an id's text to recognise it in a message, and too long for an id still.
fn shortened(text: &Text<'_>) -> Cow<'static, str> {
    // A copy, since the message outlives the request.
    Cow::Owned(cut_to(text, 64).to_owned())
}
