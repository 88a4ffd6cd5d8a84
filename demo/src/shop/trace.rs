//! Telling one trace: spans are opened, time passes, spans are closed.
//!
//! A [`Here`] is a place in the story: inside which span, on which pod, at what time. Calls move its clock on; doing
//! things in parallel means letting several calls begin at the same time and going on at the latest end.
//! Parents come before their children in [`Trace::spans`], so that any prefix of it is a whole tree.

use std::borrow::Cow;

use super::rng::Rng;
use super::scopes::{Layer, Scope, scope_of};
use super::span::{Event, Kind, Link, Span, Status, Value};
use super::world::{InstanceId, Service, Visitor, World};

/// A message that waits in a queue for its consumer.
#[derive(Debug, Clone)]
pub struct Message {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub sent_unix_nanos: u64,
    pub key: String,
    pub partition: u64,
    pub body_bytes: i64,
    pub visitor: Visitor,
}

pub struct Trace<'w> {
    pub world: &'w World,
    pub rng: Rng,
    pub visitor: Visitor,
    pub spans: Vec<Span>,
    /// What this trace put into the queue.
    pub sent: Vec<Message>,
    trace_id: [u8; 16],
}

#[derive(Debug, Clone, Copy)]
pub struct Here {
    pub span: usize,
    pub instance: InstanceId,
    pub now_unix_nanos: u64,
}

/// Why something did not work, in the words of each protocol that may carry it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub http: u16,
    pub grpc: &'static str,
    pub error_type: &'static str,
    pub message: Cow<'static, str>,
}

/// Something done from a place in a story.
pub type Call<'c, T> = &'c mut dyn FnMut(&mut T, &mut Here);

pub type Reply = Result<(), Failure>;

const MICROSECOND: f64 = 1_000.0;

