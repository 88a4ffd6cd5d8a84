//! The corpus again, as earlier spans of other traces: ids are others, times lie whole periods before.
//!
//! The same copy has the same ids each time, so that questions can name them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::facts::{Facts, TraceId};

const SECOND_NANOS: u64 = 1_000_000_000;

#[derive(Debug)]
pub struct Renewal {
    period_nanos: u64,
}

impl Renewal {
    pub fn of(facts: &Facts) -> Self {
        Self { period_nanos: facts.period_nanos() + SECOND_NANOS }
    }

    /// Copy 0 is the corpus itself.
    pub fn trace_id(&self, mut id: TraceId, copy: u64) -> TraceId {
        mask(&mut id, copy);
        id
    }

    pub fn apply(&self, body: &[u8], copy: u64) -> anyhow::Result<Vec<u8>> {
        let mut request = ExportTraceServiceRequest::decode(body)?;
        let shift = self.period_nanos.saturating_mul(copy);
        let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            for id in [&mut span.trace_id, &mut span.span_id, &mut span.parent_span_id] {
                mask(id, copy);
            }
            for link in &mut span.links {
                mask(&mut link.trace_id, copy);
                mask(&mut link.span_id, copy);
            }
            let events = span.events.iter_mut().map(|event| &mut event.time_unix_nano);
            for time in events.chain([&mut span.start_time_unix_nano, &mut span.end_time_unix_nano]) {
                *time = time.saturating_sub(shift);
            }
        }
        Ok(request.encode_to_vec())
    }
}

/// Random ids stay random and different under it; an empty one stays empty.
fn mask(id: &mut [u8], copy: u64) {
    let mask = scatter(copy).to_le_bytes();
    id.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// 0 stays 0 (the finalizer of splitmix64).
fn scatter(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::{request, span};

    fn renewed(copy: u64) -> ExportTraceServiceRequest {
        let spans = vec![span(1, 1, None, (5_000, 5_100)), span(1, 2, Some(1), (5_010, 5_090))];
        let renewal = Renewal { period_nanos: 1_000 };
        ExportTraceServiceRequest::decode(renewal.apply(&request(spans).encode_to_vec(), copy).unwrap().as_slice())
            .unwrap()
    }

    #[test]
    fn a_copy_is_a_trace_of_its_own_that_hangs_together() {
        let (first, second) = (renewed(0), renewed(2));
        let of = |request: &ExportTraceServiceRequest| request.resource_spans[0].scope_spans[0].spans.clone();
        assert_eq!(of(&first)[0].trace_id, [1; 16]);
        let [root, child] = of(&second).try_into().unwrap();
        assert_ne!(root.trace_id, [1; 16]);
        assert_eq!((root.trace_id.as_slice(), root.span_id), (child.trace_id.as_slice(), child.parent_span_id));
        assert_eq!(Renewal { period_nanos: 1_000 }.trace_id([1; 16], 2).as_slice(), root.trace_id);
        assert_eq!((root.start_time_unix_nano, root.end_time_unix_nano), (3_000, 3_100));
        assert!(root.parent_span_id.is_empty());
    }
}
