//! Chapters 5 and 6 of the cases: success and partial success.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Version;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::time::timeout;

use super::client::{Call, WAYS, Way, Word, client, encode, request, send, span, text};
use super::server::Server;

#[tokio::test]
async fn otlp_501_one_valid_span_is_answered_with_nothing() {
    let server = Server::start().await;
    for (number, way) in (0..).zip(WAYS) {
        let reply = send(&server, way, &request(vec![span(number)])).await;
        assert_eq!(reply.word, Word::Ok, "{way:?} {}", reply.message);
        let expected: &[u8] = if way == Way::Json { b"{}" } else { b"" };
        assert_eq!(reply.body, expected);
    }
    assert_eq!(server.sink.span_count(), 3);
    assert_eq!(server.metrics.spans.load(Relaxed), 3);
    assert!(server.metrics.last_arrival().is_some());
}

#[tokio::test]
async fn otlp_502_and_503_empty_requests_are_ok_and_store_nothing() {
    let server = Server::start().await;
    let empty_spans = request(vec![]);
    for way in WAYS {
        assert_eq!(Call::new(way, b"").send(&server).await.word, Word::Ok, "{way:?}");
        assert_eq!(Call::new(way, &encode(way, &empty_spans)).send(&server).await.word, Word::Ok, "{way:?}");
    }
    for body in
        ["{}", "{\"resourceSpans\":[]}", "{\"resourceSpans\":[{}]}", "{\"resourceSpans\":[{\"scopeSpans\":[{}]}]}"]
    {
        assert_eq!(Call::new(Way::Json, body.as_bytes()).send(&server).await.word, Word::Ok, "{body}");
    }
    assert_eq!(server.sink.request_count(), 0);
}

#[tokio::test]
async fn otlp_504_no_answer_before_the_sync() {
    let server = Server::start().await;
    for (number, way) in (0..).zip(WAYS) {
        server.hold_syncs();
        let message = request(vec![span(number)]);
        let mut reply = Box::pin(send(&server, way, &message));
        assert!(timeout(Duration::from_millis(200), &mut reply).await.is_err(), "{way:?}");
        server.release_syncs();
        assert_eq!(reply.await.word, Word::Ok);
    }
}

