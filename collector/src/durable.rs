//! A small file that is replaced as a whole, handed in so that this room knows no paths.

use std::fmt::Debug;
use std::io;

pub trait Durable: Debug + Send + Sync {
    /// Returns once `bytes` are what a start after a power cut would read. Until then it would read what was there before:
    /// never a mixture. Waits for the disk.
    fn replace(&self, bytes: &[u8]) -> io::Result<()>;
}
