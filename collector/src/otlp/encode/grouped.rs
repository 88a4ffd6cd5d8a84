//! Spans under their resources and scopes, in the order in which these first occur.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// Told apart by what they are as bytes, since doubles are no keys.
#[derive(Default)]
pub struct Grouped {
    resources: Vec<ResourceSpans>,
    known: HashMap<Vec<u8>, Place>,
}

#[derive(Default)]
struct Place {
    at: usize,
    scopes: HashMap<Vec<u8>, usize>,
}

impl Grouped {
    /// The spans of a resource's scope; both come without any.
    pub fn spans(&mut self, resource: ResourceSpans, scope: ScopeSpans) -> &mut Vec<Span> {
        let Self { resources, known } = self;
        let place = known.entry(resource.encode_to_vec()).or_insert_with(|| {
            resources.push(resource);
            Place { at: resources.len() - 1, scopes: HashMap::new() }
        });
        let scopes = &mut resources[place.at].scope_spans;
        let at = *place.scopes.entry(scope.encode_to_vec()).or_insert_with(|| {
            scopes.push(scope);
            scopes.len() - 1
        });
        &mut scopes[at].spans
    }

    pub fn finish(self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest { resource_spans: self.resources }
    }
}
