//! One connection: which HTTP it speaks, its requests, and its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::AnswerBody;
use super::connection::Connection;
use super::frames::Frames;
use super::metrics::{ConnectionCounts, add};
use super::places::Places;
use super::watched::{Verdict, Watch, Watched};
use crate::config::ReceiverConfig;

/// What a listener is for.
pub trait Service: Send + Sync + 'static {
    fn config(&self) -> &ReceiverConfig;

    fn connections(&self) -> &ConnectionCounts;

    /// The part of the files that the process may open, as one of so many.
    fn shares_of_open_files(&self) -> u64;

    /// Answers a request. Dropped when the client resets it or goes away.
    fn answer(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<AnswerBody>> + Send;
}

/// How long and how much an early answer waits for the client to see it instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 << 20;
/// Streams at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

pub async fn run<S: Service>(service: Arc<S>, stream: TcpStream, places: Arc<Places>, draining: watch::Receiver<bool>) {
    let Ok(local_address) = stream.local_addr() else { return };
    let _open = service.connections().accept();
    // Answers are small and final: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(local_address, draining.clone());
    let mut watch = Watch::new(Arc::clone(&connection), service.config(), places, draining);
    let version = tokio::select! {
        version = sniff(&stream, &connection) => version,
        verdict = watch.next() => match verdict {
            Verdict::End => return,
            Verdict::Break => Err(Broken),
        },
    };
    let outcome = match version {
        Ok(Some(Version::Http1)) => run_http1(&service, stream, &connection, watch).await,
        Ok(Some(Version::Http2)) => run_http2(&service, stream, &connection, watch).await,
        Ok(None) => Ok(()),
        Err(Broken) => Err(Broken),
    };
    if let Err(Broken) = outcome {
        add(&service.connections().broken, 1);
    }
}

/// Closed for what came over it, or for what did not.
struct Broken;

enum Version {
    Http1,
    Http2,
}

/// HTTP/2 begins with `PRI`, which is no method of HTTP/1. `None` if the client leaves without a word.
async fn sniff(stream: &TcpStream, connection: &Connection) -> Result<Option<Version>, Broken> {
    const BEGIN: &[u8] = b"PRI";
    let mut first = [0; BEGIN.len()];
    loop {
        let count = stream.peek(&mut first).await.map_err(|_| Broken)?;
        match first.get(..count).unwrap_or_default() {
            [] => return Ok(None),
            BEGIN => return Ok(Some(Version::Http2)),
            came if !BEGIN.starts_with(came) => return Ok(Some(Version::Http1)),
            _ => connection.bytes_came(true),
        }
        // Peeking again returns at once with the same bytes, so give the next ones time.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn respond<S: Service>(
    service: Arc<S>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let open = connection.open_request();
    let mut response = service.answer(Arc::clone(&connection), request).await;
    drop(open);
    response.body_mut().hold(connection.unsent_answer());
    Ok(response)
}

async fn run_http1<S: Service>(
    service: &Arc<S>,
    stream: TcpStream,
    connection: &Arc<Connection>,
    mut watch: Watch<'_>,
) -> Result<(), Broken> {
    let config = service.config();
    let answering = service_fn(|request| Box::pin(respond(Arc::clone(service), Arc::clone(connection), request)));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(connection), None));
    let mut serving =
        http1::Builder::new().max_header_size(config.max_head_bytes).half_close(true).serve_connection(io, answering);
    let outcome = loop {
        let verdict = tokio::select! {
            outcome = std::future::poll_fn(|context| serving.poll_without_shutdown(context)) => break outcome,
            verdict = watch.next() => verdict,
        };
        match verdict {
            Verdict::End => Pin::new(&mut serving).graceful_shutdown(),
            Verdict::Break => return Err(Broken),
        }
    };
    let mut stream = serving.into_parts().io.into_inner().into_stream();
    if connection.has_body_left() {
        linger(&mut stream).await;
    }
    let _ = stream.shutdown().await;
    outcome.map_err(|_| Broken)
}

/// Closing a socket with bytes unread resets it, and the client may lose the answer that it was just sent.
async fn linger(stream: &mut TcpStream) {
    let _ = stream.shutdown().await;
    let discard = async {
        let mut scrap = vec![0; 64 * 1024];
        let mut discarded: usize = 0;
        while let Ok(count) = stream.read(&mut scrap).await {
            discarded = discarded.saturating_add(count);
            if count == 0 || discarded > LINGER_BYTES {
                break;
            }
        }
    };
    let _ = timeout(LINGER, discard).await;
}

async fn run_http2<S: Service>(
    service: &Arc<S>,
    stream: TcpStream,
    connection: &Arc<Connection>,
    mut watch: Watch<'_>,
) -> Result<(), Broken> {
    let config = service.config();
    let (shared, watched) = (Arc::clone(service), Arc::clone(connection));
    let answering = service_fn(move |request| respond(Arc::clone(&shared), Arc::clone(&watched), request));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(connection), Some(Frames::new())));
    let mut serving = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(config.idle_timeout / 4)
            .keep_alive_timeout(config.head_timeout)
            .serve_connection(io, answering)
    );
    loop {
        let verdict = tokio::select! {
            outcome = serving.as_mut() => return outcome.map_err(|_| Broken),
            verdict = watch.next() => verdict,
        };
        match verdict {
            Verdict::End => serving.as_mut().graceful_shutdown(),
            Verdict::Break => return Err(Broken),
        }
    }
}
