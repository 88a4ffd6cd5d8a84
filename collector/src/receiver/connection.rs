//! What the requests of a connection share with the task that watches it: when it stalls, and when it is idle.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

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
    pub fn new(local_address: SocketAddr, draining: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            local_address,
            draining,
            opened: Instant::now(),
            open_requests: AtomicUsize::new(0),
            head_since_ms: AtomicU64::new(0),
            last_request_ms: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
        })
    }

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

    /// Whether the last request was answered before it was read to its end.
    pub fn has_body_left(&self) -> bool {
        self.body_left.load(Ordering::Relaxed)
    }

    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Counts a request as open until what comes back is dropped.
    pub fn open_request(self: &Arc<Self>) -> OpenRequest {
        self.request_begins();
        OpenRequest(Arc::clone(self))
    }

    pub fn head_is_late(&self, after: Duration) -> bool {
        let since = self.head_since_ms.load(Ordering::Relaxed);
        since > 0 && Duration::from_millis(self.now_ms().saturating_sub(since)) > after
    }

    pub fn is_idle(&self, after: Duration) -> bool {
        let idle_ms = self.now_ms().saturating_sub(self.last_request_ms.load(Ordering::Relaxed));
        self.open_requests.load(Ordering::Relaxed) == 0 && Duration::from_millis(idle_ms) > after
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
}

/// Ends the count of a request even if the client's reset drops its future.
#[derive(Debug)]
pub struct OpenRequest(Arc<Connection>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// Tells the connection when bytes come.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Watched {
    pub fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
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
