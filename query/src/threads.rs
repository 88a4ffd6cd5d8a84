//! The threads that plan and run queries: their own, so that a heavy query cannot hold up the receivers.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Planners recurse; what the guard lets through fits into this stack, also in debug builds.
const STACK_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct Threads {
    // Taken only by `drop`.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    pub(crate) fn start(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable(format!("cannot start the query threads: {error}")))?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Runs the task; dropping the returned guard cancels it.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(self.handle.spawn(task))
    }
}

#[cfg(test)]
impl Threads {
    pub(crate) fn alive_tasks(&self) -> usize {
        self.handle.metrics().num_alive_tasks()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for threads is not allowed where an async runtime drops the engine.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A running task that ends with its owner.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    pub(crate) async fn join(mut self) -> Result<T> {
        (&mut self.0).await.map_err(|error| Error::Internal(format!("a query task failed: {error}")))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
