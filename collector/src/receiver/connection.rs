//! What the requests of a connection share with the task that watches it: when it stalls, and when it is idle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Times are milliseconds after `opened`; 0 stands for never.
#[derive(Debug)]
pub struct Connection {
    local_address: SocketAddr,
    draining: watch::Receiver<bool>,
    opened: Instant,
    open_requests: AtomicUsize,
    unsent_answers: AtomicUsize,
    /// When the first byte came of what is not complete yet.
    head_since_ms: AtomicU64,
    last_request_ms: AtomicU64,
    /// When an answer was last begun while none waited, or sent.
    last_answer_ms: AtomicU64,
    /// HTTP/2's, since the last request.
    control_frames: AtomicU64,
    body_left: AtomicBool,
}

impl Connection {
    pub fn new(local_address: SocketAddr, draining: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            local_address,
            draining,
            opened: Instant::now(),
            open_requests: AtomicUsize::new(0),
            unsent_answers: AtomicUsize::new(0),
            head_since_ms: AtomicU64::new(0),
            last_request_ms: AtomicU64::new(0),
            last_answer_ms: AtomicU64::new(0),
            control_frames: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
        })
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Says whether the request that is being answered was read to its end.
    pub fn note_body(&self, is_finished: bool) {
        self.body_left.store(!is_finished, Ordering::Relaxed);
    }

    /// Whether the last request was answered before it was read to its end.
    pub fn has_body_left(&self) -> bool {
        self.body_left.load(Ordering::Relaxed)
    }

    /// Counts a request as open until what comes back is dropped.
    pub fn open_request(self: &Arc<Self>) -> OpenRequest {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        self.head_since_ms.store(0, Ordering::Relaxed);
        self.control_frames.store(0, Ordering::Relaxed);
        self.last_request_ms.store(self.now_ms(), Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Counts an answer as unsent until what comes back is dropped.
    pub fn unsent_answer(self: &Arc<Self>) -> UnsentAnswer {
        if self.unsent_answers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.last_answer_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        UnsentAnswer(Arc::clone(self))
    }

    /// Bytes came; `is_inside` something that is to be complete soon.
    pub fn bytes_came(&self, is_inside: bool) {
        if is_inside {
            // Only the first bytes set the time.
            let _ = self.head_since_ms.compare_exchange(0, self.now_ms(), Ordering::Relaxed, Ordering::Relaxed);
        } else {
            self.head_since_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Frames that carry nothing of a request came; how many that makes since the last request.
    pub fn control_frames_came(&self, count: u64) -> u64 {
        self.control_frames.fetch_add(count, Ordering::Relaxed).saturating_add(count)
    }

    pub fn has_open_requests(&self) -> bool {
        self.open_requests.load(Ordering::Relaxed) > 0
    }

    pub fn head_is_late(&self, after: Duration) -> bool {
        let since = self.head_since_ms.load(Ordering::Relaxed);
        since > 0 && self.has_passed(since, after)
    }

    /// Whether answers wait for the client to read, and none went out for so long.
    pub fn answers_are_stuck(&self, after: Duration) -> bool {
        self.unsent_answers.load(Ordering::Relaxed) > 0
            && self.has_passed(self.last_answer_ms.load(Ordering::Relaxed), after)
    }

    pub fn is_idle(&self, after: Duration) -> bool {
        !self.has_open_requests() && self.has_passed(self.last_request_ms.load(Ordering::Relaxed), after)
    }

    fn has_passed(&self, since_ms: u64, after: Duration) -> bool {
        Duration::from_millis(self.now_ms().saturating_sub(since_ms)) > after
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// Ends the count of a request even if the client's reset drops its future.
#[derive(Debug)]
pub struct OpenRequest(Arc<Connection>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.last_request_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.open_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Part of an answer's body, which the server drops once it is sent or given up.
#[derive(Debug)]
pub struct UnsentAnswer(Arc<Connection>);

impl Drop for UnsentAnswer {
    fn drop(&mut self) {
        self.0.last_answer_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.unsent_answers.fetch_sub(1, Ordering::Relaxed);
    }
}
