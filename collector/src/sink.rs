//! Where decoded requests go.

use storage::model::SpanBatch;
use storage::{Appended, Request};

/// Takes decoded requests. The receiver answers its client with what comes back.
#[async_trait::async_trait]
pub trait Sink: Send + Sync {
    /// Returns once the request is durable and its spans are visible to queries, or why that will not be.
    ///
    /// `batch` has at least one span and is what an [`OtlpDecoder`](crate::OtlpDecoder) with the same limits makes of
    /// `request`. A caller that stops waiting does not cancel: receivers run this in a task of its own.
    async fn append(&self, request: Request, batch: SpanBatch) -> Result<Appended, storage::Error>;
}
