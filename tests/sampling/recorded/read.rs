//! Requests to traces.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::Play;
use crate::random::mix;
use crate::world::{ABSENT, MAX_SPANS, Name};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const STATUS_ERROR: i32 = 2;
/// Of attributes of a resource: which instance of its service it is.
const INSTANCES: [&str; 4] = ["service.instance.id", "k8s.pod.name", "hostname", "host.name"];

/// Recordings with names of their own each.
#[derive(Debug, Default)]
pub struct Recordings {
    pub names: Vec<Name>,
    services: HashMap<String, u16>,
    numbers: HashMap<(u16, String), u16>,
    pub(super) sets: HashMap<&'static str, Recording>,
}

#[derive(Debug, Default)]
pub struct Recording {
    /// In order of their begin.
    pub traces: Vec<Recorded>,
    /// Traces of more spans than a world's have.
    pub left_out: usize,
}

#[derive(Debug)]
pub struct Recorded {
    pub began_nanos: u64,
    /// Of the root; without one, of what there is.
    pub duration_micros: u32,
    pub has_root: bool,
    /// The root first; without one, the first that began of those without a parent here.
    pub spans: Vec<RecordedSpan>,
}

#[derive(Debug, Clone, Copy)]
pub struct RecordedSpan {
    pub name: u16,
    /// Sends the instance's spans.
    pub exporter: u64,
    /// Of this trace's spans, or [`ABSENT`].
    pub parent: u8,
    pub kind: u8,
    pub entry: bool,
    /// It says so, or a request was answered with 5xx.
    pub error: bool,
    /// After the trace's begin; clocks differ.
    pub start_micros: f64,
    pub duration_micros: u32,
    /// As protobuf.
    pub bytes: u16,
}

/// A span on its own.
struct Raw {
    id: Vec<u8>,
    parent_id: Vec<u8>,
    service: u16,
    start_nanos: u64,
    end_nanos: u64,
    refused: bool,
    span: RecordedSpan,
}

impl Recordings {
    pub fn get(&self, set: &str) -> Option<&Recording> {
        self.sets.get(set)
    }

    /// Whether it has all that is played.
    pub fn has(&self, play: &Play) -> bool {
        play.sets.iter().all(|set| self.sets.contains_key(set))
    }

    /// Reads the requests in a folder, unless it has them.
    pub fn read(&mut self, set: &'static str, folder: &Path) -> anyhow::Result<()> {
        if self.sets.contains_key(set) {
            return Ok(());
        }
        let entries = std::fs::read_dir(folder).with_context(|| format!("no recording in {}", folder.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.retain(|file| file.to_string_lossy().ends_with(".pb.gz"));
        files.sort();
        let mut traces = BTreeMap::new();
        for file in files {
            let mut body = Vec::new();
            GzDecoder::new(std::fs::File::open(&file)?).read_to_end(&mut body)?;
            let request = ExportTraceServiceRequest::decode(&*body);
            self.add(set, request.with_context(|| format!("{}", file.display()))?, &mut traces)?;
        }
        let mut recording = Recording::default();
        for spans in traces.into_values() {
            match recorded(spans) {
                Some(trace) => recording.traces.push(trace),
                None => recording.left_out += 1,
            }
        }
        recording.traces.sort_by_key(|trace| trace.began_nanos);
        self.sets.insert(set, recording);
        Ok(())
    }

    fn add(
        &mut self,
        set: &str,
        request: ExportTraceServiceRequest,
        traces: &mut BTreeMap<Vec<u8>, Vec<Raw>>,
    ) -> anyhow::Result<()> {
        for resource in request.resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let name = format!("{set}/{}", text(&attributes, "service.name").unwrap_or_default());
            let service = self.service(&name)?;
            let instance = INSTANCES.iter().find_map(|key| text(&attributes, key)).unwrap_or_default();
            let instance = hash(hash(0, &name), instance);
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let raw = self.raw((service, hash(0, &name)), instance, &span)?;
                traces.entry(span.trace_id).or_default().push(raw);
            }
        }
        Ok(())
    }

