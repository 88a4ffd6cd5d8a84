//! A file written to the object store while it is being made, in parts.

use std::io::{self, Write};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::mpsc;

use crate::{Error, Result};

/// Object stores take parts of at least 5 MiB. Three of them are in memory at most.
const PART_BYTES: usize = 8 << 20;

/// Takes bytes on a thread of its own and hands them on in parts.
#[derive(Debug)]
pub struct PartWriter {
    part: Vec<u8>,
    parts: mpsc::Sender<PutPayload>,
}

/// The parts of a file that is being made.
#[derive(Debug)]
pub struct Parts(mpsc::Receiver<PutPayload>);

/// Both ends: what is written to the one is uploaded by the other.
pub fn parts() -> (PartWriter, Parts) {
    let (sender, receiver) = mpsc::channel(1);
    (PartWriter { part: Vec::new(), parts: sender }, Parts(receiver))
}

impl PartWriter {
    fn send(&mut self) -> io::Result<()> {
        let part = PutPayload::from(std::mem::take(&mut self.part));
        self.parts.blocking_send(part).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Hands on what is left. Without it the upload does not know whether there is more.
    pub fn finish(mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PART_BYTES - self.part.len();
        let taken = &bytes[..room.min(bytes.len())];
        self.part.extend_from_slice(taken);
        if self.part.len() == PART_BYTES {
            self.send()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A part is as large as it must be, so there is nothing to hand on early.
        Ok(())
    }
}

/// Uploads what `making` writes. The file is there, synced, once both have ended well; else it never is.
pub async fn upload<T>(
    objects: Arc<dyn ObjectStore>,
    location: &Path,
    mut parts: Parts,
    making: impl Future<Output = Result<T>>,
) -> Result<T> {
    let failed = |source| Error::Write { what: format!("segment {location}"), source: io::Error::other(source) };
    let mut upload = objects.put_multipart(location).await.map_err(failed)?;
    let uploading = async {
        let uploaded = async {
            while let Some(part) = parts.0.recv().await {
                upload.put_part(part).await?;
            }
            Ok(())
        };
        let uploaded = uploaded.await;
        // A writer that still has parts must not wait for ever.
        parts.0.close();
        uploaded
    };
    let (uploaded, made) = tokio::join!(uploading, making);
    let completed = match (uploaded, made) {
        // Where both failed, the writer's error is only that nobody takes its parts.
        (Err(error), _) => Err(failed(error)),
        (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(made)) => upload.complete().await.map(|_| made).map_err(failed),
    };
    if completed.is_err() {
        // What cannot be taken back either goes with the next vacuum.
        let _ = upload.abort().await;
    }
    completed
}
