//! The messages of `trace.proto`, field by field.

use super::values::{attribute, span_attribute};
use super::wire::{FIXED32, FIXED64, LENGTH, Reader, VARINT};
use crate::Result;
use crate::otlp::assemble::{Assembler, SettledResource, SettledScope};
use crate::otlp::findings::Findings;
use crate::otlp::span::{Event, Link, RawId, Resource, Scope, Span};

/// Reads a request into `assembler`.
pub fn decode(request: &[u8], assembler: &mut Assembler<'_>) -> Result<()> {
    let mut reader = Reader::new(request);
    let mut span = Span::default();
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "resource_spans")?;
                resource_spans(reader.message()?, &mut span, assembler)?;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

/// Twice over the fields: the resource may come after the spans that need it.
fn resource_spans<'a>(reader: Reader<'a>, span: &mut Span<'a>, assembler: &mut Assembler<'_>) -> Result<()> {
    let mut findings = Findings::new(assembler.limits);
    let mut merged = Resource::default();
    let mut fields = reader.clone();
    while let Some((number, wire_type)) = fields.field()? {
        match number {
            1 => {
                fields.expect(wire_type, LENGTH, "ResourceSpans.resource")?;
                resource(fields.message()?, &mut merged, &mut findings)?;
            }
            3 => {
                fields.expect(wire_type, LENGTH, "ResourceSpans.schema_url")?;
                merged.schema_url = findings.text(fields.bytes()?)?;
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    let settled = assembler.resource(merged, &mut findings);

    let mut fields = reader;
    while let Some((number, wire_type)) = fields.field()? {
        match number {
            2 => {
                fields.expect(wire_type, LENGTH, "ResourceSpans.scope_spans")?;
                scope_spans(fields.message()?, &settled, span, assembler)?;
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn resource<'a>(mut reader: Reader<'a>, to: &mut Resource<'a>, findings: &mut Findings<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "Resource.attributes")?;
                attribute(reader.message()?, &mut to.attributes, findings)?;
            }
            2 => {
                reader.expect(wire_type, VARINT, "Resource.dropped_attributes_count")?;
                to.attributes.dropped = truncated(reader.varint()?);
            }
            3 => {
                reader.expect(wire_type, LENGTH, "Resource.entity_refs")?;
                entity_ref(reader.message()?)?;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

/// Checked, not kept: the attributes that it refers to say the same.
fn entity_ref(mut reader: Reader<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        if (1..=4).contains(&number) {
            reader.expect(wire_type, LENGTH, "a field of EntityRef")?;
        }
        reader.skip(number, wire_type)?;
    }
    Ok(())
}

fn scope_spans<'a>(
    reader: Reader<'a>,
    resource: &SettledResource<'a>,
    span: &mut Span<'a>,
    assembler: &mut Assembler<'_>,
) -> Result<()> {
    let mut findings = Findings::new(assembler.limits);
    let mut merged = Scope::default();
    let mut fields = reader.clone();
    while let Some((number, wire_type)) = fields.field()? {
        match number {
            1 => {
                fields.expect(wire_type, LENGTH, "ScopeSpans.scope")?;
                scope(fields.message()?, &mut merged, &mut findings)?;
            }
            3 => {
                fields.expect(wire_type, LENGTH, "ScopeSpans.schema_url")?;
                merged.schema_url = findings.text(fields.bytes()?)?;
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    let settled: SettledScope<'a> = assembler.scope(merged, resource, &mut findings);

    let mut fields = reader;
    while let Some((number, wire_type)) = fields.field()? {
        match number {
            2 => {
                fields.expect(wire_type, LENGTH, "ScopeSpans.spans")?;
                findings.clear();
                span.clear();
                read_span(fields.message()?, span, assembler, &mut findings)?;
                assembler.span(resource, &settled, span, &mut findings)?;
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn scope<'a>(mut reader: Reader<'a>, to: &mut Scope<'a>, findings: &mut Findings<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "InstrumentationScope.name")?;
                to.name = findings.text(reader.bytes()?)?;
            }
            2 => {
                reader.expect(wire_type, LENGTH, "InstrumentationScope.version")?;
                to.version = findings.text(reader.bytes()?)?;
            }
            3 => {
                reader.expect(wire_type, LENGTH, "InstrumentationScope.attributes")?;
                attribute(reader.message()?, &mut to.attributes, findings)?;
            }
            4 => {
                reader.expect(wire_type, VARINT, "InstrumentationScope.dropped_attributes_count")?;
                to.attributes.dropped = truncated(reader.varint()?);
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn read_span<'a>(
    mut reader: Reader<'a>,
    span: &mut Span<'a>,
    assembler: &mut Assembler<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "Span.trace_id")?;
                span.trace_id = RawId::Bytes(reader.bytes()?);
            }
            2 => {
                reader.expect(wire_type, LENGTH, "Span.span_id")?;
                span.span_id = RawId::Bytes(reader.bytes()?);
            }
            3 => {
                reader.expect(wire_type, LENGTH, "Span.trace_state")?;
                span.trace_state = findings.text(reader.bytes()?)?;
            }
            4 => {
                reader.expect(wire_type, LENGTH, "Span.parent_span_id")?;
                span.parent_span_id = RawId::Bytes(reader.bytes()?);
            }
            5 => {
                reader.expect(wire_type, LENGTH, "Span.name")?;
                span.name = assembler.name(reader.bytes()?, findings)?;
            }
            6 => {
                reader.expect(wire_type, VARINT, "Span.kind")?;
                span.kind = truncated(reader.varint()?).cast_signed();
            }
            7 => {
                reader.expect(wire_type, FIXED64, "Span.start_time_unix_nano")?;
                span.start_unix_nanos = reader.fixed64()?;
            }
            8 => {
                reader.expect(wire_type, FIXED64, "Span.end_time_unix_nano")?;
                span.end_unix_nanos = reader.fixed64()?;
            }
            9 => {
                reader.expect(wire_type, LENGTH, "Span.attributes")?;
                span_attribute(reader.message()?, &mut span.attributes, assembler, findings)?;
            }
            10 => {
                reader.expect(wire_type, VARINT, "Span.dropped_attributes_count")?;
                span.attributes.dropped = truncated(reader.varint()?);
            }
            11 => {
                reader.expect(wire_type, LENGTH, "Span.events")?;
                let message = reader.message()?;
                match span.next_event(findings)? {
                    Some(to) => event(message, to, findings)?,
                    None => event(message, &mut Event::default(), findings)?,
                }
            }
            12 => {
                reader.expect(wire_type, VARINT, "Span.dropped_events_count")?;
                span.dropped_events = truncated(reader.varint()?);
            }
            13 => {
                reader.expect(wire_type, LENGTH, "Span.links")?;
                let message = reader.message()?;
                match span.next_link(findings)? {
                    Some(to) => link(message, to, findings)?,
                    None => link(message, &mut Link::default(), findings)?,
                }
            }
            14 => {
                reader.expect(wire_type, VARINT, "Span.dropped_links_count")?;
                span.dropped_links = truncated(reader.varint()?);
            }
            15 => {
                reader.expect(wire_type, LENGTH, "Span.status")?;
                status(reader.message()?, span, findings)?;
            }
            16 => {
                reader.expect(wire_type, FIXED32, "Span.flags")?;
                span.flags = reader.fixed32()?;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn event<'a>(mut reader: Reader<'a>, to: &mut Event<'a>, findings: &mut Findings<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, FIXED64, "Event.time_unix_nano")?;
                to.time_unix_nanos = reader.fixed64()?;
            }
            2 => {
                reader.expect(wire_type, LENGTH, "Event.name")?;
                to.name = findings.text(reader.bytes()?)?;
            }
            3 => {
                reader.expect(wire_type, LENGTH, "Event.attributes")?;
                attribute(reader.message()?, &mut to.attributes, findings)?;
            }
            4 => {
                reader.expect(wire_type, VARINT, "Event.dropped_attributes_count")?;
                to.attributes.dropped = truncated(reader.varint()?);
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn link<'a>(mut reader: Reader<'a>, to: &mut Link<'a>, findings: &mut Findings<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            1 => {
                reader.expect(wire_type, LENGTH, "Link.trace_id")?;
                to.trace_id = RawId::Bytes(reader.bytes()?);
            }
            2 => {
                reader.expect(wire_type, LENGTH, "Link.span_id")?;
                to.span_id = RawId::Bytes(reader.bytes()?);
            }
            3 => {
                reader.expect(wire_type, LENGTH, "Link.trace_state")?;
                to.trace_state = findings.text(reader.bytes()?)?;
            }
            4 => {
                reader.expect(wire_type, LENGTH, "Link.attributes")?;
                attribute(reader.message()?, &mut to.attributes, findings)?;
            }
            5 => {
                reader.expect(wire_type, VARINT, "Link.dropped_attributes_count")?;
                to.attributes.dropped = truncated(reader.varint()?);
            }
            6 => {
                reader.expect(wire_type, FIXED32, "Link.flags")?;
                to.flags = reader.fixed32()?;
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

fn status<'a>(mut reader: Reader<'a>, span: &mut Span<'a>, findings: &mut Findings<'_>) -> Result<()> {
    while let Some((number, wire_type)) = reader.field()? {
        match number {
            2 => {
                reader.expect(wire_type, LENGTH, "Status.message")?;
                span.status_message = findings.text(reader.bytes()?)?;
            }
            3 => {
                reader.expect(wire_type, VARINT, "Status.code")?;
                span.status_code = truncated(reader.varint()?).cast_signed();
            }
            _ => reader.skip(number, wire_type)?,
        }
    }
    Ok(())
}

/// Protobuf keeps the low 32 bits of a number that is too large for its field.
fn truncated(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}