impl<'w> Trace<'w> {
    pub fn new(world: &'w World, mut rng: Rng) -> Self {
        let visitor = world.visitor(&mut rng);
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&rng.next_nonzero().to_be_bytes());
        trace_id[8..].copy_from_slice(&rng.next_nonzero().to_be_bytes());
        Self { world, rng, visitor, spans: Vec::new(), sent: Vec::new(), trace_id }
    }

    pub fn service(&self, instance: InstanceId) -> Service {
        self.world.instance(instance).map_or(Service::Frontend, |instance| instance.service)
    }

    pub fn version(&self, instance: InstanceId) -> &'static str {
        self.world.instance(instance).map_or("", |instance| instance.version)
    }

    pub fn scope(&self, instance: InstanceId, layer: Layer) -> &'static Scope {
        scope_of(self.service(instance).facts().language, layer)
    }

    /// A span without a parent.
    pub fn root(&mut self, instance: InstanceId, kind: Kind, layer: Layer, name: &'static str, start: u64) -> Here {
        let span = self.push(None, false, instance, kind, layer, name.into(), start);
        Here { span, instance, now_unix_nanos: start }
    }

    /// A child on the same pod, beginning now.
    pub fn child(&mut self, here: &Here, kind: Kind, layer: Layer, name: impl Into<Cow<'static, str>>) -> Here {
        let span = self.push(Some(here.span), false, here.instance, kind, layer, name.into(), here.now_unix_nanos);
        Here { span, ..*here }
    }

    /// A child on another pod, beginning at a time of its own.
    pub fn remote_child(
        &mut self,
        parent: &Here,
        instance: InstanceId,
        kind: Kind,
        layer: Layer,
        name: &'static str,
        start: u64,
    ) -> Here {
        let span = self.push(Some(parent.span), true, instance, kind, layer, name.into(), start);
        Here { span, instance, now_unix_nanos: start }
    }

    #[expect(clippy::too_many_arguments, reason = "the three functions above give it shape")]
    fn push(
        &mut self,
        parent: Option<usize>,
        parent_is_remote: bool,
        instance: InstanceId,
        kind: Kind,
        layer: Layer,
        name: Cow<'static, str>,
        start_unix_nanos: u64,
    ) -> usize {
        let span_id = self.rng.next_nonzero().to_be_bytes();
        self.spans.push(Span {
            trace_id: self.trace_id,
            span_id,
            parent_span_id: parent.map(|parent| self.spans[parent].span_id),
            parent_is_remote,
            instance,
            scope: self.scope(instance, layer),
            name,
            kind,
            start_unix_nanos,
            end_unix_nanos: start_unix_nanos,
            attributes: Vec::with_capacity(12),
            events: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
        });
        self.spans.len() - 1
    }

    /// Closes the span of `here` at its clock.
    pub fn finish(&mut self, here: &Here) {
        self.spans[here.span].end_unix_nanos = here.now_unix_nanos;
    }

    pub fn set(&mut self, here: &Here, key: &'static str, value: impl Into<Value>) {
        self.spans[here.span].attributes.push((key, value.into()));
    }

    pub fn event(&mut self, here: &Here, name: &'static str, attributes: Vec<(&'static str, Value)>) {
        self.spans[here.span].events.push(Event { time_unix_nanos: here.now_unix_nanos, name, attributes });
    }

    pub fn link(&mut self, here: &Here, message: &Message, attributes: Vec<(&'static str, Value)>) {
        self.spans[here.span].links.push(Link { trace_id: message.trace_id, span_id: message.span_id, attributes });
    }

    pub fn fail(&mut self, here: &Here, error_type: &'static str, message: Cow<'static, str>) {
        self.set(here, "error.type", error_type);
        self.spans[here.span].status = Status::Error(message);
    }

    pub fn succeed(&mut self, here: &Here) {
        self.spans[here.span].status = Status::Ok;
    }

    pub fn exception(&mut self, here: &Here, kind: &'static str, message: Cow<'static, str>, stacktrace: String) {
        let attributes = vec![
            ("exception.type", kind.into()),
            ("exception.message", message.into()),
            ("exception.stacktrace", stacktrace.into()),
        ];
        self.event(here, "exception", attributes);
    }

    /// Ids for what this trace puts into the queue.
    pub fn context(&self, here: &Here) -> ([u8; 16], [u8; 8]) {
        (self.trace_id, self.spans[here.span].span_id)
    }

    /// Time passes: about `median_micros`, now and then much more.
    pub fn work(&mut self, here: &mut Here, median_micros: f64) {
        here.now_unix_nanos += self.latency(median_micros);
    }

    pub fn latency(&mut self, median_micros: f64) -> u64 {
        let mut nanos = self.rng.log_normal(median_micros * MICROSECOND, 0.45);
        if self.rng.chance(0.008) {
            nanos *= 3.0 + 4.0 * self.rng.unit();
        }
        (nanos as u64).max(1)
    }

    /// Half a round trip inside the cluster.
    pub fn network(&mut self) -> u64 {
        self.latency(180.0)
    }

    /// Work inside a span of its own.
    pub fn step(&mut self, here: &mut Here, name: &'static str, median_micros: f64) {
        let mut inner = self.child(here, Kind::Internal, Layer::App, name);
        self.work(&mut inner, median_micros);
        self.finish(&inner);
        here.now_unix_nanos = inner.now_unix_nanos;
    }

    /// Several calls that begin together; `here` goes on when the last has ended.
    pub fn parallel(&mut self, here: &mut Here, calls: &mut [Call<'_, Self>]) {
        let mut latest = here.now_unix_nanos;
        for (index, call) in calls.iter_mut().enumerate() {
            // One thread starts them one after the other.
            let mut branch = Here { now_unix_nanos: here.now_unix_nanos + index as u64 * 35_000, ..*here };
            call(self, &mut branch);
            latest = latest.max(branch.now_unix_nanos);
        }
        here.now_unix_nanos = latest;
    }

    /// Something nobody waits for: it begins now, and `here` goes on at once.
    pub fn detached(&mut self, here: &Here, call: impl FnOnce(&mut Self, &mut Here)) {
        let mut branch = *here;
        call(self, &mut branch);
    }
}

impl Failure {
    pub fn new(http: u16, grpc: &'static str, error_type: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { http, grpc, error_type, message: message.into() }
    }
}
