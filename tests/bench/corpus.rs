//! The requests, ready to be sent.
//!
//! A corpus file is `(u32 little-endian length, ExportTraceServiceRequest)` repeated; a folder has a request a file, `*.pb` or
//! `*.pb.gz`, in the order of their names. Without either, the demo's shop is
//! generated once, with a fixed seed and start, and kept beside the data: the same bytes on every machine.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use demo::export::Requests;
use demo::send::Compression;
use demo::shop;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::options::Options;

/// So long do the shop's exporters gather: requests of a few hundred spans, as an agent sends them.
const EXPORT_DELAY: Duration = Duration::from_secs(30);
const VISITS_PER_SECOND: f64 = 60.0;
/// Requests that tell whether a kept corpus is what the generator gives today.
const COMPARED_REQUESTS: usize = 64;
/// No server takes more in one request.
const MAX_REQUEST_BYTES: usize = 256 << 20;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Request {
    /// Compressed, if the sender compresses.
    pub body: Bytes,
    pub spans: u64,
    /// Spans of all requests before this one.
    pub spans_before: u64,
}

#[derive(Debug)]
pub struct Corpus {
    pub name: String,
    pub requests: Vec<Request>,
    pub spans: u64,
    pub inflated_bytes: u64,
    pub wire_bytes: u64,
}

impl Corpus {
    /// The first `SPANS` spans, in whole requests.
    pub fn load(options: &Options, folder: &Path) -> anyhow::Result<Self> {
        let generated = folder.join(format!("shop-{}.bin", options.spans));
        let path = match &options.corpus {
            Some(path) => path,
            None => {
                generate(&generated, options.spans)?;
                &generated
            }
        };
        let name = path.display().to_string();
        let (spans, encoding) = (options.spans, options.sending.encoding);
        let read = || {
            if path.is_dir() {
                let files = request_files(path)?;
                return Self::read(name, files.iter().map(|file| read_whole(file)), spans, encoding);
            }
            let mut file = BufReader::new(File::open(path)?);
            Self::read(name, std::iter::from_fn(|| read_request(&mut file).transpose()), spans, encoding)
        };
        read().with_context(|| format!("corpus {}", path.display()))
    }

    fn read(
        name: String,
        mut bodies: impl Iterator<Item = anyhow::Result<Vec<u8>>>,
        max_spans: u64,
        encoding: Compression,
    ) -> anyhow::Result<Self> {
        let mut corpus = Self { name, requests: Vec::new(), spans: 0, inflated_bytes: 0, wire_bytes: 0 };
        while corpus.spans < max_spans
            && let Some(body) = bodies.next()
        {
            let body = body?;
            let spans = count_spans(&body)?;
            corpus.inflated_bytes += body.len() as u64;
            let body = encoding.compress(body)?;
            corpus.wire_bytes += body.len() as u64;
            corpus.requests.push(Request { body, spans, spans_before: corpus.spans });
            corpus.spans += spans;
        }
        if corpus.spans == 0 {
            bail!("no spans");
        }
        Ok(corpus)
    }

    /// The requests whose spans are at most `max_spans`, and at least one.
    pub fn first(&self, max_spans: u64) -> &[Request] {
        let end = self.requests.partition_point(|request| request.spans_before + request.spans <= max_spans);
        self.requests.get(..end.max(1)).unwrap_or(&self.requests)
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = self.spans as f64;
        write!(
            out,
            "{}: {} spans in {} requests, {:.1} bytes a span, {:.1} on the wire",
            self.name,
            self.spans,
            self.requests.len(),
            self.inflated_bytes as f64 / spans,
            self.wire_bytes as f64 / spans
        )
    }
}

pub fn spans_of(requests: &[Request]) -> u64 {
    requests.iter().map(|request| request.spans).sum()
}

fn count_spans(body: &[u8]) -> anyhow::Result<u64> {
    let request = ExportTraceServiceRequest::decode(body).context("not a request")?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Ok(scopes.map(|scope| scope.spans.len() as u64).sum())
}

/// The files with a request each, by name.
fn request_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".pb") || name.ends_with(".pb.gz") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_whole(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut body = Vec::new();
    reader
        .by_ref()
        .take(MAX_REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut body)
        .with_context(|| path.display().to_string())?;
    if body.len() > MAX_REQUEST_BYTES {
        bail!("{} has more than {MAX_REQUEST_BYTES} bytes: not a request", path.display());
    }
    Ok(body)
}

