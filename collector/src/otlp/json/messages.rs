//! The messages of `trace.proto`, key by key.
//!
//! Objects that hold spans are passed over first, because a span needs its resource, which may come after it.

use super::fields::{enum_number, field, id, u32, u64};
use super::reader::{Reader, Step};
use super::values::{attributes, places, span_attributes};
use crate::Result;
use crate::otlp::assemble::{Assembler, SettledResource};
use crate::otlp::findings::Findings;
use crate::otlp::span::{Event, Link, Resource, Scope, Span};

/// Reads a request into `assembler`.
pub fn decode(request: &[u8], assembler: &mut Assembler<'_>) -> Result<()> {
    if request.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(request);
    let [resources] = places(&mut reader, ["resourceSpans"])?;
    reader.end()?;
    let Some(resources) = resources else { return Ok(()) };
    reader.seek(resources);
    let mut span = Span::default();
    reader.within(Step::Key("resourceSpans"), |reader| {
        reader.array(|reader| resource_spans(reader, &mut span, assembler))
    })
}

fn resource_spans<'a>(reader: &mut Reader<'a>, span: &mut Span<'a>, assembler: &mut Assembler<'_>) -> Result<()> {
    let [at_resource, at_scopes, at_schema_url] = places(reader, ["resource", "scopeSpans", "schemaUrl"])?;
    let end = reader.position();
    let mut findings = Findings::new(assembler.limits);
    let mut read = Resource::default();
    if let Some(at) = at_resource {
        reader.seek(at);
        reader.within(Step::Key("resource"), |reader| resource(reader, &mut read, &mut findings))?;
    }
    if let Some(at) = at_schema_url {
        reader.seek(at);
        read.schema_url = field(reader, "schemaUrl", |reader| reader.string(&mut findings))?;
    }
    let settled = assembler.resource(read, &mut findings);
    if let Some(at) = at_scopes {
        reader.seek(at);
        reader.within(Step::Key("scopeSpans"), |reader| {
            reader.array(|reader| scope_spans(reader, &settled, span, assembler))
        })?;
    }
    reader.seek(end);
    Ok(())
}

fn resource<'a>(reader: &mut Reader<'a>, to: &mut Resource<'a>, findings: &mut Findings<'_>) -> Result<()> {
    reader.object(|reader, name| match name {
        "attributes" => attributes(reader, "attributes", &mut to.attributes, findings),
        "droppedAttributesCount" => {
            to.attributes.dropped = field(reader, "droppedAttributesCount", u32)?;
            Ok(())
        }
        _ => reader.skip(),
    })
}

fn scope_spans<'a>(
    reader: &mut Reader<'a>,
    resource: &SettledResource<'a>,
    span: &mut Span<'a>,
    assembler: &mut Assembler<'_>,
) -> Result<()> {
    let [at_scope, at_spans, at_schema_url] = places(reader, ["scope", "spans", "schemaUrl"])?;
    let end = reader.position();
    let mut findings = Findings::new(assembler.limits);
    let mut read = Scope::default();
    if let Some(at) = at_scope {
        reader.seek(at);
        reader.within(Step::Key("scope"), |reader| scope(reader, &mut read, &mut findings))?;
    }
    if let Some(at) = at_schema_url {
        reader.seek(at);
        read.schema_url = field(reader, "schemaUrl", |reader| reader.string(&mut findings))?;
    }
    let settled = assembler.scope(read, resource, &mut findings);
    if let Some(at) = at_spans {
        reader.seek(at);
        reader.within(Step::Key("spans"), |reader| {
            reader.array(|reader| {
                findings.clear();
                span.clear();
                read_span(reader, span, assembler, &mut findings)?;
                assembler.span(resource, &settled, span, &mut findings)
            })
        })?;
    }
    reader.seek(end);
    Ok(())
}

