//! Compressed bodies: within the limit, and with the bytes that another reader finds.
#![no_main]

use std::io::Read;

use collector::Limits;
use fuzz::ARRIVAL;
use libfuzzer_sys::fuzz_target;
use storage::{ContentType, Encoding};

/// Small, so that a short body can go beyond.
const LIMIT: usize = 64 * 1024;

fn read_all(from: impl Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    from.take(LIMIT as u64 + 1).read_to_end(&mut out).ok().map(|_| out)
}

fuzz_target!(|input: &[u8]| {
    let Some((which, body)) = input.split_first() else { return };
    let limits = Limits { request_bytes: LIMIT, ..Limits::default() };
    let ours = |encoding, body: &[u8]| collector::decode(&limits, ContentType::OtlpProtobuf, encoding, body, ARRIVAL);
    let (encoding, expected) = if which & 1 == 0 {
        (Encoding::Gzip, read_all(flate2::read::MultiGzDecoder::new(body)))
    } else {
        let decoder = zstd::stream::read::Decoder::new(body).ok();
        (Encoding::Zstd, decoder.and_then(read_all))
    };
    match (ours(encoding, body), expected) {
        (Ok(found), Some(expected)) => {
            assert!(expected.len() <= LIMIT, "beyond the limit");
            assert_eq!(found.inflated_bytes, expected.len());
            let plain = ours(Encoding::Identity, &expected).map(|plain| plain.content_hash).ok();
            assert_eq!(Some(found.content_hash), plain);
        }
        (Err(_), Some(expected)) if expected.len() <= LIMIT => {
            assert!(ours(Encoding::Identity, &expected).is_err(), "ours alone cannot inflate it");
        }
        (Err(_), _) => {}
        (Ok(_), None) => panic!("ours alone inflates it"),
    }
});
