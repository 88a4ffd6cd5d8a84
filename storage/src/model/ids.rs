//! Trace and span ids. Hex and text exist only at the edges; inside, an id is its bytes.

use std::fmt;
use std::str::FromStr;

/// 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// Why bytes or text are no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("{what} has {actual} bytes instead of {expected}")]
    Length { what: &'static str, expected: usize, actual: usize },
    #[error("{what} is all zero")]
    Zero { what: &'static str },
    #[error("{what} {text:?} is not {digits} hex digits")]
    Hex { what: &'static str, digits: usize, text: String },
}

/// Reads exactly `N` bytes of hex, either case.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    Ok(())
}

macro_rules! id {
    ($name:ident, $length:literal, $what:literal) => {
        impl $name {
            pub const LENGTH: usize = $length;

            /// The id in `bytes`, unless their number is wrong or all are zero.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
                let bytes: [u8; $length] = bytes.try_into().map_err(|_| InvalidId::Length {
                    what: $what,
                    expected: $length,
                    actual: bytes.len(),
                })?;
                Self::from_bytes(bytes)
            }

            pub fn from_bytes(bytes: [u8; $length]) -> Result<Self, InvalidId> {
                if bytes == [0; $length] { Err(InvalidId::Zero { what: $what }) } else { Ok(Self(bytes)) }
            }

            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, out)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bytes = parse_hex(text).ok_or_else(|| InvalidId::Hex {
                    what: $what,
                    digits: 2 * $length,
                    text: text.to_owned(),
                })?;
                Self::from_bytes(bytes)
            }
        }
    };
}

id!(TraceId, 16, "trace id");
id!(SpanId, 8, "span id");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_in_either_case() {
        let id: TraceId = "0AF7651916cd43dd8448eb211c80319c".parse().expect("valid");
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn wrong_lengths_zeros_and_other_digits_are_refused_by_name() {
        assert_eq!(SpanId::from_slice(&[1; 7]).unwrap_err().to_string(), "span id has 7 bytes instead of 8");
        assert_eq!(SpanId::from_slice(&[0; 8]).unwrap_err().to_string(), "span id is all zero");
        assert_eq!("xyz".parse::<SpanId>().unwrap_err().to_string(), "span id \"xyz\" is not 16 hex digits");
        assert!("é0000000000000a".parse::<SpanId>().is_err());
    }
}
