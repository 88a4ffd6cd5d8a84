//! Reads a request's body: bounded, paid for from the budget, and not slower than a client may be.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::in_flight::Reserved;
use crate::config::ReceiverConfig;
use crate::{Error, Result};

/// The body's data, piece by piece.
#[derive(Debug)]
pub struct BodyReader {
    body: Incoming,
    window: Duration,
    window_min_bytes: usize,
    window_end: Instant,
    window_bytes: usize,
}

impl BodyReader {
    pub fn new(body: Incoming, config: &ReceiverConfig) -> Self {
        let window = config.head_timeout;
        let seconds = usize::try_from(window.as_secs()).unwrap_or(usize::MAX);
        Self {
            body,
            window,
            window_min_bytes: config.body_min_bytes_per_second.saturating_mul(seconds).max(1),
            window_end: Instant::now() + window,
            window_bytes: 0,
        }
    }

    /// What the head says of the body's length.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub fn is_finished(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The next piece; `None` at the end. Trailers are passed over.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = match timeout_at(self.window_end, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Error::BodyBroken(error)),
                Err(_) => {
                    if self.window_bytes < self.window_min_bytes {
                        return Err(Error::BodyTimeout);
                    }
                    self.window_end = Instant::now() + self.window;
                    self.window_bytes = 0;
                    continue;
                }
            };
            if let Ok(data) = frame.into_data() {
                self.window_bytes = self.window_bytes.saturating_add(data.len());
                if !data.is_empty() {
                    return Ok(Some(data));
                }
            }
        }
    }

    /// All that is left, at most `limit_bytes`.
    pub async fn read_all(&mut self, limit_bytes: usize, reserved: &mut Reserved) -> Result<Bytes> {
        let announced = self.announced_bytes().and_then(|bytes| usize::try_from(bytes).ok());
        let mut pieces = Pieces::expecting(announced.unwrap_or(0).min(limit_bytes));
        while let Some(piece) = self.next().await? {
            let length = pieces.len().saturating_add(piece.len());
            if length > limit_bytes {
                return Err(Error::TooLarge { what: "the request body", limit_bytes: limit_bytes as u64 });
            }
            reserved.grow_to(length)?;
            pieces.push(piece);
        }
        Ok(pieces.join())
    }
}

/// Pieces put together; a single one is not copied.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Bytes,
    joined: BytesMut,
    expected_bytes: usize,
}

impl Pieces {
    /// Room for `bytes` is taken at once when there is more than one piece.
    pub fn expecting(bytes: usize) -> Self {
        Self { expected_bytes: bytes, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.first.len().saturating_add(self.joined.len())
    }

    pub fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.expected_bytes);
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    pub fn join(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}
