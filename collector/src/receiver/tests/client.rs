//! One request over each transport, and the answer's word.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::server::Server;
use crate::otlp::tests::json_text;

pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The three ways that a case names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Grpc,
    Protobuf,
    Json,
}

pub const WAYS: [Way; 3] = [Way::Grpc, Way::Protobuf, Way::Json];

/// The words of the specification's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Ok,
    Warn,
    Rejected(i64),
    Bad,
    TooLarge,
    SlowDown,
    Unavailable,
    Other(u32),
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub word: Word,
    /// HTTP's, also for gRPC.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// gRPC's code: from trailers, or from the body's `google.rpc.Status`.
    pub code: u32,
    pub message: String,
    pub retry_seconds: Option<u64>,
    pub has_bad_request: bool,
}

/// `google.rpc.Status`, with what is known of its details.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcAny {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RetryDelay>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn compress(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => gzip(bytes),
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// A frame of gRPC.
pub fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut framed = vec![flag];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

pub fn span(number: u64) -> Span {
    Span {
        trace_id: u128::from(number + 1).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_000_001_000 + number,
        ..Span::default()
    }
}

pub fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

pub fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Some(Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

pub fn encode(way: Way, request: &ExportTraceServiceRequest) -> Vec<u8> {
    if way == Way::Json { json_text::of(request) } else { request.encode_to_vec() }
}

/// A request to shape before it goes out.
#[derive(Debug, Clone)]
pub struct Call {
    pub way: Way,
    pub version: Version,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Call {
    /// The message as it is, ready to send.
    pub fn new(way: Way, message: &[u8]) -> Self {
        let (version, path, media_type, body) = match way {
            Way::Grpc => (Version::HTTP_2, EXPORT, "application/grpc", frame(0, message)),
            Way::Protobuf => (Version::HTTP_11, "/v1/traces", "application/x-protobuf", message.to_vec()),
            Way::Json => (Version::HTTP_11, "/v1/traces", "application/json", message.to_vec()),
        };
        let headers = vec![("content-type", media_type.to_owned())];
        Self { way, version, method: Method::POST, path: path.to_owned(), headers, body }
    }

    pub fn compressed(way: Way, encoding: &str, compressed: &[u8]) -> Self {
        let mut call = Self::new(way, compressed);
        if way == Way::Grpc {
            call.body = frame(1, compressed);
            call.headers.push(("grpc-encoding", encoding.to_owned()));
        } else {
            call.headers.push(("content-encoding", encoding.to_owned()));
        }
        call
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(existing, _)| *existing != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub async fn send(self, server: &Server) -> Reply {
        let client = client(self.version);
        self.send_with(&client, server).await
    }

    pub async fn send_with(self, client: &Client<HttpConnector, Full<Bytes>>, server: &Server) -> Reply {
        let address = if self.way == Way::Grpc { server.grpc } else { server.http };
        self.send_to(client, address).await
    }

    pub async fn send_to(self, client: &Client<HttpConnector, Full<Bytes>>, address: std::net::SocketAddr) -> Reply {
        self.try_send_to(client, address).await.unwrap()
    }

    /// Fails where the connection ends before there is an answer.
    pub async fn try_send_to(
        self,
        client: &Client<HttpConnector, Full<Bytes>>,
        address: std::net::SocketAddr,
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        Ok(read(client.request(self.request(address)).await?).await)
    }

    /// The head of an answer over HTTP that is none of OTLP.
    pub async fn send_for_head(self, server: &Server) -> http::response::Parts {
        let client = client(self.version);
        client.request(self.request(server.http)).await.unwrap().into_parts().0
    }

    fn request(self, address: std::net::SocketAddr) -> Request<Full<Bytes>> {
        let uri: Uri = format!("http://{address}{}", self.path).parse().unwrap();
        let mut request = Request::new(Full::new(Bytes::from(self.body)));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = self.version;
        for (name, value) in self.headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }
}

pub fn client(version: Version) -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    // As SDKs do; else each request over HTTP/2 waits 40 ms for an acknowledgement of its head.
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build(connector)
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let body = collected.to_bytes();
    let media_type = head.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
    if media_type.as_deref() == Some("application/grpc") {
        return read_grpc(head, trailers, body);
    }
    let is_json = media_type.as_deref() == Some("application/json");
    let mut reply = Reply {
        word: Word::Ok,
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.clone(),
        code: 0,
        message: String::new(),
        retry_seconds: None,
        has_bad_request: false,
    };
    if reply.status == 200 {
        reply.word = if is_json { json_word(&body) } else { protobuf_word(&body) }.0;
        reply.message = if is_json { json_word(&body) } else { protobuf_word(&body) }.1;
        return reply;
    }
    let status = if is_json { json_status(&body) } else { RpcStatus::decode(body).unwrap() };
    reply.take_status(&status);
    let retry_after = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    assert_eq!(retry_after, reply.retry_seconds, "Retry-After equals RetryInfo");
    reply.word = match reply.status {
        400 if reply.has_bad_request => Word::Bad,
        413 if reply.retry_seconds.is_none() => Word::TooLarge,
        429 if reply.retry_seconds.is_some() => Word::SlowDown,
        503 if reply.retry_seconds.is_some() => Word::Unavailable,
        other => Word::Other(other.into()),
    };
    reply
}

fn read_grpc(head: http::response::Parts, trailers: HeaderMap, body: Bytes) -> Reply {
    let is_trailers_only = head.headers.contains_key("grpc-status");
    let from = if is_trailers_only { head.headers.clone() } else { trailers };
    let code: u32 = from.get("grpc-status").unwrap().to_str().unwrap().parse().unwrap();
    let mut reply = Reply {
        word: Word::Ok,
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.clone(),
        code,
        message: String::new(),
        retry_seconds: None,
        has_bad_request: false,
    };
    if code == 0 {
        assert_eq!(body[0], 0);
        assert_eq!(body.len() - 5, u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize);
        (reply.word, reply.message) = protobuf_word(&body[5..]);
        reply.body = body.slice(5..);
        return reply;
    }
    let details = from.get("grpc-status-details-bin").unwrap();
    let status = RpcStatus::decode(&STANDARD_NO_PAD.decode(details.as_bytes()).unwrap()[..]).unwrap();
    assert_eq!(status.code as u32, code);
    reply.take_status(&status);
    reply.word = match code {
        3 if reply.has_bad_request => Word::Bad,
        8 if reply.retry_seconds.is_some() => Word::SlowDown,
        8 => Word::TooLarge,
        14 if reply.retry_seconds.is_some() => Word::Unavailable,
        other => Word::Other(other),
    };
    reply
}

impl Reply {
    fn take_status(&mut self, status: &RpcStatus) {
        self.code = status.code as u32;
        self.message = status.message.clone();
        for detail in &status.details {
            if detail.type_url.ends_with("google.rpc.BadRequest") {
                self.has_bad_request = true;
            } else if detail.type_url.ends_with("google.rpc.RetryInfo") {
                let info = RetryInfo::decode(&detail.value[..]).unwrap();
                self.retry_seconds = info.retry_delay.map(|delay| delay.seconds as u64);
            }
        }
    }
}

fn word(rejected: i64, message: &str) -> Word {
    match (rejected, message.is_empty()) {
        (0, true) => Word::Ok,
        (0, false) => Word::Warn,
        (count, _) => Word::Rejected(count),
    }
}

fn protobuf_word(body: &[u8]) -> (Word, String) {
    let response = ExportTraceServiceResponse::decode(body).unwrap();
    match response.partial_success {
        None => (Word::Ok, String::new()),
        Some(partial) => {
            let word = word(partial.rejected_spans, &partial.error_message);
            assert_ne!(word, Word::Ok, "partial_success is unset for full success");
            (word, partial.error_message)
        }
    }
}

fn json_word(body: &[u8]) -> (Word, String) {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap();
    let Some(partial) = json.get("partialSuccess") else {
        assert_eq!(body, b"{}");
        return (Word::Ok, String::new());
    };
    let rejected = partial.get("rejectedSpans").map_or(0, |count| count.as_str().unwrap().parse().unwrap());
    let message = partial.get("errorMessage").map_or("", |message| message.as_str().unwrap());
    (word(rejected, message), message.to_owned())
}

fn json_status(body: &[u8]) -> RpcStatus {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap();
    let details = json.get("details").and_then(|details| details.as_array()).cloned().unwrap_or_default();
    let detail = |detail: &serde_json::Value| {
        let seconds =
            detail.get("retryDelay").map(|delay| delay.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap());
        let retry = RetryInfo { retry_delay: seconds.map(|seconds| RetryDelay { seconds }) };
        RpcAny { type_url: detail["@type"].as_str().unwrap().to_owned(), value: retry.encode_to_vec() }
    };
    RpcStatus {
        code: json["code"].as_i64().unwrap() as i32,
        message: json["message"].as_str().unwrap().to_owned(),
        details: details.iter().map(detail).collect(),
    }
}

/// Sends a request the given way, without compression.
pub async fn send(server: &Server, way: Way, message: &ExportTraceServiceRequest) -> Reply {
    Call::new(way, &encode(way, message)).send(server).await
}
