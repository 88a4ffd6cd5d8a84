//! Any bytes as a log: refused, or replayed and continued without a record changed. What was refused as damaged is
//! replayed after the damage is cut out, with the records that were whole.
#![no_main]

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use fuzz::forge;
use fuzz::memory_disk::MemoryDisk;
use libfuzzer_sys::fuzz_target;
use storage::model::UnixNanos;
use storage::wal::{Durable, Found, Record, ReplayReport, WalConfig, cut, replay, salvage, start};
use storage::{ContentType, Encoding, Request};

fn read(disk: &MemoryDisk) -> storage::Result<(Vec<String>, ReplayReport)> {
    let mut records = Vec::new();
    let report = replay(disk, |lsn, record| {
        records.push(format!("{lsn:?} {record:?}"));
        Ok(())
    })?;
    Ok((records, report))
}

/// The whole records, and the number of holes.
fn salvaged(disk: &MemoryDisk) -> storage::Result<(Vec<String>, usize)> {
    let (mut records, mut holes) = (Vec::new(), 0);
    salvage(disk, &|_| Ok(()), |found| match found {
        Found::Record(lsn, record) => records.push(format!("{lsn:?} {record:?}")),
        Found::Hole(_) => holes += 1,
    })?;
    Ok((records, holes))
}

fn appended() -> Record {
    Record::Request(Request {
        arrival: UnixNanos(7),
        content_type: ContentType::OtlpProtobuf,
        encoding: Encoding::Identity,
        body: Bytes::from_static(b"one more"),
        content_hash: 7,
        judged_by: Bytes::new(),
    })
}

fuzz_target!(|input: &[u8]| {
    let disk = Arc::new(MemoryDisk::with(forge::files(input)));
    let before = disk.contents();
    let replayed = read(&disk);
    assert_eq!(disk.contents(), before, "replay writes nothing");
    let whole = salvaged(&disk);
    assert_eq!(disk.contents(), before, "salvage writes nothing");
    let (mut records, report) = match (replayed, whole) {
        (Ok(read), Ok((whole, holes))) => {
            assert_eq!((&read.0, holes), (&whole, 0));
            read
        }
        (Ok(_), Err(error)) => panic!("replayed, yet not salvaged: {error}"),
        (Err(_), Ok((whole, holes))) => {
            assert_ne!(holes, 0, "refused without a hole");
            cut(&*disk, &|_| Ok(()), "damaged", |_| Vec::new()).expect("the holes are cut out");
            let read = read(&disk).expect("what is left is read");
            assert_eq!(read.0, whole);
            read
        }
        // A record of a later version.
        (Err(_), Err(_)) => return,
    };
    let (sender, acked) = mpsc::channel();
    let config = WalConfig { file_bytes: 4_096, ..WalConfig::default() };
    let started = start(Arc::clone(&disk) as _, config, &report, move |group: storage::Result<Vec<Durable<()>>>| {
        let _ = sender.send(group.map(|group| group.len()));
    });
    let (handle, writer) = started.expect("the log goes on");
    handle.append(appended(), ()).expect("the queue is empty");
    assert_eq!(acked.recv().expect("an answer").expect("the disk takes it"), 1);
    drop(handle);
    writer.join().expect("the writer ends");
    let (again, _) = read(&disk).expect("what was written is read");
    assert_eq!(again.len(), records.len() + 1);
    let last = again.last().cloned().unwrap_or_default();
    assert!(last.contains("one more"), "{last}");
    records.push(last);
    assert_eq!(again, records);
});