/// The next request, or `None` at the end of the file.
fn read_request(from: &mut impl Read) -> anyhow::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_le_bytes(length))?;
    if length > MAX_REQUEST_BYTES {
        bail!("a request of {length} bytes: not a corpus");
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).context("the last request is cut short")?;
    Ok(Some(body))
}

fn shop_requests(spans: u64) -> anyhow::Result<Requests> {
    let config = shop::Config { spans: Some(spans), visits_per_second: VISITS_PER_SECOND, ..shop::Config::default() };
    Ok(Requests::new(config, EXPORT_DELAY)?)
}

fn generate(path: &Path, spans: u64) -> anyhow::Result<()> {
    if is_current(path, spans).unwrap_or(false) {
        return Ok(());
    }
    // Renamed when complete, so that a half-written one is never taken for a corpus.
    let unfinished = path.with_extension("unfinished");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    for export in shop_requests(spans)? {
        let body = export.request.encode_to_vec();
        file.write_all(&u32::try_from(body.len())?.to_le_bytes())?;
        file.write_all(&body)?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    Ok(())
}

/// Whether the kept corpus begins as the generator would begin it today.
fn is_current(path: &Path, spans: u64) -> anyhow::Result<bool> {
    let mut kept = BufReader::new(File::open(path)?);
    for export in shop_requests(spans)?.take(COMPARED_REQUESTS) {
        if read_request(&mut kept)?.as_deref() != Some(export.request.encode_to_vec().as_slice()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop_corpus(max_spans: u64) -> (tempfile::TempDir, anyhow::Result<Corpus>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.bin");
        generate(&path, 2_000).unwrap();
        let file = File::open(&path).unwrap();
        let mut file = BufReader::new(file);
        let bodies = std::iter::from_fn(|| read_request(&mut file).transpose());
        let corpus = Corpus::read(String::new(), bodies, max_spans, Compression::None);
        (folder, corpus)
    }

    #[test]
    fn the_shop_comes_back_from_its_file() {
        let (folder, corpus) = shop_corpus(u64::MAX);
        let corpus = corpus.unwrap();
        assert_eq!((corpus.spans, spans_of(&corpus.requests)), (2_000, 2_000));
        assert!(is_current(&folder.path().join("corpus.bin"), 2_000).unwrap());
    }

    #[test]
    fn a_folder_has_a_request_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"first").unwrap();
        std::fs::write(folder.path().join("00000.pb.gz"), gzip.finish().unwrap()).unwrap();
        std::fs::write(folder.path().join("00001.pb"), "second").unwrap();
        std::fs::write(folder.path().join("index.json"), "{}").unwrap();
        let files = request_files(folder.path()).unwrap();
        let bodies: Vec<Vec<u8>> = files.iter().map(|file| read_whole(file).unwrap()).collect();
        assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
    }

    #[test]
    fn an_altered_corpus_is_made_anew() {
        let (folder, _) = shop_corpus(1);
        let path = folder.path().join("corpus.bin");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(!is_current(&path, 2_000).unwrap());
    }

    #[test]
    fn requests_stay_whole() {
        let (_folder, corpus) = shop_corpus(700);
        let corpus = corpus.unwrap();
        let last = corpus.requests.last().unwrap();
        assert!(last.spans_before < 700 && corpus.spans >= 700);
        assert!(spans_of(corpus.first(500)) <= 500);
        assert_eq!(corpus.first(0).len(), 1);
        assert_eq!(corpus.first(u64::MAX).len(), corpus.requests.len());
    }

    #[test]
    fn what_is_no_corpus_is_refused() {
        let read = |mut bytes: &[u8]| {
            let bodies = std::iter::from_fn(|| read_request(&mut bytes).transpose());
            Corpus::read(String::new(), bodies, 1, Compression::None).unwrap_err().to_string()
        };
        assert!(read(&[]).contains("no spans"));
        assert!(read(&[9, 0, 0, 0, 1]).contains("cut short"));
        assert!(read(&[255, 255, 255, 255, 1]).contains("not a corpus"));
    }
}