    fn service(&mut self, name: &str) -> anyhow::Result<u16> {
        let next = u16::try_from(self.services.len()).context("more services than a world has")?;
        Ok(*self.services.entry(name.to_owned()).or_insert(next))
    }

    fn raw(&mut self, (service, service_hash): (u16, u64), exporter: u64, span: &Span) -> anyhow::Result<Raw> {
        let next = u16::try_from(self.names.len()).context("more names than a world has")?;
        let name = *self.numbers.entry((service, span.name.clone())).or_insert_with(|| {
            self.names.push(Name { service, key: hash(service_hash, &span.name), base_micros: 0.0 });
            next
        });
        let error = span.status.as_ref().is_some_and(|status| status.code == STATUS_ERROR);
        let status =
            ["http.response.status_code", "http.status_code"].iter().find_map(|key| number(&span.attributes, key));
        Ok(Raw {
            id: span.span_id.clone(),
            parent_id: span.parent_span_id.clone(),
            service,
            start_nanos: span.start_time_unix_nano,
            end_nanos: span.end_time_unix_nano,
            refused: status.is_some_and(|status| (500..600).contains(&status)),
            span: RecordedSpan {
                name,
                exporter,
                parent: ABSENT,
                kind: u8::try_from(span.kind).unwrap_or_default(),
                entry: false,
                error,
                start_micros: 0.0,
                duration_micros: micros(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)),
                bytes: u16::try_from(span.encoded_len()).unwrap_or(u16::MAX),
            },
        })
    }
}

/// Of texts, not of numbers: the same whatever else was read.
fn hash(before: u64, text: &str) -> u64 {
    text.bytes().fold(mix(before.wrapping_add(1)), |hash, byte| mix(hash ^ u64::from(byte)))
}

fn micros(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    if let Value::StringValue(text) = value { Some(text) } else { None }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::IntValue(number) => Some(*number),
        Value::StringValue(text) => text.parse().ok(),
        _ => None,
    }
}

