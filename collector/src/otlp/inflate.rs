//! Bodies as they were before the client compressed them.
//!
//! Sizes that a body claims are never believed: buffers grow with what comes out, and stop at the limit.

use std::borrow::Cow;
use std::io::{self, Read};

use storage::Encoding;

use crate::{Error, Result};

/// What each read is offered. Always the same: libzstd checks a frame's claimed size only where there is room for all of
/// it, and what a body is must not depend on the limit, which replay has larger.
const ROOM_BYTES: usize = 128 * 1024;

/// zstd's own default for untrusted frames, 128 MiB. The window is reserved, but only touched as data comes out.
const ZSTD_MAX_WINDOW_LOG: u32 = 27;

/// The inflated body, at most `limit` bytes of it.
pub fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Cow<'_, [u8]>> {
    match encoding {
        Encoding::Identity if body.len() > limit => Err(too_large(limit)),
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        // Members follow each other; bytes that begin no member are an error, as RFC 1952 leaves to the reader.
        Encoding::Gzip => read_all(flate2::bufread::MultiGzDecoder::new(body), "gzip", body.len(), limit),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|error| broken("zstd", &error))?;
            decoder.window_log_max(ZSTD_MAX_WINDOW_LOG).map_err(|error| broken("zstd", &error))?;
            read_all(decoder, "zstd", body.len(), limit)
        }
    }
}

fn too_large(limit: usize) -> Error {
    Error::TooLarge { what: "the inflated request", limit_bytes: limit as u64 }
}

fn broken(encoding: &str, error: &io::Error) -> Error {
    Error::Malformed { place: format!("{encoding} body"), detail: error.to_string() }
}

fn read_all<'a>(mut from: impl Read, encoding: &str, body_len: usize, limit: usize) -> Result<Cow<'a, [u8]>> {
    let mut out = Vec::with_capacity(body_len.saturating_mul(4).clamp(ROOM_BYTES, ROOM_BYTES * 16));
    loop {
        let filled = out.len();
        out.resize(filled.saturating_add(ROOM_BYTES), 0);
        let read = match out.get_mut(filled..) {
            Some(room) => from.read(room),
            None => return Err(Error::Internal("inflated past the buffer".to_owned())),
        };
        out.truncate(filled.saturating_add(*read.as_ref().unwrap_or(&0)));
        match read {
            Ok(0) => return Ok(Cow::Owned(out)),
            Ok(_) if out.len() > limit => return Err(too_large(limit)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(encoding, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes)?;
        encoder.finish()
    }

    fn skippable(length: u32) -> Vec<u8> {
        let mut frame = 0x184D_2A53_u32.to_le_bytes().to_vec();
        frame.extend(length.to_le_bytes());
        frame.extend(vec![7; length as usize]);
        frame
    }

    #[track_caller]
    fn check(encoding: Encoding, body: &[u8], expected: &[u8]) {
        match inflate(encoding, body, 1 << 20) {
            Ok(out) => assert_eq!(out.as_ref(), expected),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn check_broken(encoding: Encoding, body: &[u8]) {
        assert!(matches!(inflate(encoding, body, 1 << 20), Err(Error::Malformed { .. })));
    }

    #[test]
    fn several_members_and_frames_are_all_read() -> Outcome {
        check(Encoding::Gzip, &[gzip(b"one ")?, gzip(b"")?, gzip(b"two")?].concat(), b"one two");
        let frames =
            [zstd::encode_all(&b"one "[..], 3)?, skippable(5), zstd::encode_all(&b"two"[..], 3)?, skippable(0)];
        check(Encoding::Zstd, &frames.concat(), b"one two");
        Ok(())
    }

    #[test]
    fn truncated_corrupt_and_trailing_bytes_are_refused() -> Outcome {
        for (encoding, whole) in
            [(Encoding::Gzip, gzip(b"hello hello hello")?), (Encoding::Zstd, zstd::encode_all(&b"hello hello"[..], 3)?)]
        {
            for cut in 1..whole.len() {
                check_broken(encoding, &whole[..cut]);
            }
            for trailing in [&b"x"[..], b"\0\0\0\0\0\0\0\0\0\0\0\0", b"not a member at all"] {
                check_broken(encoding, &[&whole, trailing].concat());
            }
            check_broken(encoding, b"plain text");
        }
        let mut wrong_checksum = gzip(b"hello")?;
        let at = wrong_checksum.len() - 5;
        wrong_checksum[at] ^= 1;
        check_broken(Encoding::Gzip, &wrong_checksum);
        Ok(())
    }

    #[test]
    fn the_limit_is_exact_for_each_encoding() -> Outcome {
        for length in [0, 1, ROOM_BYTES - 1, ROOM_BYTES, 300_000] {
            let body = vec![b'a'; length];
            for (encoding, packed) in [
                (Encoding::Identity, body.clone()),
                (Encoding::Gzip, gzip(&body)?),
                (Encoding::Zstd, zstd::encode_all(&body[..], 3)?),
            ] {
                assert_eq!(inflate(encoding, &packed, length)?.len(), length);
                if length > 0 {
                    let refused = inflate(encoding, &packed, length - 1);
                    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{encoding:?} {length}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() -> Outcome {
        let zeros = vec![0; 64 << 20];
        for (encoding, packed) in [(Encoding::Gzip, gzip(&zeros)?), (Encoding::Zstd, zstd::encode_all(&zeros[..], 3)?)]
        {
            assert!(packed.len() < 100_000);
            assert!(matches!(inflate(encoding, &packed, 1 << 20), Err(Error::TooLarge { .. })));
        }
        Ok(())
    }

    #[test]
    fn a_frame_that_lies_about_its_size_is_judged_alike_under_every_limit() {
        // Empty, and said to have 88 bytes.
        let lie = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 88, 1, 0, 0];
        let judged = |limit| inflate(Encoding::Zstd, &lie, limit).is_ok();
        for limit in [1, 64, 87, 88, 1 << 20, 1 << 30] {
            assert_eq!(judged(limit), judged(64 << 20), "limit {limit}");
        }
    }
}
