//! Connections: accepted within a bound, watched for stalls, and ended with grace.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::answer::AnswerBody;
use super::metrics::add;
use super::{Receiver, grpc, http as otlp_http};

/// Which server a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// How often connections are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A pause after a failed accept, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long and how much an early answer waits for the client to see it instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 << 20;
/// Streams at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// What the requests of a connection share with the task that watches it.
#[derive(Debug)]
pub struct Connection {
    local_address: SocketAddr,
    draining: watch::Receiver<bool>,
    opened: Instant,
    open_requests: AtomicUsize,
    /// Milliseconds after `opened`: when bytes came while no request was open; 0 if none did.
    head_since_ms: AtomicU64,
    last_request_ms: AtomicU64,
    body_left: AtomicBool,
}

impl Connection {
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Says whether the request that is being answered was read to its end.
    pub fn note_body(&self, is_finished: bool) {
        self.body_left.store(!is_finished, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn bytes_came(&self) {
        if self.open_requests.load(Ordering::Relaxed) == 0 {
            let now = self.now_ms();
            // Only the first bytes of a head set the time.
            let _ = self.head_since_ms.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn request_begins(&self) {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        self.head_since_ms.store(0, Ordering::Relaxed);
        self.last_request_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn request_ends(&self) {
        self.last_request_ms.store(self.now_ms(), Ordering::Relaxed);
        self.open_requests.fetch_sub(1, Ordering::Relaxed);
    }

    fn head_is_late(&self, after: Duration) -> bool {
        let since = self.head_since_ms.load(Ordering::Relaxed);
        since > 0 && Duration::from_millis(self.now_ms().saturating_sub(since)) > after
    }

    fn is_idle(&self, after: Duration) -> bool {
        let idle_ms = self.now_ms().saturating_sub(self.last_request_ms.load(Ordering::Relaxed));
        self.open_requests.load(Ordering::Relaxed) == 0 && Duration::from_millis(idle_ms) > after
    }
}

/// Ends the count of a request even if the client's reset drops its future.
struct OpenRequest(Arc<Connection>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// Accepts until `shutdown`, then drains.
pub async fn serve(
    receiver: Arc<Receiver>,
    transport: Transport,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (drain, draining) = watch::channel(false);
    let places = Arc::new(Semaphore::new(receiver.config.receiver.max_connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let work = run(Arc::clone(&receiver), transport, stream, draining.clone());
                connections.spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // New clients are refused by the system from here on, and try again elsewhere or later.
    drop(listener);
    let _ = drain.send(true);
    let drained =
        timeout(receiver.config.receiver.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections did not end within the drain time");
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn run(receiver: Arc<Receiver>, transport: Transport, stream: TcpStream, draining: watch::Receiver<bool>) {
    let Ok(local_address) = stream.local_addr() else { return };
    add(&receiver.metrics.connections, 1);
    // Answers are small and final: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let config = &receiver.config.receiver;
    let mut stop = draining.clone();
    let version = tokio::select! {
        version = sniff(&stream, config.head_timeout, config.idle_timeout) => version,
        _ = stop.wait_for(|is_draining| *is_draining) => return,
    };
    let connection = Arc::new(Connection {
        local_address,
        draining,
        opened: Instant::now(),
        open_requests: AtomicUsize::new(0),
        head_since_ms: AtomicU64::new(0),
        last_request_ms: AtomicU64::new(0),
        body_left: AtomicBool::new(false),
    });
    let outcome = match version {
        Some(Version::Http1) => run_http1(&receiver, transport, stream, &connection, stop).await,
        Some(Version::Http2) => run_http2(&receiver, transport, stream, &connection, stop).await,
        None => Err(Broken),
    };
    if let Err(Broken) = outcome {
        add(&receiver.metrics.broken_connections, 1);
    }
}

/// Closed for what came over it, or for what did not.
struct Broken;

enum Version {
    Http1,
    Http2,
}

/// HTTP/2 begins with `PRI`, which is no method of HTTP/1. `None` if the client stalls within it or says nothing.
async fn sniff(stream: &TcpStream, head_timeout: Duration, idle_timeout: Duration) -> Option<Version> {
    const BEGIN: &[u8] = b"PRI";
    let mut first = [0; BEGIN.len()];
    let mut deadline = Instant::now() + idle_timeout;
    let mut has_begun = false;
    loop {
        let count = tokio::time::timeout_at(deadline, stream.peek(&mut first)).await.ok()?.ok()?;
        let came = first.get(..count)?;
        if count == 0 {
            return None;
        }
        if came == BEGIN {
            return Some(Version::Http2);
        }
        if !BEGIN.starts_with(came) {
            return Some(Version::Http1);
        }
        if !std::mem::replace(&mut has_begun, true) {
            deadline = Instant::now() + head_timeout;
        }
        if Instant::now() >= deadline {
            return None;
        }
        // Peeking again returns at once with the same bytes, so give the next ones time.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn respond(
    receiver: Arc<Receiver>,
    transport: Transport,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    connection.request_begins();
    let open = OpenRequest(Arc::clone(&connection));
    let response = match transport {
        Transport::Grpc => grpc::handle(receiver, connection, request).await,
        Transport::Http => otlp_http::handle(receiver, connection, request).await,
    };
    drop(open);
    Ok(response)
}

async fn run_http1(
    receiver: &Arc<Receiver>,
    transport: Transport,
    stream: TcpStream,
    connection: &Arc<Connection>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let config = &receiver.config.receiver;
    let service =
        service_fn(|request| Box::pin(respond(Arc::clone(receiver), transport, Arc::clone(connection), request)));
    let io = TokioIo::new(Watched { stream, connection: Arc::clone(connection) });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's timer also runs between requests, so it is the one for idle connections.
        .header_read_timeout(config.idle_timeout)
        .max_header_size(config.max_head_bytes)
        .half_close(true)
        .serve_connection(io, service);
    let mut tick = tokio::time::interval(TICK);
    let mut is_ending = false;
    let outcome = loop {
        tokio::select! {
            outcome = std::future::poll_fn(|context| serving.poll_without_shutdown(context)) => break outcome,
            _ = tick.tick() => {
                if connection.head_is_late(config.head_timeout) {
                    return Err(Broken);
                }
                if !is_ending && connection.opened.elapsed() > config.max_connection_age {
                    is_ending = true;
                    Pin::new(&mut serving).graceful_shutdown();
                }
            }
            _ = stop.wait_for(|is_draining| *is_draining), if !is_ending => {
                is_ending = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
        }
    };
    let mut stream = serving.into_parts().io.into_inner().stream;
    if connection.body_left.load(Ordering::Relaxed) {
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

async fn run_http2(
    receiver: &Arc<Receiver>,
    transport: Transport,
    stream: TcpStream,
    connection: &Arc<Connection>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let config = &receiver.config.receiver;
    let (shared, watched) = (Arc::clone(receiver), Arc::clone(connection));
    let service = service_fn(move |request| respond(Arc::clone(&shared), transport, Arc::clone(&watched), request));
    let mut serving = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(config.idle_timeout / 4)
            .keep_alive_timeout(config.head_timeout)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut tick = tokio::time::interval(TICK);
    let mut is_ending = false;
    loop {
        tokio::select! {
            outcome = serving.as_mut() => return outcome.map_err(|_| Broken),
            _ = tick.tick(), if !is_ending => {
                let is_old = connection.opened.elapsed() > config.max_connection_age;
                if is_old || connection.is_idle(config.idle_timeout) {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
            _ = stop.wait_for(|is_draining| *is_draining), if !is_ending => {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Tells the connection when bytes come.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.connection.bytes_came();
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
