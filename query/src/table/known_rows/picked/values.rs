//! The values of a page in whatever encoding, asked at ascending places.

use datafusion::parquet::basic::{Encoding, Type};

use super::deltas::Deltas;
use super::dictionary::Dictionary;
use super::hybrid::{Hybrid, bits};

/// The values of a page that are there.
#[derive(Debug)]
pub(super) enum Values<'p> {
    /// Of one length.
    Even {
        bytes: &'p [u8],
        length: usize,
    },
    Texts(Texts<'p>),
    Bits(&'p [u8]),
    Runs(Hybrid<'p>),
    Numbers {
        numbers: Hybrid<'p>,
        dictionary: &'p Dictionary,
    },
    Deltas(Deltas<'p>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'p> {
    Bytes(&'p [u8]),
    Int(i64),
    Bool(bool),
}

impl<'p> Values<'p> {
    /// Whether values in this encoding are read here.
    pub fn reads(encoding: Encoding, physical: Type) -> bool {
        match encoding {
            Encoding::PLAIN => true,
            // Levels are said to be in it, too.
            Encoding::RLE => true,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => physical != Type::BOOLEAN,
            Encoding::DELTA_BINARY_PACKED => matches!(physical, Type::INT32 | Type::INT64),
            _ => false,
        }
    }

    /// `None` if the page is too short, or lacks its dictionary, or its encoding is none of those.
    pub fn new(
        bytes: &'p [u8],
        encoding: Encoding,
        physical: Type,
        dictionary: Option<&'p Dictionary>,
    ) -> Option<Self> {
        match (encoding, physical) {
            (Encoding::PLAIN, Type::BOOLEAN) => Some(Self::Bits(bytes)),
            (Encoding::PLAIN, Type::BYTE_ARRAY) => Some(Self::Texts(Texts { rest: bytes, place: 0 })),
            (Encoding::PLAIN, Type::INT32) => Some(Self::Even { bytes, length: 4 }),
            (Encoding::PLAIN, Type::INT64 | Type::DOUBLE) => Some(Self::Even { bytes, length: 8 }),
            // Behind their length.
            (Encoding::RLE, Type::BOOLEAN) => Some(Self::Runs(Hybrid::new(bytes.get(4..)?, 1))),
            (Encoding::DELTA_BINARY_PACKED, Type::INT32 | Type::INT64) => Deltas::new(bytes).map(Self::Deltas),
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, _) => {
                // A page of nothing but NULL may not even say how wide its numbers are.
                let width = bytes.first().copied().unwrap_or(0);
                let numbers =
                    Hybrid::new(bytes.get(1..).unwrap_or_default(), Some(width).filter(|width| *width <= 32)?);
                Some(Self::Numbers { numbers, dictionary: dictionary? })
            }
            _ => None,
        }
    }

    /// `None` if there is no such value. It is not before one that was asked for.
    pub fn at(&mut self, place: usize) -> Option<Value<'p>> {
        match self {
            Self::Even { bytes, length } => {
                let start = place.checked_mul(*length)?;
                bytes.get(start..start.checked_add(*length)?).map(Value::Bytes)
            }
            Self::Texts(texts) => texts.at(place).map(Value::Bytes),
            Self::Bits(packed) => bits(packed, place, 1).map(|bit| Value::Bool(bit == 1)),
            Self::Runs(runs) => runs.at(place).map(|bit| Value::Bool(bit == 1)),
            Self::Numbers { numbers, dictionary } => dictionary.value(numbers.at(place)?).map(Value::Bytes),
            Self::Deltas(deltas) => deltas.at(place).map(Value::Int),
        }
    }
}

/// Texts one behind the other, each behind its length.
#[derive(Debug)]
pub(super) struct Texts<'p> {
    rest: &'p [u8],
    /// Of the first text of `rest`.
    place: usize,
}

impl<'p> Texts<'p> {
    fn at(&mut self, place: usize) -> Option<&'p [u8]> {
        while self.place < place {
            self.rest = self.first()?.1;
            self.place += 1;
        }
        (self.place == place).then(|| self.first())?.map(|(text, _)| text)
    }

    fn first(&self) -> Option<(&'p [u8], &'p [u8])> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
    }
}