/// `None` if it has more spans than a world's trace.
fn recorded(mut raw: Vec<Raw>) -> Option<Recorded> {
    if raw.len() > MAX_SPANS {
        return None;
    }
    let ids: HashMap<Vec<u8>, usize> = raw.iter().enumerate().map(|(at, raw)| (raw.id.clone(), at)).collect();
    let is_top = |raw: &Raw| !ids.contains_key(&raw.parent_id);
    raw.sort_by_key(|raw| (!raw.parent_id.is_empty(), !is_top(raw), raw.start_nanos, raw.end_nanos, raw.id.clone()));
    let ids: HashMap<Vec<u8>, usize> = raw.iter().enumerate().map(|(at, raw)| (raw.id.clone(), at)).collect();
    let has_root = raw.first().is_some_and(|raw| raw.parent_id.is_empty());
    let began_nanos = raw.iter().map(|raw| raw.start_nanos).min().unwrap_or_default();
    let ended_nanos = raw.iter().map(|raw| raw.end_nanos).max().unwrap_or_default();
    let spans = raw.iter().enumerate().map(|(at, own)| {
        let parent = ids.get(&own.parent_id).filter(|parent| **parent != at).and_then(|at| Some((*at, raw.get(*at)?)));
        // As the collector has it.
        let receives = [SERVER, CONSUMER].contains(&i32::from(own.span.kind));
        let entry = own.parent_id.is_empty()
            || match parent {
                None => receives,
                Some((_, parent)) => {
                    let calls = [CLIENT, PRODUCER].contains(&i32::from(parent.span.kind));
                    parent.service != own.service || receives && calls
                }
            };
        RecordedSpan {
            parent: parent.map_or(ABSENT, |(parent, _)| parent as u8),
            entry,
            error: own.span.error || entry && own.refused,
            start_micros: own.start_nanos.saturating_sub(began_nanos) as f64 / 1e3,
            ..own.span
        }
    });
    let spans: Vec<RecordedSpan> = spans.collect();
    let root = spans.first().filter(|_| has_root).map(|root| root.duration_micros);
    let duration_micros = root.unwrap_or_else(|| micros(ended_nanos.saturating_sub(began_nanos)));
    Some(Recorded { began_nanos, duration_micros, has_root, spans })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    fn of_service(service: &str, spans: Vec<Span>) -> ResourceSpans {
        let attributes = vec![attribute("service.name", Value::StringValue(service.to_owned()))];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
    }

    fn span(id: u8, parent: u8, start_millis: u64, millis: u64) -> Span {
        Span {
            trace_id: vec![9; 16],
            span_id: vec![id; 8],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
            name: format!("span {id}"),
            start_time_unix_nano: (1_000 + start_millis) * 1_000_000,
            end_time_unix_nano: (1_000 + start_millis + millis) * 1_000_000,
            ..Span::default()
        }
    }

    fn read(resource_spans: Vec<ResourceSpans>) -> Recorded {
        let mut traces = BTreeMap::new();
        let mut recordings = Recordings::default();
        recordings.add("set", ExportTraceServiceRequest { resource_spans }, &mut traces).unwrap();
        recorded(traces.into_values().next().unwrap()).unwrap()
    }

    #[test]
    fn a_trace_is_as_it_was_recorded() {
        let failing = Span { status: Some(Status { code: 2, ..Status::default() }), ..span(2, 3, 20, 10) };
        let broken = attribute("http.status_code", Value::IntValue(503));
        let backend = vec![failing.clone(), Span { attributes: vec![broken], ..span(3, 1, 10, 50) }];
        let trace = read(vec![of_service("backend", backend), of_service("frontend", vec![span(1, 0, 0, 100)])]);
        assert!(trace.has_root);
        assert_eq!((trace.began_nanos, trace.duration_micros), (1_000_000_000, 100_000));
        let seen = |of: fn(&RecordedSpan) -> f64| trace.spans.iter().map(of).collect::<Vec<_>>();
        assert_eq!(seen(|span| f64::from(span.parent)), [f64::from(ABSENT), 0.0, 1.0]);
        assert_eq!(seen(|span| span.start_micros), [0.0, 10_000.0, 20_000.0]);
        let flags: Vec<_> = trace.spans.iter().map(|span| (span.entry, span.error)).collect();
        assert_eq!(flags, [(true, false), (true, true), (false, true)]);
        assert_eq!(usize::from(trace.spans[2].bytes), failing.encoded_len());
        assert_eq!(trace.spans[1].exporter, trace.spans[2].exporter);
        assert_ne!(trace.spans[0].exporter, trace.spans[2].exporter);
    }

    #[test]
    fn without_its_root_it_lasts_as_long_as_what_there_is() {
        let trace = read(vec![of_service("backend", vec![span(2, 3, 20, 10), span(3, 1, 10, 50), span(4, 8, 5, 1)])]);
        assert!(!trace.has_root);
        assert_eq!((trace.began_nanos, trace.duration_micros), (1_005_000_000, 55_000));
        assert_eq!(trace.spans.iter().map(|span| span.parent).collect::<Vec<_>>(), [ABSENT, ABSENT, 1]);
        let many = (0..=MAX_SPANS).map(|_| span(1, 0, 0, 1)).collect();
        let mut traces = BTreeMap::new();
        let request = ExportTraceServiceRequest { resource_spans: vec![of_service("backend", many)] };
        Recordings::default().add("set", request, &mut traces).unwrap();
        assert!(recorded(traces.into_values().next().unwrap()).is_none());
    }

    #[test]
    fn what_else_was_read_changes_no_name() {
        let resource_spans = vec![of_service("backend", vec![span(1, 0, 0, 1)])];
        let request = ExportTraceServiceRequest { resource_spans };
        let seen = |sets: &[&str]| {
            let (mut recordings, mut traces) = (Recordings::default(), BTreeMap::new());
            sets.iter().for_each(|set| recordings.add(set, request.clone(), &mut traces).unwrap());
            let last = traces.into_values().next().and_then(|mut spans| spans.pop()).unwrap().span;
            (recordings.names[usize::from(last.name)].key, last.exporter)
        };
        assert_eq!(seen(&["one"]), seen(&["other", "one"]));
        assert_ne!(seen(&["one"]), seen(&["other"]));
    }
}
