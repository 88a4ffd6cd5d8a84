//! Chapter 1 of the cases: ports, paths, methods, content types.

use http::{Method, Version};

use super::client::{Call, EXPORT, WAYS, Way, Word, client, encode, frame, request, send, span};
use super::server::Server;
use crate::receiver::Hint;

fn message(way: Way, number: u64) -> Vec<u8> {
    encode(way, &request(vec![span(number)]))
}

#[tokio::test]
async fn otlp_101_to_103_each_transport_takes_spans() {
    let server = Server::start().await;
    for way in WAYS {
        assert_eq!(send(&server, way, &request(vec![span(way as u64)])).await.word, Word::Ok, "{way:?}");
    }
    let mut call = Call::new(Way::Protobuf, &message(Way::Protobuf, 10));
    call.version = Version::HTTP_2;
    assert_eq!(call.send(&server).await.word, Word::Ok);
    assert_eq!(server.sink.span_count(), 4);
}

#[tokio::test]
async fn otlp_104_protobuf_and_json_in_turn_on_one_connection() {
    let server = Server::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = client(version);
        for number in 0..4 {
            let way = if number % 2 == 0 { Way::Protobuf } else { Way::Json };
            let mut call = Call::new(way, &message(way, number));
            call.version = version;
            let reply = call.send_with(&client, &server).await;
            assert_eq!(reply.word, Word::Ok);
            let expected = if way == Way::Json { "application/json" } else { "application/x-protobuf" };
            assert_eq!(reply.headers["content-type"], expected);
        }
    }
    let connections = server.metrics.connections.accepted.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(connections, 2);
}

#[tokio::test]
async fn otlp_105_the_wrong_port_is_answered_with_the_right_one() {
    let server = Server::start().await;
    let grpc = Call::new(Way::Grpc, &message(Way::Grpc, 1));
    let reply = grpc.send_to(&client(Version::HTTP_2), server.http).await;
    assert_eq!(reply.word, Word::Other(12));
    assert!(reply.message.contains(&server.grpc.to_string()), "{}", reply.message);
    for way in [Way::Protobuf, Way::Json] {
        let reply = Call::new(way, &message(way, 1)).send_to(&client(Version::HTTP_11), server.grpc).await;
        assert_eq!(reply.status, 404);
        assert!(reply.message.contains(&server.http.to_string()), "{}", reply.message);
    }
    let hints: Vec<(Hint, u64)> = server.metrics.hints().iter().map(|seen| (seen.hint, seen.count)).collect();
    assert_eq!(hints, [(Hint::GrpcOnHttpPort, 1), (Hint::HttpOnGrpcPort, 2)]);
    assert_eq!(server.sink.span_count(), 0);
}

#[tokio::test]
async fn otlp_106_and_107_other_signals_and_paths_are_not_served() {
    let server = Server::start().await;
    for (path, says) in [
        ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "traces only"),
        ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "traces only"),
        ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", "not served"),
        ("/grpc.health.v1.Health/Check", "not served"),
    ] {
        let mut call = Call::new(Way::Grpc, b"");
        call.path = path.to_owned();
        let reply = call.send(&server).await;
        assert_eq!(reply.word, Word::Other(12), "{path}");
        assert!(reply.message.contains(says), "{}", reply.message);
    }
    for (path, says) in
        [("/v1/metrics", "traces only"), ("/v1/logs", "traces only"), ("/", "/v1/traces"), ("/v1/traces/x", "not to")]
    {
        for way in [Way::Protobuf, Way::Json] {
            let mut call = Call::new(way, b"");
            call.path = path.to_owned();
            let reply = call.send(&server).await;
            assert_eq!(reply.status, 404, "{path}");
            assert!(reply.message.contains(says), "{}", reply.message);
        }
    }
}

#[tokio::test]
async fn otlp_108_slashes_queries_and_a_prefix_are_taken() {
    let server = Server::with(|config| config.receiver.path_prefix = "/otlp".to_owned()).await;
    for (number, path) in (0..).zip(["/v1/traces/", "/v1/traces?a=b", "/otlp/v1/traces", "/otlp/v1/traces/?x"]) {
        let mut call = Call::new(Way::Protobuf, &message(Way::Protobuf, number));
        call.path = path.to_owned();
        assert_eq!(call.send(&server).await.word, Word::Ok, "{path}");
    }
    let mut call = Call::new(Way::Protobuf, b"");
    call.path = "/other/v1/traces".to_owned();
    assert_eq!(call.send(&server).await.status, 404);
}

#[tokio::test]
async fn otlp_109_other_methods_are_refused_with_the_allowed_one() {
    let server = Server::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let mut call = Call::new(Way::Protobuf, b"");
        call.method = method.clone();
        let reply = call.send(&server).await;
        assert_eq!((reply.status, &reply.headers["allow"]), (405, &"POST".parse().unwrap()), "{method}");
        assert!(reply.message.contains(method.as_str()));
    }
    let mut call = Call::new(Way::Protobuf, b"");
    call.method = Method::HEAD;
    let head = call.send_for_head(&server).await;
    assert_eq!((head.status.as_u16(), &head.headers["allow"]), (405, &"POST".parse().unwrap()));
}

#[tokio::test]
async fn otlp_110_a_call_has_exactly_one_message() {
    let server = Server::start().await;
    let one = frame(0, &message(Way::Grpc, 1));
    for body in [vec![], [one.clone(), one.clone()].concat(), [frame(0, b""), frame(0, b"")].concat()] {
        let mut call = Call::new(Way::Grpc, b"");
        call.body = body;
        assert_eq!(call.send(&server).await.word, Word::Other(12));
    }
    assert_eq!(server.sink.span_count(), 0);
}

#[tokio::test]
async fn otlp_111_broken_framing_is_internal_and_stores_nothing() {
    let server = Server::start().await;
    let whole = message(Way::Grpc, 1);
    let mut truncated = frame(0, &whole);
    truncated.truncate(truncated.len() - 1);
    for body in [frame(1, &whole), truncated, vec![0], vec![0, 0, 0], frame(2, &whole)] {
        let mut call = Call::new(Way::Grpc, b"");
        call.body = body;
        assert_eq!(call.send(&server).await.word, Word::Other(13));
    }
    assert_eq!(server.sink.span_count(), 0);
}

#[tokio::test]
async fn otlp_201_the_content_type_may_have_any_case_and_parameters() {
    let server = Server::start().await;
    for media_type in ["application/x-protobuf", "Application/X-Protobuf", "application/x-protobuf; charset=utf-8"] {
        let reply = Call::new(Way::Protobuf, b"").header("content-type", media_type).send(&server).await;
        assert_eq!(
            (reply.word, &reply.headers["content-type"]),
            (Word::Ok, &"application/x-protobuf".parse().unwrap())
        );
    }
    let reply =
        Call::new(Way::Json, b"{}").header("content-type", "application/JSON;charset=UTF-8").send(&server).await;
    assert_eq!((reply.word, &reply.headers["content-type"]), (Word::Ok, &"application/json".parse().unwrap()));
    let mut call = Call::new(Way::Grpc, b"").header("content-type", "application/grpc+proto");
    call.path = EXPORT.to_owned();
    assert_eq!(call.send(&server).await.word, Word::Ok);
}
