//! Writes a few inputs for each target to `fuzz/corpus`, from the generators of the decoder's tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::memory_disk::MemoryDisk;
use fuzz::{ARRIVAL, generate, json_text};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message;
use storage::model::TraceId;
use storage::wal::{Decision, Durable, Record, WalConfig, replay, start};
use storage::{ContentType, Encoding, Request};

const SEEDS: usize = 40;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut runner = TestRunner::deterministic();
    for number in 0..SEEDS {
        let request = generate::request().new_tree(&mut runner).map_err(|why| why.to_string())?.current();
        let body = request.encode_to_vec();
        save(&corpus, "otlp_protobuf", number, &body)?;
        save(&corpus, "otlp_json", number, &json_text::of(&request))?;
        let mut gzip = GzEncoder::new(vec![0], Compression::default());
        gzip.write_all(&body)?;
        save(&corpus, "inflate", 2 * number, &gzip.finish()?)?;
        let mut zstd = vec![1];
        zstd.extend(zstd::encode_all(&*body, 3)?);
        save(&corpus, "inflate", 2 * number + 1, &zstd)?;
        save(&corpus, "wal_replay", number, &log(number, body)?)?;
    }
    save(&corpus, "inflate", 2 * SEEDS, &empty_frame_that_claims_a_size(64 * 1024))?;
    Ok(())
}

fn save(corpus: &Path, target: &str, number: usize, bytes: &[u8]) -> Outcome<()> {
    let folder = corpus.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(format!("seed-{number:02}")), bytes)?)
}

/// zstd: a frame with `content_bytes` of one unknown field, and an empty one that claims 50,000 bytes. Once taken or refused
/// by how much room there was for them.
fn empty_frame_that_claims_a_size(content_bytes: u32) -> Vec<u8> {
    const MAGIC: [u8; 5] = [0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    const RAW: u32 = 0;
    const REPEATED: u32 = 1;
    let block = |is_last: bool, kind: u32, size: u32| {
        let [a, b, c, _] = (size << 3 | kind << 1 | u32::from(is_last)).to_le_bytes();
        [a, b, c]
    };
    // Field 31, of as many bytes as fit behind its own head of five.
    let field_bytes = content_bytes - 5;
    let length = [field_bytes & 0x7F | 0x80, field_bytes >> 7 & 0x7F | 0x80, field_bytes >> 14].map(|byte| byte as u8);
    let mut body = vec![1];
    body.extend(MAGIC);
    body.extend(content_bytes.to_le_bytes());
    body.extend(block(false, RAW, 5));
    body.extend([0xFA, 0x01]);
    body.extend(length);
    body.extend(block(true, REPEATED, field_bytes));
    body.push(7);
    body.extend(MAGIC);
    body.extend(50_000_u32.to_le_bytes());
    body.extend(block(true, RAW, 0));
    body
}

/// A log as the writer makes it, in the form that `forge::files` takes; of two files now and then.
fn log(number: usize, body: Vec<u8>) -> Outcome<Vec<u8>> {
    let disk = Arc::new(MemoryDisk::default());
    let report = replay(&*disk, |_, _| Ok(()))?;
    let file_bytes = if number.is_multiple_of(2) { 512 } else { 2_048 };
    let config = WalConfig { file_bytes, ..WalConfig::default() };
    let (sender, acked) = mpsc::channel();
    let (handle, writer) = start(Arc::clone(&disk) as _, config, &report, move |group| {
        let _ = sender.send(group.map(|group: Vec<Durable<()>>| group.len()));
    })?;
    let request = Request {
        arrival: ARRIVAL,
        content_type: ContentType::OtlpProtobuf,
        encoding: Encoding::Identity,
        body: Bytes::from(body),
        content_hash: number as u128,
        judged_by: Bytes::new(),
    };
    let decision = Decision::keep_all(TraceId::from_bytes([7; 16])?);
    for record in [Record::Request(request), Record::Decisions(vec![decision]), Record::Seal { epoch: 1 }] {
        handle.append(record, ())?;
        acked.recv()??;
    }
    drop(handle);
    writer.join().map_err(|_| "the writer panicked")?;
    let files: Vec<Vec<u8>> = disk.contents().into_iter().map(|(_, bytes)| bytes).take(2).collect();
    let split = u16::try_from(files.first().map_or(0, Vec::len)).unwrap_or(u16::MAX);
    let mut input = vec![0];
    input.extend(split.to_le_bytes());
    input.extend(files.concat());
    Ok(input)
}
