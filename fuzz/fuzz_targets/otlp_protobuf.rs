//! Case 209: ours takes any bytes exactly when prost does, and makes equal rows of them.
#![no_main]

use fuzz::{decode, oracle, rows};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use storage::ContentType;

fuzz_target!(|bytes: &[u8]| {
    match (decode(ContentType::OtlpProtobuf, bytes), ExportTraceServiceRequest::decode(bytes)) {
        (Ok(ours), Ok(message)) => {
            let found = rows::of(&ours);
            // Case 1306: the oracle has no limit of nesting.
            if ours.rejected.tallies.iter().any(|tally| tally.reason.name() == "too_deep") {
                return;
            }
            let (expected, rejected) = oracle::outcome(&message);
            assert_eq!(found, expected);
            assert_eq!(ours.rejected.spans, rejected);
        }
        (Ok(ours), Err(error)) => {
            rows::of(&ours);
            let error = error.to_string();
            // Cases 1312 and 1306.
            assert!(error.contains("UTF-8") || error.contains("recursion"), "prost alone refuses: {error}");
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("ours alone refuses: {error}"),
    }
});