fn scope<'a>(reader: &mut Reader<'a>, to: &mut Scope<'a>, findings: &mut Findings<'_>) -> Result<()> {
    reader.object(|reader, name| {
        match name {
            "name" => to.name = field(reader, "name", |reader| reader.string(findings))?,
            "version" => to.version = field(reader, "version", |reader| reader.string(findings))?,
            "attributes" => attributes(reader, "attributes", &mut to.attributes, findings)?,
            "droppedAttributesCount" => to.attributes.dropped = field(reader, "droppedAttributesCount", u32)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn read_span<'a>(
    reader: &mut Reader<'a>,
    span: &mut Span<'a>,
    assembler: &mut Assembler<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let (mut kind_name, mut code_name) = (None, None);
    reader.object(|reader, name| {
        match name {
            "traceId" => span.trace_id = field(reader, "traceId", |reader| id(reader, findings))?,
            "spanId" => span.span_id = field(reader, "spanId", |reader| id(reader, findings))?,
            "parentSpanId" => span.parent_span_id = field(reader, "parentSpanId", |reader| id(reader, findings))?,
            "traceState" => span.trace_state = field(reader, "traceState", |reader| reader.string(findings))?,
            "flags" => span.flags = field(reader, "flags", u32)?,
            "name" => {
                let name = field(reader, "name", |reader| reader.string(findings))?;
                span.name = assembler.name(name.as_bytes(), findings)?;
            }
            "kind" => {
                kind_name = None;
                span.kind = field(reader, "kind", |reader| enum_number(reader, "kind", &mut kind_name, findings))?;
            }
            "startTimeUnixNano" => span.start_unix_nanos = field(reader, "startTimeUnixNano", u64)?,
            "endTimeUnixNano" => span.end_unix_nanos = field(reader, "endTimeUnixNano", u64)?,
            "attributes" => span_attributes(reader, &mut span.attributes, assembler, findings)?,
            "droppedAttributesCount" => span.attributes.dropped = field(reader, "droppedAttributesCount", u32)?,
            "events" => {
                span.events.clear();
                field(reader, "events", |reader| {
                    reader.array(|reader| match span.next_event(findings)? {
                        Some(to) => event(reader, to, findings),
                        None => event(reader, &mut Event::default(), findings),
                    })
                })?;
            }
            "droppedEventsCount" => span.dropped_events = field(reader, "droppedEventsCount", u32)?,
            "links" => {
                span.links.clear();
                field(reader, "links", |reader| {
                    reader.array(|reader| match span.next_link(findings)? {
                        Some(to) => link(reader, to, findings),
                        None => link(reader, &mut Link::default(), findings),
                    })
                })?;
            }
            "droppedLinksCount" => span.dropped_links = field(reader, "droppedLinksCount", u32)?,
            "status" => {
                span.status_code = 0;
                span.status_message = "".into();
                code_name = None;
                field(reader, "status", |reader| status(reader, span, &mut code_name, findings))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    span.enum_name = kind_name.or(code_name);
    Ok(())
}

fn event<'a>(reader: &mut Reader<'a>, to: &mut Event<'a>, findings: &mut Findings<'_>) -> Result<()> {
    reader.object(|reader, name| {
        match name {
            "timeUnixNano" => to.time_unix_nanos = field(reader, "timeUnixNano", u64)?,
            "name" => to.name = field(reader, "name", |reader| reader.string(findings))?,
            "attributes" => attributes(reader, "attributes", &mut to.attributes, findings)?,
            "droppedAttributesCount" => to.attributes.dropped = field(reader, "droppedAttributesCount", u32)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn link<'a>(reader: &mut Reader<'a>, to: &mut Link<'a>, findings: &mut Findings<'_>) -> Result<()> {
    reader.object(|reader, name| {
        match name {
            "traceId" => to.trace_id = field(reader, "traceId", |reader| id(reader, findings))?,
            "spanId" => to.span_id = field(reader, "spanId", |reader| id(reader, findings))?,
            "traceState" => to.trace_state = field(reader, "traceState", |reader| reader.string(findings))?,
            "attributes" => attributes(reader, "attributes", &mut to.attributes, findings)?,
            "droppedAttributesCount" => to.attributes.dropped = field(reader, "droppedAttributesCount", u32)?,
            "flags" => to.flags = field(reader, "flags", u32)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

fn status<'a>(
    reader: &mut Reader<'a>,
    span: &mut Span<'a>,
    code_name: &mut Option<String>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    reader.object(|reader, name| {
        match name {
            "message" => span.status_message = field(reader, "message", |reader| reader.string(findings))?,
            "code" => {
                *code_name = None;
                span.status_code =
                    field(reader, "code", |reader| enum_number(reader, "status.code", code_name, findings))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    })
}
