//! What a decoder refused, and what it changed, in a form that tells the client and the counters.

use std::fmt;

/// Why a span was rejected. Each reason costs its span and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    InvalidTraceId,
    InvalidSpanId,
    MissingTime,
    TimeOutOfRange,
    TooDeep,
    EnumName,
}

impl Reason {
    pub const ALL: [Reason; 6] = [
        Reason::InvalidTraceId,
        Reason::InvalidSpanId,
        Reason::MissingTime,
        Reason::TimeOutOfRange,
        Reason::TooDeep,
        Reason::EnumName,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Reason::InvalidTraceId => "invalid_trace_id",
            Reason::InvalidSpanId => "invalid_span_id",
            Reason::MissingTime => "missing_time",
            Reason::TimeOutOfRange => "time_out_of_range",
            Reason::TooDeep => "too_deep",
            Reason::EnumName => "enum_name",
        }
    }
}

/// What was stored otherwise than it was sent, or looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    NotUtf8,
    ParentId,
    LinkIds,
    NoEnd,
    NoStart,
    EndBeforeStart,
    EventTime,
    ServiceName,
    DuplicateKey,
    EmptyKey,
    TooManyAttributes,
    TooManyEvents,
    TooManyLinks,
    TooLong,
    StringIndex,
}

impl Cause {
    pub const ALL: [Cause; 15] = [
        Cause::NotUtf8,
        Cause::ParentId,
        Cause::LinkIds,
        Cause::NoEnd,
        Cause::NoStart,
        Cause::EndBeforeStart,
        Cause::EventTime,
        Cause::ServiceName,
        Cause::DuplicateKey,
        Cause::EmptyKey,
        Cause::TooManyAttributes,
        Cause::TooManyEvents,
        Cause::TooManyLinks,
        Cause::TooLong,
        Cause::StringIndex,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Cause::NotUtf8 => "not_utf8",
            Cause::ParentId => "parent_id",
            Cause::LinkIds => "link_ids",
            Cause::NoEnd => "no_end",
            Cause::NoStart => "no_start",
            Cause::EndBeforeStart => "end_before_start",
            Cause::EventTime => "event_time",
            Cause::ServiceName => "service_name",
            Cause::DuplicateKey => "duplicate_key",
            Cause::EmptyKey => "empty_key",
            Cause::TooManyAttributes => "too_many_attributes",
            Cause::TooManyEvents => "too_many_events",
            Cause::TooManyLinks => "too_many_links",
            Cause::TooLong => "too_long",
            Cause::StringIndex => "string_index",
        }
    }

    /// What the client reads.
    pub fn message(self) -> &'static str {
        match self {
            Cause::NotUtf8 => "text that is no UTF-8 was stored with U+FFFD",
            Cause::ParentId => "a parent span id of the wrong length was taken as none",
            Cause::LinkIds => "links with invalid ids were dropped",
            Cause::NoEnd => "spans without an end were given the duration 0",
            Cause::NoStart => "spans without a start were given their end as start",
            Cause::EndBeforeStart => "spans that end before they start were given the duration 0",
            Cause::EventTime => "event times beyond the year 2262 were set to it",
            Cause::ServiceName => "a service.name that is no text was stored as text",
            Cause::DuplicateKey => "of attributes with the same key the last was stored",
            Cause::EmptyKey => "attributes with an empty key were dropped",
            Cause::TooManyAttributes => "attributes over the limit were dropped",
            Cause::TooManyEvents => "events over the limit were dropped",
            Cause::TooManyLinks => "links over the limit were dropped",
            Cause::TooLong => "text over the limit was cut",
            Cause::StringIndex => "string table references have no meaning in traces and were ignored",
        }
    }

    /// Whether clients hear of it. Skewed clocks are too common to log at each export.
    pub fn is_told(self) -> bool {
        self != Cause::EndBeforeStart
    }
}

/// Rejected spans: how many, and for each reason the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    pub spans: u64,
    pub tallies: Vec<Tally>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub reason: Reason,
    pub spans: u64,
    /// Position of the first such span in the request, over all resources, from 0.
    pub first_index: u64,
    /// What was wrong with the first.
    pub detail: String,
}

impl Rejected {
    /// Counts a span; `detail` is only asked for the first of its reason.
    pub fn add(&mut self, reason: Reason, index: u64, detail: impl FnOnce() -> String) {
        self.spans = self.spans.saturating_add(1);
        match self.tallies.iter_mut().find(|tally| tally.reason == reason) {
            Some(tally) => tally.spans = tally.spans.saturating_add(1),
            None => self.tallies.push(Tally { reason, spans: 1, first_index: index, detail: detail() }),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |count| if count == 1 { "span" } else { "spans" };
        write!(out, "{} {} rejected", self.spans, noun(self.spans))?;
        for (at, tally) in self.tallies.iter().enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            let Tally { reason, spans, first_index, detail } = tally;
            write!(
                out,
                "{separator}{} of {spans} {}, first at index {first_index}: {detail}",
                reason.name(),
                noun(*spans)
            )?;
        }
        Ok(())
    }
}

/// What was changed or looks wrong, by cause; the first of each names its service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(Vec<Warning>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub cause: Cause,
    pub count: u64,
    pub first_service: String,
}

impl Warnings {
    pub fn add(&mut self, cause: Cause, count: u64, service: &str) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|warning| warning.cause == cause) {
            Some(warning) => warning.count = warning.count.saturating_add(count),
            None => self.0.push(Warning { cause, count, first_service: service.to_owned() }),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self, cause: Cause) -> u64 {
        self.0.iter().find(|warning| warning.cause == cause).map_or(0, |warning| warning.count)
    }
}
