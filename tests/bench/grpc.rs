//! Unary calls over HTTP/2: a connection each, one call at a time, all on one thread.
//!
//! Costs the sender more than HTTP/1.1 does: a system call for each frame of 16 KiB.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use futures::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::corpus;
use crate::options::Sending;
use crate::sender::{Answer, PAUSE, Queue, Sent, Tries};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const FRAME_HEADER_BYTES: usize = 5;
const RESOURCE_EXHAUSTED: &str = "8";
const UNAVAILABLE: &str = "14";

/// Frame header and message, without a copy.
type Body = Full<Chain<Bytes, Bytes>>;

pub fn send(to: SocketAddr, how: Sending, queue: &Queue<'_>) -> anyhow::Result<Sent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connection = |_| async move { queue.abandoned_on_error(over_connection(to, how, queue).await) };
    let all = runtime.block_on(try_join_all((0..how.connections).map(connection)))?;
    let mut sent = Sent::default();
    all.into_iter().for_each(|part| sent.add(part));
    Ok(sent)
}

async fn over_connection(to: SocketAddr, how: Sending, queue: &Queue<'_>) -> anyhow::Result<Sent> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
    stream.set_nodelay(true)?;
    let (mut calls, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // How it ends is seen by the calls.
    tokio::spawn(async { drop(connection.await) });
    let mut sent = Sent::default();
    while let Some((request, due)) = queue.next() {
        tokio::time::sleep(due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))).await;
        let mut tries = Tries::new(due);
        while let Some(pause) = tries.answered(call(&mut calls, to, how, request).await?, &mut sent)? {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(sent)
}

async fn call(
    calls: &mut SendRequest<Body>,
    to: SocketAddr,
    how: Sending,
    request: &corpus::Request,
) -> anyhow::Result<Answer> {
    let mut frame_header = vec![u8::from(how.encoding.name().is_some())];
    frame_header.extend_from_slice(&u32::try_from(request.body.len())?.to_be_bytes());
    let mut call = Request::post(format!("http://{to}{PATH}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    if let Some(name) = how.encoding.name() {
        call = call.header("grpc-encoding", name);
    }
    let body = Full::new(Bytes::from(frame_header).chain(request.body.clone()));
    let (head, body) = calls.send_request(call.body(body)?).await?.into_parts();
    let body = body.collect().await?;
    // Without a message the status may stand in the headers.
    let trailers = body.trailers().cloned().unwrap_or_default();
    let field = |name: &str| {
        let value = trailers.get(name).or_else(|| head.headers.get(name));
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    match field("grpc-status").as_str() {
        "0" => Answer::taken(body.to_bytes().get(FRAME_HEADER_BYTES..).unwrap_or_default()),
        // The pause in its details is not read: it is a second or more.
        RESOURCE_EXHAUSTED | UNAVAILABLE => Ok(Answer::Busy { pause: PAUSE, reason: field("grpc-message") }),
        status => bail!("refused for good: HTTP {}, gRPC status {status}: {}", head.status, field("grpc-message")),
    }
}
