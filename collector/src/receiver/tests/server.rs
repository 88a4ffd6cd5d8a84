//! A receiver on free ports, and a sink in memory.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use storage::model::SpanBatch;
use storage::{Appended, Request};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::{Config, Metrics, Receiver, Sink};

/// How the sink answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Stores,
    Busy,
    Closed,
    WriteFails,
    Panics,
}

#[derive(Debug)]
pub struct MemorySink {
    pub mood: Mutex<Mood>,
    /// Appends wait for a permit here, as for a sync; plenty unless a test holds them back.
    pub syncs: Semaphore,
    pub waiting: AtomicUsize,
    /// Bodies below 10,000 bytes then wait for no permit.
    pub lets_small_through: AtomicBool,
    /// Requests with their number of spans.
    pub stored: Mutex<Vec<(Request, usize)>>,
    hashes: Mutex<HashSet<u128>>,
}

impl MemorySink {
    pub fn span_count(&self) -> usize {
        self.stored.lock().unwrap().iter().map(|(_, spans)| spans).sum()
    }

    pub fn request_count(&self) -> usize {
        self.stored.lock().unwrap().len()
    }
}

#[async_trait::async_trait]
impl Sink for MemorySink {
    async fn append(&self, request: Request, batch: SpanBatch) -> Result<Appended, storage::Error> {
        if request.body.len() >= 10_000 || !self.lets_small_through.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.syncs.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Stores => {}
            Mood::Busy => return Err(storage::Error::Busy("pending traces use all their memory".to_owned())),
            Mood::Closed => return Err(storage::Error::Closed),
            Mood::WriteFails => {
                return Err(storage::Error::Write { what: "the WAL".to_owned(), source: std::io::Error::other("no") });
            }
            Mood::Panics => panic!("the sink was told to"),
        }
        if !self.hashes.lock().unwrap().insert(request.content_hash) {
            return Ok(Appended::Duplicate);
        }
        self.stored.lock().unwrap().push((request, batch.span_count()));
        Ok(Appended::Stored)
    }
}

/// Waits, but not for ever.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub struct Server {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub sink: Arc<MemorySink>,
    stop: Vec<oneshot::Sender<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server whose settings `change` made.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (grpc_address, http_address) = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
        let mut config = Config::default();
        config.receiver.grpc_address = Some(grpc_address);
        config.receiver.http_address = Some(http_address);
        change(&mut config);
        let sink = Arc::new(MemorySink {
            mood: Mutex::default(),
            syncs: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            waiting: AtomicUsize::new(0),
            lets_small_through: AtomicBool::new(false),
            stored: Mutex::default(),
            hashes: Mutex::default(),
        });
        let receiver = Receiver::new(config, Arc::clone(&sink) as Arc<dyn Sink>).unwrap();
        let mut server = Self {
            grpc: grpc_address,
            http: http_address,
            metrics: receiver.metrics(),
            sink,
            stop: Vec::new(),
            tasks: Vec::new(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        server.stop.push(stop);
        server.tasks.push(tokio::spawn(Arc::clone(&receiver).serve_grpc(grpc, async { drop(stopped.await) })));
        let (stop, stopped) = oneshot::channel::<()>();
        server.stop.push(stop);
        server.tasks.push(tokio::spawn(receiver.serve_http(http, async { drop(stopped.await) })));
        server
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.sink.mood.lock().unwrap() = mood;
    }

    /// Holds every append back until [`release_syncs`](Self::release_syncs).
    pub fn hold_syncs(&self) {
        self.sink.syncs.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn release_syncs(&self) {
        self.sink.syncs.add_permits(1_000_000);
    }

    pub async fn wait_for_appends(&self, count: usize) {
        until("appends wait", || self.sink.waiting.load(Ordering::SeqCst) >= count).await;
    }

    /// Every span is somewhere once, and what the metrics call stored is in the sink.
    #[track_caller]
    pub fn check_books(&self) {
        let books = self.metrics.books();
        assert!(books.is_balanced(), "{books:?}");
        let by_reason: u64 = self.metrics.rejected_by_reason().map(|(_, spans)| spans).sum();
        assert_eq!(by_reason, books.rejected);
        if books.in_flight == 0 {
            assert_eq!(books.stored, self.sink.span_count() as u64);
        }
    }

    /// Asks both servers to end; the handles resolve once they have.
    pub fn shut_down(&mut self) -> Vec<JoinHandle<()>> {
        for stop in self.stop.drain(..) {
            let _ = stop.send(());
        }
        std::mem::take(&mut self.tasks)
    }
}

/// The books are right after every case.
impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_books();
        }
    }
}
