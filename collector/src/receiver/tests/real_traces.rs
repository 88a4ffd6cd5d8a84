//! Real traces, where they are: `../shared/traces` beside the workspace.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use storage::model::UnixNanos;
use storage::{ContentType, Encoding};

use super::client::{Call, Way, Word};
use super::server::Server;
use crate::Limits;
use crate::otlp::decode;

#[tokio::test(flavor = "multi_thread")]
async fn real_traces_have_the_spans_that_their_index_says() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    if !traces.is_dir() {
        println!("skipped: no ../shared/traces");
        return;
    }
    let server = Server::start().await;
    let mut sent = 0;
    for set in ["dev-small-hotel", "dev-small-onlineboutique", "dev-small-trainticket", "elastic-opbeans-node"] {
        let folder = traces.join(set);
        let read = |name: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
        };
        let mut spans_of_set = 0;
        for file in read("index.json")["files"].as_array().unwrap() {
            let body = std::fs::read(folder.join(file["file"].as_str().unwrap())).unwrap();
            let expected = file["spans"].as_u64().unwrap();
            spans_of_set += expected;
            let decoded =
                decode(&Limits::default(), ContentType::OtlpProtobuf, Encoding::Gzip, &body, UnixNanos(i64::MAX))
                    .unwrap();
            assert_eq!(decoded.rejected.spans, 0, "{}", decoded.rejected);
            assert_eq!(decoded.batch.unwrap().span_count() as u64, expected, "{set}");
            let way = if sent % 2 == 0 { Way::Grpc } else { Way::Protobuf };
            let reply = Call::compressed(way, "gzip", &body).send(&server).await;
            assert_eq!(reply.word, Word::Ok, "{}", reply.message);
            sent += expected;
        }
        assert_eq!(spans_of_set, read("stats.json")["spans"].as_u64().unwrap());
    }
    assert_eq!(server.metrics.spans.load(Relaxed), sent);
}
