//! A connection's socket, and what its task does about stalls, floods, age and shutdown.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Interval};

use super::connection::Connection;
use super::frames::Frames;
use super::places::Places;
use crate::config::ReceiverConfig;

/// How often connections are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Frames of HTTP/2 without a request among them. Clients that measure their connection send a few each request.
const MAX_CONTROL_FRAMES: u64 = 500;

/// GOAWAY, for any stream, with ENHANCE_YOUR_CALM.
const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// What has to be done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No more requests; those that are open are answered.
    End,
    /// It is closed for what came over it, or for what did not.
    Break,
}

#[derive(Debug)]
pub struct Watch<'c> {
    connection: Arc<Connection>,
    config: &'c ReceiverConfig,
    places: Arc<Places>,
    stop: watch::Receiver<bool>,
    tick: Interval,
    ending_since: Option<Instant>,
}

impl<'c> Watch<'c> {
    /// `stop` is the listener's drain.
    pub fn new(
        connection: Arc<Connection>,
        config: &'c ReceiverConfig,
        places: Arc<Places>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { connection, config, places, stop, tick: tokio::time::interval(TICK), ending_since: None }
    }

    /// Resolves when something has to be done. Nothing is lost if it is dropped before.
    pub async fn next(&mut self) -> Verdict {
        loop {
            let is_stopping = tokio::select! {
                _ = self.stop.wait_for(|is_draining| *is_draining), if self.ending_since.is_none() => true,
                _ = self.tick.tick() => false,
            };
            if self.is_broken() {
                return Verdict::Break;
            }
            if self.ending_since.is_none() && (is_stopping || self.is_done()) {
                self.ending_since = Some(Instant::now());
                return Verdict::End;
            }
        }
    }

    fn is_broken(&self) -> bool {
        let Self { connection, config, .. } = self;
        // An end waits for the client to read or confirm, which it may never do.
        let does_not_end = self.ending_since.is_some_and(|since| since.elapsed() > config.drain_timeout);
        connection.head_is_late(config.head_timeout)
            || connection.answers_are_stuck(config.head_timeout)
            || (does_not_end && !connection.has_open_requests())
    }

    fn is_done(&self) -> bool {
        // Idle connections make room early for those that wait.
        let patience = if self.places.is_crowded() { self.config.head_timeout } else { self.config.idle_timeout };
        self.connection.age() > self.config.max_connection_age || self.connection.is_idle(patience)
    }
}

/// The socket; it tells the connection what comes.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// `None` for HTTP/1.
    frames: Option<Frames>,
}

impl Watched {
    pub fn new(stream: TcpStream, connection: Arc<Connection>, frames: Option<Frames>) -> Self {
        Self { stream, connection, frames }
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(frames) = &mut self.frames else {
            if !self.connection.has_open_requests() {
                self.connection.bytes_came(true);
            }
            return Ok(());
        };
        let control_frames = frames.read(bytes);
        self.connection.bytes_came(frames.is_inside());
        if self.connection.control_frames_came(control_frames) > MAX_CONTROL_FRAMES {
            let _ = self.stream.try_write(&GO_AWAY);
            return Err(io::Error::other("too many frames without a request"));
        }
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, into);
        match into.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(self.came(bytes)),
            _ => outcome,
        }
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
