//! The body of every answer: at most one piece of data, then trailers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use super::connection::UnsentAnswer;

#[derive(Debug, Default)]
pub struct AnswerBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    unsent: Option<UnsentAnswer>,
}

impl AnswerBody {
    pub fn new(data: Vec<u8>) -> Self {
        Self { data: (!data.is_empty()).then(|| data.into()), trailers: None, unsent: None }
    }

    pub fn with_trailers(data: Vec<u8>, trailers: HeaderMap) -> Self {
        Self { trailers: Some(trailers), ..Self::new(data) }
    }

    /// Keeps the count of the connection's unsent answers right.
    pub fn hold(&mut self, unsent: UnsentAnswer) {
        self.unsent = Some(unsent);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64)
    }
}