#[tokio::test]
async fn otlp_507_a_request_that_comes_again_is_ok_and_counted_once() {
    let server = Server::start().await;
    for (number, way) in (0..).zip(WAYS) {
        let message = request(vec![span(number), Span::default()]);
        for _ in 0..2 {
            assert_eq!(send(&server, way, &message).await.word, Word::Rejected(1), "{way:?}");
        }
    }
    assert_eq!(server.sink.span_count(), 3);
    assert_eq!(server.metrics.spans.load(Relaxed), 3);
    assert_eq!(server.metrics.rejected_spans.load(Relaxed), 3);
    assert_eq!(server.metrics.duplicates.load(Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_510_calls_on_one_connection_do_not_wait_for_each_other() {
    let server = Server::start().await;
    let client = client(Version::HTTP_2);
    server.hold_syncs();
    let calls = (0..100).map(|number| {
        let call = Call::new(Way::Grpc, &encode(Way::Grpc, &request(vec![span(number)])));
        call.send_with(&client, &server)
    });
    let calls = futures::future::join_all(calls);
    let all = async {
        server.wait_for_appends(100).await;
        // All of them wait for their sync, and a bad one does not wait with them.
        let bad = Call::new(Way::Grpc, b"\x07").send_with(&client, &server).await;
        assert_eq!(bad.word, Word::Bad);
        server.release_syncs();
    };
    let (replies, ()) = tokio::join!(calls, all);
    assert!(replies.iter().all(|reply| reply.word == Word::Ok));
    assert_eq!(server.metrics.connections.accepted.load(Relaxed), 1);
    assert_eq!(server.sink.span_count(), 100);
}

#[tokio::test]
async fn otlp_511_fifty_thousand_spans_in_one_request() {
    let server = Server::start().await;
    for way in WAYS {
        let first = 100_000 * way as u64;
        let message = request((first..first + 50_000).map(span).collect());
        assert_eq!(send(&server, way, &message).await.word, Word::Ok, "{way:?}");
    }
    assert_eq!(server.sink.span_count(), 150_000);
}

#[tokio::test]
async fn otlp_601_a_good_span_beside_an_invalid_one_is_stored() {
    let server = Server::start().await;
    for (number, way) in (0..).zip(WAYS) {
        let reply = send(&server, way, &request(vec![Span { span_id: vec![], ..span(9) }, span(number)])).await;
        assert_eq!(reply.word, Word::Rejected(1), "{way:?}");
        assert!(reply.message.contains("invalid_span_id of 1 span, first at index 0"), "{}", reply.message);
    }
    assert_eq!(server.sink.span_count(), 3);
}

#[tokio::test]
async fn otlp_602_only_invalid_spans_are_rejected_and_not_bad() {
    let server = Server::start().await;
    for way in WAYS {
        let reply = send(&server, way, &request(vec![Span::default(); 5])).await;
        assert_eq!(reply.word, Word::Rejected(5), "{way:?}");
    }
    assert_eq!(server.sink.request_count(), 0);
    assert_eq!(server.metrics.rejected_spans.load(Relaxed), 15);
    assert_eq!(server.metrics.rejected(crate::otlp::Reason::InvalidTraceId), 15);
}

#[tokio::test]
async fn otlp_604_the_count_of_rejected_spans_is_exact() {
    let server = Server::start().await;
    let spans: Vec<Span> = (0..10_000)
        .map(|number| match number * 7 % 13 {
            0 => Span { trace_id: vec![0; 16], ..span(number) },
            1 => Span { start_time_unix_nano: 0, end_time_unix_nano: 0, ..span(number) },
            2 => Span { end_time_unix_nano: u64::MAX, ..span(number) },
            _ => span(number),
        })
        .collect();
    let is_bad = |number: &u64| number * 7 % 13 < 3;
    let bad = (0..10_000).filter(is_bad).count();
    for way in WAYS {
        let reply = send(&server, way, &request(spans.clone())).await;
        assert_eq!(reply.word, Word::Rejected(bad as i64), "{way:?}");
        for reason in ["invalid_trace_id", "missing_time", "time_out_of_range"] {
            assert!(reply.message.contains(reason), "{}", reply.message);
        }
    }
}

#[tokio::test]
async fn otlp_605_and_606_answers_keep_to_their_limit() {
    for (limit, is_enough) in [(80, true), (3, false)] {
        let server = Server::with(|config| config.limits.response_bytes = limit).await;
        for way in WAYS {
            let reply = send(&server, way, &request(vec![Span::default(); 300])).await;
            if is_enough {
                assert_eq!(reply.word, Word::Rejected(300), "{way:?}");
                assert!(reply.body.len() <= limit);
            } else if way == Way::Grpc {
                assert_eq!(reply.word, Word::TooLarge);
            } else {
                assert_eq!(reply.status, 500);
            }
        }
    }
}

#[tokio::test]
async fn otlp_607_a_warning_is_told_once_and_then_counted() {
    let server = Server::start().await;
    let parent = vec![1; 7];
    let mut message = request(vec![Span { parent_span_id: parent, ..span(1) }]);
    for (number, way) in (0..).zip(WAYS) {
        let service = vec![text("service.name", &format!("service {number}"))];
        message.resource_spans[0].resource.as_mut().unwrap().attributes = service;
        let reply = send(&server, way, &message).await;
        assert_eq!(reply.word, Word::Warn, "{way:?}");
        assert!(reply.message.contains(&format!("service {number}")), "{}", reply.message);
        message.resource_spans[0].scope_spans[0].spans[0].name.push('x');
        assert_eq!(send(&server, way, &message).await.word, Word::Ok);
    }
    assert_eq!(server.metrics.warned(crate::otlp::Cause::ParentId), 6);
}
