//! Clients that we did not write: tonic, and OpenTelemetry's sampler for Node.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::messages::{SamplingStrategyParameters, SamplingStrategyResponse};
use super::server::Server;
use crate::remote::{Head, Outcome, Strategy, Transport};

const PATH: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// prost as tonic's codec, of which tonic itself has none since 0.14.
#[derive(Debug, Clone, Copy, Default)]
struct Prost;

impl Codec for Prost {
    type Encode = SamplingStrategyParameters;
    type Decode = SamplingStrategyResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Prost {
    type Item = SamplingStrategyParameters;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Prost {
    type Item = SamplingStrategyResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Message::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A poll over gRPC.
async fn poll(
    address: std::net::SocketAddr,
    path: &'static str,
    encoding: Option<CompressionEncoding>,
    service: &str,
) -> Result<SamplingStrategyResponse, Status> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    if let Some(encoding) = encoding {
        client = client.send_compressed(encoding);
    }
    client.ready().await.unwrap();
    let parameters = SamplingStrategyParameters { service_name: service.to_owned() };
    let answer = client.unary(tonic::Request::new(parameters), path.parse().unwrap(), Prost).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn tonic_is_told_the_same_as_clients_over_http() {
    let server = Server::start().await;
    let all = poll(server.grpc, PATH, None, "cart").await.unwrap();
    assert_eq!(all, SamplingStrategyResponse::of(&Strategy::keep_all()));
    server.publish(10_000.0);
    let thinned = poll(server.grpc, PATH, None, "cart").await.unwrap();
    assert_eq!(thinned, SamplingStrategyResponse::of(&Strategy::new(1.0, [("GET /cart".into(), 0.2)])));
    assert_eq!(server.head("GET /cart"), Head::Between { lowest: 0.2, highest: 1.0 });
    assert_eq!(server.polls(Transport::Grpc, Outcome::Served), 2);
}

#[tokio::test]
async fn tonic_is_told_what_is_wrong() {
    let server = Server::start().await;
    let other = poll(server.grpc, "/jaeger.api_v2.SamplingManager/Watch", None, "cart").await.unwrap_err();
    assert_eq!(other.code(), Code::Unimplemented);
    let compressed = poll(server.grpc, PATH, Some(CompressionEncoding::Gzip), "cart").await.unwrap_err();
    assert_eq!(compressed.code(), Code::Unimplemented);
    assert_eq!(compressed.metadata().get("grpc-accept-encoding").unwrap(), "identity");
    let long = poll(server.grpc, PATH, None, &"x".repeat(9_000)).await.unwrap_err();
    assert_eq!(long.code(), Code::ResourceExhausted);
    let wrong_port = poll(server.http, PATH, None, "cart").await.unwrap_err();
    assert_eq!(wrong_port.code(), Code::Unimplemented);
    assert!(wrong_port.message().contains(&server.grpc.to_string()), "{wrong_port}");
    assert_eq!(server.polls(Transport::Grpc, Outcome::Refused), 3);
    assert_eq!(server.ledger.lock().unwrap().services(), 0);
}

/// OpenTelemetry's sampler follows within its next poll, by operation. The same program runs against the binary in
/// `tests/it/remote_sampling.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opentelemetry_for_node_samples_as_it_is_told() {
    let Some(modules) = std::env::var_os("SPANHOUSE_TEST_NODE_MODULES") else {
        eprintln!("skipped: SPANHOUSE_TEST_NODE_MODULES is not set; `make test` sets up the Node packages");
        return;
    };
    let server = Server::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/remote_sampler.cjs");
    let mut node = Command::new("node")
        .arg(script)
        .args([&format!("http://{}", server.http), "cart", "GET /cart", "POST /cart"])
        .env("NODE_PATH", modules)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let begin = Instant::now();
    let mut seen = Vec::new();
    let mut wanted = [("[1,1]", 10_000.0), ("[0.2,1]", 20_000.0), ("[0.1,1]", 20_000.0)].into_iter().peekable();
    for line in lines.map_while(Result::ok) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{seen:?}");
        if let Some((_, next)) = wanted.next_if(|(shares, _)| line.starts_with(shares)) {
            server.publish(next);
        }
        seen.push(line);
        if wanted.peek().is_none() {
            break;
        }
    }
    node.kill().unwrap();
    node.wait().unwrap();
    assert_eq!(wanted.next(), None, "{seen:?}");
    assert!(server.polls(Transport::Http, Outcome::Served) >= 3);
}
