//! Work that gives way to what clients wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Runs `work` on a thread that gets less of the processor, by `niceness`, where others want it, too.
pub async fn aside<T: Send + 'static>(
    name: &'static str,
    niceness: i32,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, wait) = tokio::sync::oneshot::channel();
    let run = move || {
        // On Linux alone this is the thread's own priority. Where it is refused, all threads stay equal.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, niceness);
        let _ = done.send(work());
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| Error::Write { what: format!("the {name} thread"), source })?;
    // A thread that panicked sends nothing.
    wait.await.map_err(|_| Error::Closed)?
}

/// How much less of the processor upkeep gets than flushes, which get less than what clients wait for.
pub const UPKEEP: i32 = 10;

/// Ends work if whoever waits for it leaves.
#[derive(Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// True once nobody waits any more.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
