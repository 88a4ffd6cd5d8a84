//! Compressed bodies: within the limit, the same under any limit that they fit, and with the bytes that another reader
//! finds.
#![no_main]

use std::io::Read;

use collector::{Decoded, Limits};
use fuzz::ARRIVAL;
use libfuzzer_sys::fuzz_target;
use storage::{ContentType, Encoding};

/// Small, so that a short body can go beyond.
const LIMIT: usize = 64 * 1024;

fn read_all(from: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    from.take(LIMIT as u64 + 1).read_to_end(&mut out).ok().map(|_| out)
}

fn ours(limit: usize, encoding: Encoding, body: &[u8]) -> collector::Result<Decoded> {
    let limits = Limits { request_bytes: limit, ..Limits::default() };
    collector::decode(&limits, ContentType::OtlpProtobuf, encoding, body, ARRIVAL)
}

fuzz_target!(|input: &[u8]| {
    let Some((which, body)) = input.split_first() else { return };
    let (encoding, expected) = if which & 1 == 0 {
        (Encoding::Gzip, read_all(flate2::read::MultiGzDecoder::new(body)))
    } else {
        let decoder = zstd::stream::read::Decoder::new(body).ok();
        (Encoding::Zstd, decoder.and_then(read_all))
    };
    let found = ours(LIMIT, encoding, body);
    if let Ok(found) = &found {
        // Replay reads what was accepted under a larger limit, and must find the same.
        let again = ours(Limits::MAX_DECODED_BYTES, encoding, body).map(|again| again.content_hash).ok();
        assert_eq!(Some(found.content_hash), again, "the limit decides about more than the size");
    }
    match (found, expected) {
        (Ok(found), Some(expected)) => {
            assert!(expected.len() <= LIMIT, "beyond the limit");
            assert_eq!(found.inflated_bytes, expected.len());
            let plain = ours(LIMIT, Encoding::Identity, &expected).map(|plain| plain.content_hash).ok();
            assert_eq!(Some(found.content_hash), plain);
        }
        // libzstd checks the size that an empty frame claims only where it is offered that much room.
        (Err(_), Some(_)) if encoding == Encoding::Zstd => {}
        (Err(_), Some(expected)) if expected.len() <= LIMIT => {
            assert!(ours(LIMIT, Encoding::Identity, &expected).is_err(), "ours alone cannot inflate it");
        }
        (Err(_), _) => {}
        (Ok(_), None) => panic!("ours alone inflates it"),
    }
});
