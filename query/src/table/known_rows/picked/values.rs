//! The values of a page in whatever encoding, asked at ascending places.

use datafusion::parquet::basic::{Encoding, Type};
use datafusion::parquet::column::page::Page;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::schema::types::ColumnDescriptor;

use super::super::chunk::wrong;
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
    Apart(Apart<'p>),
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
    /// Whether the values of a column are read here, in all of its encodings.
    pub fn read(chunk: &ColumnChunkMetaData) -> bool {
        let physical = chunk.column_type();
        chunk.encodings().all(|encoding| match encoding {
            // Levels are said to be in runs, too.
            Encoding::PLAIN | Encoding::RLE => true,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => physical != Type::BOOLEAN,
            Encoding::DELTA_BINARY_PACKED => matches!(physical, Type::INT32 | Type::INT64),
            Encoding::DELTA_LENGTH_BYTE_ARRAY => physical == Type::BYTE_ARRAY,
            _ => false,
        })
    }

    /// The values of a page, which are these bytes of it.
    pub fn of(
        page: &Page,
        bytes: &'p [u8],
        column: &ColumnDescriptor,
        dictionary: Option<&'p Dictionary>,
    ) -> Result<Self> {
        let values = Self::new(bytes, page.encoding(), column.physical_type(), dictionary);
        values.ok_or_else(|| wrong("a page is not as its column says"))
    }

    /// `None` if the page is too short, or lacks its dictionary, or its encoding is none of those.
    fn new(bytes: &'p [u8], encoding: Encoding, physical: Type, dictionary: Option<&'p Dictionary>) -> Option<Self> {
        if bytes.is_empty() {
            // A page of nothing but NULL.
            return Some(Self::Bits(bytes));
        }
        match (encoding, physical) {
            (Encoding::PLAIN, Type::BOOLEAN) => Some(Self::Bits(bytes)),
            (Encoding::PLAIN, Type::BYTE_ARRAY) => Some(Self::Texts(Texts { rest: bytes, place: 0 })),
            (Encoding::PLAIN, Type::INT32) => Some(Self::Even { bytes, length: 4 }),
            (Encoding::PLAIN, Type::INT64 | Type::DOUBLE) => Some(Self::Even { bytes, length: 8 }),
            // Behind their length.
            (Encoding::RLE, Type::BOOLEAN) => Some(Self::Runs(Hybrid::new(bytes.get(4..).unwrap_or_default(), 1))),
            (Encoding::DELTA_BINARY_PACKED, Type::INT32 | Type::INT64) => Deltas::new(bytes).map(Self::Deltas),
            (Encoding::DELTA_LENGTH_BYTE_ARRAY, Type::BYTE_ARRAY) => Apart::new(bytes).map(Self::Apart),
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, _) => {
                let (width, numbers) = bytes.split_first().filter(|(width, _)| **width <= 32)?;
                let numbers = Hybrid::new(numbers, *width);
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
            Self::Apart(texts) => texts.at(place).map(Value::Bytes),
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

/// Texts one behind the other, all behind their lengths.
#[derive(Debug)]
pub(super) struct Apart<'p> {
    lengths: Deltas<'p>,
    /// Of each text, if all have the same, as ids have.
    length: Option<usize>,
    texts: &'p [u8],
    /// A text, and where it begins.
    place: usize,
    start: usize,
}

impl<'p> Apart<'p> {
    fn new(bytes: &'p [u8]) -> Option<Self> {
        let mut lengths = Deltas::new(bytes)?;
        let (texts, are_same) = lengths.behind()?;
        let first = lengths.at(0).and_then(|length| usize::try_from(length).ok());
        let length = first.filter(|_| are_same);
        Some(Self { lengths, length, texts, place: 0, start: 0 })
    }

    fn at(&mut self, place: usize) -> Option<&'p [u8]> {
        if let Some(length) = self.length {
            // There is no such text unless it has a length.
            self.lengths.has(place).then_some(())?;
            let start = place.checked_mul(length)?;
            return self.texts.get(start..start.checked_add(length)?);
        }
        while self.place < place {
            self.start = self.start.checked_add(self.length_of(self.place)?)?;
            self.place += 1;
        }
        let end = self.start.checked_add(self.length_of(place)?)?;
        self.texts.get(self.start..end)
    }

    fn length_of(&mut self, place: usize) -> Option<usize> {
        usize::try_from(self.lengths.at(place)?).ok()
    }
}
