//! Places for connections: as many as are configured, and fewer where the process may open only few files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    is_crowded: AtomicBool,
}

impl Places {
    /// At most one of `shares` of the files that the process may open.
    pub fn new(max_connections: usize, shares: u64) -> Self {
        let count = within(max_connections, getrlimit(Resource::Nofile).current, shares);
        if count < max_connections {
            tracing::warn!(max_connections, count, "connections are limited by the files that the process may open");
        }
        Self { free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))), is_crowded: AtomicBool::new(false) }
    }

    /// Waits for a place; it is given back when dropped.
    pub async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let mut place = Arc::clone(&self.free).try_acquire_owned().ok();
        self.is_crowded.store(place.is_none(), Ordering::Relaxed);
        if place.is_none() {
            place = Arc::clone(&self.free).acquire_owned().await.ok();
            self.is_crowded.store(false, Ordering::Relaxed);
        }
        place
    }

    /// Whether the next client has to wait.
    pub fn is_crowded(&self) -> bool {
        self.is_crowded.load(Ordering::Relaxed)
    }
}

/// `None` for `open_files` is no limit.
fn within(max_connections: usize, open_files: Option<u64>, shares: u64) -> usize {
    let share = open_files.map_or(u64::MAX, |files| files / shares.max(1));
    max_connections.min(usize::try_from(share).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(within(4_096, None, 4), 4_096);
        assert_eq!(within(4_096, Some(1_048_576), 4), 4_096);
        assert_eq!(within(4_096, Some(1_024), 4), 256);
        assert_eq!(within(10, Some(1_024), 4), 10);
        assert_eq!(within(4_096, Some(0), 4), 1);
    }
}
