//! Malformed messages: on each transport the documented answer, nothing stored, and the connection goes on.

use std::sync::atomic::Ordering::Relaxed;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client::{Call, Way, Word, client, compress, encode, frame, request, span};
use super::server::Server;

/// A name, and what is sent in place of a message.
type Message = (&'static str, Vec<u8>);

fn bytes(name: &'static str, bytes: &[u8]) -> Message {
    (name, bytes.to_vec())
}

/// A field with a length before its content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(content);
    field
}

/// `fields` as those of a span, in its request.
fn in_span(fields: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, fields)))
}

fn protobuf() -> Vec<Message> {
    let whole = encode(Way::Protobuf, &request(vec![span(1)]));
    vec![
        bytes("a field without its number", b"\x00\x00"),
        bytes("wire type 6", b"\x0e\x01"),
        bytes("wire type 7", b"\x0f\x01"),
        bytes("the end of a group never begun", b"\x0c"),
        bytes("a group that does not end", b"\x1b\x08\x01"),
        bytes("a group with another's end", b"\x1b\x24"),
        bytes("half a tag", b"\x8a"),
        bytes("a tag of 11 bytes", b"\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        bytes("a tag without a value", b"\x0a"),
        bytes("a length beyond the end", b"\x0a\x05\x01"),
        bytes("a length of 2^31", b"\x0a\x80\x80\x80\x80\x08"),
        bytes("a length of 2^63", b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        bytes("a varint of 11 bytes", b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        bytes("half a varint", b"\x08\xff"),
        bytes("half a fixed64", b"\x09\x01\x02"),
        bytes("half a fixed32", b"\x0d\x01"),
        ("a message cut by a byte", whole[..whole.len() - 1].to_vec()),
        ("a message and a byte", [&whole[..], b"\x0a"].concat()),
        ("half a start time", in_span(b"\x39\x01\x02")),
        ("a trace id longer than its span", in_span(b"\x0a\x10\x01")),
        ("an attribute longer than its span", in_span(b"\x4a\x7f")),
        ("an event that is half a tag", in_span(&field(11, b"\x8a"))),
        ("a link of wire type 7", in_span(&field(13, b"\x0f"))),
        ("a status longer than its span", in_span(b"\x7a\x02\x10")),
        ("JSON in place of protobuf", b"{\"resourceSpans\":[]}".to_vec()),
        ("text in place of protobuf", b"hello".to_vec()),
    ]
}

fn json() -> Vec<Message> {
    let whole = encode(Way::Json, &request(vec![span(1)]));
    let in_span =
        |text: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{text}}}]}}]}}]}}"#).into_bytes();
    vec![
        bytes("white space", b" "),
        bytes("half an object", b"{"),
        bytes("a list", b"[]"),
        bytes("a number", b"1"),
        bytes("null", b"null"),
        bytes("two objects", b"{}{}"),
        bytes("an object and a byte", b"{}x"),
        bytes("no quotes", b"{resourceSpans:[]}"),
        bytes("single quotes", b"{'resourceSpans':[]}"),
        bytes("a comma at the end", b"{\"resourceSpans\":[],}"),
        bytes("a comma at the end of a list", b"{\"resourceSpans\":[{},]}"),
        bytes("a comment", b"{/*x*/}"),
        bytes("no colon", b"{\"resourceSpans\" []}"),
        bytes("a list closed as an object", b"{\"resourceSpans\":[}}"),
        bytes("an object where a list belongs", b"{\"resourceSpans\":{}}"),
        bytes("null in a list", b"{\"resourceSpans\":[null]}"),
        bytes("an escape that is none", b"{\"a\":\"\\x\"}"),
        bytes("half an escape", b"{\"a\":\"\\u12\"}"),
        bytes("a control character in a string", b"{\"a\":\"\n\"}"),
        bytes("UTF-16", b"\xff\xfe{\x00}\x00"),
        bytes("protobuf in place of JSON", b"\x0a\x00"),
        ("a message cut by a byte", whole[..whole.len() - 1].to_vec()),
        ("a start time of 1.5", in_span(r#""startTimeUnixNano":1.5"#)),
        ("a start time of +1", in_span(r#""startTimeUnixNano":+1"#)),
        ("a start time of text", in_span(r#""startTimeUnixNano":"soon""#)),
        ("a start time of a list", in_span(r#""startTimeUnixNano":[]"#)),
        ("a start time above 2^64", in_span(r#""startTimeUnixNano":"18446744073709551616""#)),
        ("a name that is a number", in_span(r#""name":1"#)),
        ("attributes that are an object", in_span(r#""attributes":{"a":1}"#)),
        ("a value that is a list", in_span(r#""attributes":[{"key":"a","value":[]}]"#)),
        ("a boolean of text", in_span(r#""attributes":[{"key":"a","value":{"boolValue":"yes"}}]"#)),
        ("bytes that are no base64", in_span(r#""attributes":[{"key":"a","value":{"bytesValue":"*"}}]"#)),
        ("nan in lower case", in_span(r#""attributes":[{"key":"a","value":{"doubleValue":nan}}]"#)),
        ("10,000 open lists", b"[".repeat(10_000)),
    ]
}

fn compressed(way: Way) -> Vec<(&'static str, Call)> {
    let whole = encode(way, &request(vec![span(1)]));
    let (gzip, zstd) = (compress("gzip", &whole), compress("zstd", &whole));
    let mut wrong_checksum = gzip.clone();
    let at = wrong_checksum.len() - 6;
    wrong_checksum[at] ^= 0xff;
    // A frame that claims 2^40 bytes and a window to match.
    let claims = [0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0xf0, 0, 0, 0, 0, 0, 1, 0, 0];
    vec![
        ("plain called gzip", Call::compressed(way, "gzip", &whole)),
        ("plain called zstd", Call::compressed(way, "zstd", &whole)),
        ("gzip called zstd", Call::compressed(way, "zstd", &gzip)),
        ("half of gzip", Call::compressed(way, "gzip", &gzip[..gzip.len() / 2])),
        ("the head of gzip", Call::compressed(way, "gzip", &gzip[..10])),
        ("gzip with a wrong checksum", Call::compressed(way, "gzip", &wrong_checksum)),
        ("half of zstd", Call::compressed(way, "zstd", &zstd[..zstd.len() / 2])),
        ("zstd that claims a terabyte", Call::compressed(way, "zstd", &claims)),
        ("gzip and more", Call::compressed(way, "gzip", &[&gzip[..], b"\x1f\x8b\x08"].concat())),
    ]
}

fn framing() -> Vec<(&'static str, Vec<u8>, Word)> {
    let whole = frame(0, &encode(Way::Grpc, &request(vec![span(1)])));
    vec![
        ("no message", vec![], Word::Other(12)),
        ("two messages", whole.repeat(2), Word::Other(12)),
        ("a message and a byte", [&whole[..], b"x"].concat(), Word::Other(12)),
        ("half a header", whole[..3].to_vec(), Word::Other(13)),
        ("half a message", whole[..whole.len() / 2].to_vec(), Word::Other(13)),
        ("a flag of 2", [b"\x02", &whole[1..]].concat(), Word::Other(13)),
        ("compressed without saying how", [b"\x01", &whole[1..]].concat(), Word::Other(13)),
        ("a length of 4 GiB", b"\x00\xff\xff\xff\xff".to_vec(), Word::TooLarge),
        ("HTTP in place of gRPC", b"POST / HTTP/1.1\r\n\r\n".to_vec(), Word::Other(13)),
        ("base64, as browsers send it", STANDARD.encode(&whole).into_bytes(), Word::Other(13)),
    ]
}

/// Sends each call on one connection, and a good request after it.
async fn check(way: Way, calls: Vec<(&'static str, Call, Word)>) {
    let server = Server::start().await;
    let client = client(Call::new(way, b"").version);
    let count = calls.len();
    for (number, (name, call, word)) in (0..).zip(calls) {
        let reply = call.send_with(&client, &server).await;
        assert_eq!(reply.word, word, "{way:?}, {name}: {}", reply.message);
        assert!(!reply.message.is_empty(), "{way:?}, {name}");
        assert_eq!(server.sink.span_count(), number, "{way:?}, {name} was stored");
        let good = Call::new(way, &encode(way, &request(vec![span(number as u64)])));
        assert_eq!(good.send_with(&client, &server).await.word, Word::Ok, "{way:?}, after {name}");
    }
    assert_eq!(server.metrics.connections.accepted.load(Relaxed), 1, "{way:?}: the connection goes on");
    assert_eq!(server.metrics.refused_requests(), count as u64);
    assert_eq!(server.metrics.books().received, count as u64);
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}

fn plain(way: Way, messages: Vec<Message>) -> impl Iterator<Item = (&'static str, Call, Word)> {
    messages.into_iter().map(move |(name, message)| (name, Call::new(way, &message), Word::Bad))
}

#[tokio::test]
async fn malformed_protobuf_is_bad() {
    for way in [Way::Grpc, Way::Protobuf] {
        let packed = compressed(way).into_iter().map(|(name, call)| (name, call, Word::Bad));
        check(way, plain(way, protobuf()).chain(packed).collect()).await;
    }
}

#[tokio::test]
async fn malformed_json_is_bad() {
    let packed = compressed(Way::Json).into_iter().map(|(name, call)| (name, call, Word::Bad));
    check(Way::Json, plain(Way::Json, json()).chain(packed).collect()).await;
}

#[tokio::test]
async fn malformed_grpc_is_answered_as_grpc_defines() {
    let calls = framing().into_iter().map(|(name, body, word)| {
        let mut call = Call::new(Way::Grpc, b"");
        call.body = body;
        (name, call, word)
    });
    check(Way::Grpc, calls.collect()).await;
}
