//! Bodies as they were before the client compressed them.
//!
//! Sizes that a body claims are never believed: buffers grow with what comes out, and stop at the limit.

use std::borrow::Cow;
use std::io::{self, Read};

use storage::Encoding;

use crate::{Error, Result};

/// Room for the first bytes that come out.
const FIRST_BYTES: usize = 16 * 1024;

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
    // One byte more than the limit tells a body of exactly the limit from a longer one.
    let most = limit.saturating_add(1);
    let mut out = vec![0; body_len.saturating_mul(4).clamp(FIRST_BYTES, FIRST_BYTES * 16).min(most)];
    let mut filled = 0;
    loop {
        if filled == out.len() {
            if filled >= most {
                return Err(too_large(limit));
            }
            let larger = out.len().saturating_mul(2).min(most);
            out.reserve_exact(larger.saturating_sub(filled));
            out.resize(larger, 0);
        }
        let Some(free) = out.get_mut(filled..) else {
            return Err(Error::Internal("inflated past the buffer".to_owned()));
        };
        match from.read(free) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(encoding, &error)),
        }
    }
    out.truncate(filled);
    if out.len() > limit { Err(too_large(limit)) } else { Ok(Cow::Owned(out)) }
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
        for length in [0, 1, FIRST_BYTES - 1, FIRST_BYTES, 300_000] {
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
}
