//! Ours against prost's, and our two encodings against each other.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

use super::generate::{mutate, mutations};
use super::{decode_both, decode_protobuf, generate, oracle, request, rows, span};
use crate::Limits;

fn cases(count: u32) -> ProptestConfig {
    // No files beside the sources: a finding becomes a test of its own.
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

/// Ours takes the bytes exactly when prost does, and makes of them what the oracle makes of prost's reading.
fn check(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
    match (decode_protobuf(bytes), ExportTraceServiceRequest::decode(bytes)) {
        (Ok(ours), Ok(message)) => {
            let (expected, rejected) = oracle::outcome(&message);
            prop_assert_eq!(rows::of(&ours), expected);
            prop_assert_eq!(ours.rejected.spans, rejected);
        }
        (Err(_), Err(_)) => {}
        // Case 1312.
        (Ok(_), Err(error)) if error.to_string().contains("UTF-8") => {}
        (Ok(_), Err(error)) => prop_assert!(false, "prost alone refuses: {}", error),
        (Err(error), Ok(_)) => prop_assert!(false, "ours alone refuses: {}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn otlp_209_generated_requests_become_the_rows_of_the_oracle(request in generate::request()) {
        check(&request.encode_to_vec())?;
    }

    #[test]
    fn otlp_319_both_encodings_of_a_request_give_equal_rows(request in generate::request()) {
        decode_both(&Limits::default(), &request);
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn otlp_209_mutated_requests_are_accepted_exactly_when_prost_accepts_them(
        request in generate::request(),
        mutations in mutations(),
    ) {
        let mut bytes = request.encode_to_vec();
        mutate(&mut bytes, &mutations);
        check(&bytes)?;
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn otlp_209_small_mutations_of_one_span_too(mutations in mutations()) {
        let mut bytes = request(vec![span()]).encode_to_vec();
        mutate(&mut bytes, &mutations);
        check(&bytes)?;
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
        let _ = super::decode_json(&bytes);
    }
}
