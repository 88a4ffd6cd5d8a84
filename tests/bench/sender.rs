//! Sends requests, and times each acknowledgement.
//!
//! Every connection takes the next request when it has an answer to its last one. At a fixed rate a request has a due
//! time, and waiting for a free connection counts as latency; in a flood latency begins with sending. A refused request
//! is sent again after the pause that the server asks for; its latency is that of the try that was acknowledged, and
//! refusals and pauses are counted by themselves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::corpus::Request;
use crate::grpc;
use crate::http::Connection;
use crate::options::{Sending, Transport};
use crate::proc;

/// A server that refuses one request for so long will not take it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the server does not say how long.
pub const PAUSE: Duration = Duration::from_secs(1);

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Sent {
    pub latencies: Vec<Duration>,
    pub rejected_spans: u64,
    pub refusals: u64,
    pub paused: Duration,
    pub elapsed: Duration,
    /// The sender's own.
    pub cpu: Duration,
}

impl Sent {
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.rejected_spans += other.rejected_spans;
        self.refusals += other.refusals;
        self.paused += other.paused;
    }
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Taken { rejected_spans: u64 },
    Busy { pause: Duration, reason: String },
}

impl Answer {
    /// From the message of a success.
    pub fn taken(message: &[u8]) -> anyhow::Result<Self> {
        let response = ExportTraceServiceResponse::decode(message).context("the answer is no OTLP response")?;
        let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(Self::Taken { rejected_spans: u64::try_from(rejected).unwrap_or(0) })
    }
}

pub fn send(to: SocketAddr, how: Sending, requests: &[Request]) -> anyhow::Result<Sent> {
    let cpu_before = proc::own_cpu();
    let queue = Queue::new(requests, how.spans_per_second);
    let mut sent = match how.transport {
        Transport::Http => over_http(to, how, &queue),
        Transport::Grpc => grpc::send(to, how, &queue),
    }?;
    sent.elapsed = queue.start.elapsed();
    sent.cpu = proc::own_cpu().saturating_sub(cpu_before);
    Ok(sent)
}

fn over_http(to: SocketAddr, how: Sending, queue: &Queue<'_>) -> anyhow::Result<Sent> {
    let mut headers = "content-type: application/x-protobuf\r\n".to_owned();
    if let Some(name) = how.encoding.name() {
        headers.push_str(&format!("content-encoding: {name}\r\n"));
    }
    let headers = headers.as_str();
    std::thread::scope(|scope| {
        let start = |_| scope.spawn(move || queue.abandoned_on_error(over_connection(to, headers, queue)));
        let connections: Vec<_> = (0..how.connections).map(start).collect();
        let mut sent = Sent::default();
        for connection in connections {
            sent.add(connection.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??);
        }
        Ok(sent)
    })
}

fn over_connection(to: SocketAddr, headers: &str, queue: &Queue<'_>) -> anyhow::Result<Sent> {
    let mut connection = Connection::open(to)?;
    let mut sent = Sent::default();
    while let Some((request, due)) = queue.next() {
        std::thread::sleep(due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now())));
        let mut tries = Tries::new(due);
        loop {
            let answer = connection.post("/v1/traces", headers, &request.body)?;
            let answer = match answer.status {
                200 => Answer::taken(&answer.body)?,
                429 | 503 => Answer::Busy { pause: answer.retry_after.unwrap_or(PAUSE), reason: answer.text() },
                status => bail!("refused for good: {status} {}", answer.text()),
            };
            match tries.answered(answer, &mut sent)? {
                None => break,
                Some(pause) => std::thread::sleep(pause),
            }
        }
    }
    Ok(sent)
}

/// Which request is next, and when.
#[derive(Debug)]
pub struct Queue<'a> {
    requests: &'a [Request],
    next: AtomicUsize,
    start: Instant,
    spans_per_second: u64,
}

impl<'a> Queue<'a> {
    fn new(requests: &'a [Request], spans_per_second: u64) -> Self {
        Self { requests, next: AtomicUsize::new(0), start: Instant::now(), spans_per_second }
    }

    /// The next request and, at a fixed rate, when it is due.
    pub fn next(&self) -> Option<(&'a Request, Option<Instant>)> {
        let request = self.requests.get(self.next.fetch_add(1, Ordering::Relaxed))?;
        let seconds = request.spans_before as f64 / self.spans_per_second as f64;
        let due = (self.spans_per_second > 0).then(|| self.start + Duration::from_secs_f64(seconds));
        Some((request, due))
    }

    /// After an error the others need not go on.
    pub fn abandoned_on_error<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        if outcome.is_err() {
            self.next.store(self.requests.len(), Ordering::Relaxed);
        }
        outcome
    }
}

/// The tries of one request.
#[derive(Debug)]
pub struct Tries {
    first: Instant,
    begun: Instant,
}

impl Tries {
    pub fn new(due: Option<Instant>) -> Self {
        let begun = due.unwrap_or_else(Instant::now);
        Self { first: Instant::now(), begun }
    }

    /// Counts the answer; how long to pause before the next try, if there is to be one.
    pub fn answered(&mut self, answer: Answer, sent: &mut Sent) -> anyhow::Result<Option<Duration>> {
        match answer {
            Answer::Taken { rejected_spans } => {
                sent.latencies.push(self.begun.elapsed());
                sent.rejected_spans += rejected_spans;
                Ok(None)
            }
            Answer::Busy { pause, reason } => {
                if self.first.elapsed() > PATIENCE {
                    bail!("one request is still refused after {PATIENCE:?}: {reason}");
                }
                sent.refusals += 1;
                sent.paused += pause;
                self.begun = Instant::now() + pause;
                Ok(Some(pause))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_rate_requests_are_due_by_the_spans_before_them() {
        let request = |spans_before| Request { body: bytes::Bytes::new(), spans: 500, spans_before };
        let requests = [request(0), request(500), request(1_000)];
        let queue = Queue::new(&requests, 1_000);
        let due = || queue.next().and_then(|(_, due)| due).map(|due| due - queue.start);
        assert_eq!(
            [due(), due(), due(), due()],
            [Some(Duration::ZERO), Some(Duration::from_millis(500)), Some(Duration::from_secs(1)), None]
        );
    }

    #[test]
    fn after_an_error_nothing_is_left_to_send() {
        let requests = [Request { body: bytes::Bytes::new(), spans: 1, spans_before: 0 }];
        let queue = Queue::new(&requests, 0);
        assert!(queue.abandoned_on_error::<()>(Err(anyhow::anyhow!("broken"))).is_err());
        assert!(queue.next().is_none());
    }

    #[test]
    fn pauses_are_counted_but_are_no_latency() {
        let (mut sent, mut tries) = (Sent::default(), Tries::new(None));
        let pause = Duration::from_secs(5);
        assert_eq!(tries.answered(Answer::Busy { pause, reason: String::new() }, &mut sent).unwrap(), Some(pause));
        assert_eq!(tries.answered(Answer::Taken { rejected_spans: 2 }, &mut sent).unwrap(), None);
        assert_eq!((sent.refusals, sent.paused, sent.rejected_spans), (1, pause, 2));
        assert_eq!(sent.latencies, [Duration::ZERO]);
    }
}
