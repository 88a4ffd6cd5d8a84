//! A disk without room for a log file. Nothing was written then, so whoever writes may wait and try again.

use std::io;

/// A file could not be made, and nothing was written. A write or sync that fails for the same reason is another matter: after it
/// nobody knows what the device has.
#[derive(Debug, thiserror::Error)]
#[error("the disk of {place} has no room for a log file of {size_bytes} bytes")]
struct NoRoom {
    place: String,
    size_bytes: u64,
    #[source]
    source: io::Error,
}

/// What kept a log file from being made.
pub(super) fn not_created(error: io::Error, place: String, size_bytes: u64) -> io::Error {
    match error.kind() {
        kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            io::Error::new(kind, NoRoom { place, size_bytes, source: error })
        }
        _ => error,
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NoRoom>())
}
