//! Smallest and largest values of a leaf, and of each of its pages.

use parquet::basic::Type;
use parquet::data_type::ByteArray;
use parquet::file::statistics::Statistics;

use super::dictionary::Dictionary;

/// Texts above this length are in no range: every opening of the file would read them.
const RANGE_BYTES: usize = 128;

/// Smallest and largest value, as a page has them.
pub(super) type Range = (Vec<u8>, Vec<u8>);

/// Those of texts or of 64-bit integers.
#[derive(Debug)]
pub(super) struct Extremes {
    physical: Type,
    /// By number: the page that had the value last.
    seen_in: Vec<u32>,
    all: Option<Range>,
    /// Those of a page are too long to be said, so that none are.
    has_long: bool,
}

impl Extremes {
    pub fn new(physical: Type) -> Self {
        Self { physical, seen_in: Vec::new(), all: None, has_long: false }
    }

    /// Those of the values with these numbers. `page` counts pages, from 1. `None` if there is no value, or they are too long.
    pub fn of_page(&mut self, page: u32, numbers: &[u32], dictionary: &Dictionary) -> Option<Range> {
        self.seen_in.resize(dictionary.len(), 0);
        let mut range: Option<(&[u8], &[u8])> = None;
        for &number in numbers {
            // Each distinct value is compared once a page.
            if std::mem::replace(&mut self.seen_in[number as usize], page) != page {
                range = Some(self.wider(range, dictionary.value(number)));
            }
        }
        let (smallest, largest) = range?;
        if smallest.len().max(largest.len()) > RANGE_BYTES {
            self.has_long = true;
            return None;
        }
        let all = self.all.as_ref().map(|(smallest, largest)| (&smallest[..], &largest[..]));
        let all = self.wider(Some(self.wider(all, smallest)), largest);
        self.all = Some((all.0.to_vec(), all.1.to_vec()));
        Some((smallest.to_vec(), largest.to_vec()))
    }

    /// Those of all pages. `None` if nothing is to be said of any.
    pub fn statistics(self, nulls: u64) -> Option<Statistics> {
        if self.has_long {
            return None;
        }
        let (smallest, largest) = self.all.unzip();
        Some(if self.physical == Type::INT64 {
            let number = |value: Option<Vec<u8>>| value.as_deref().and_then(integer);
            Statistics::int64(number(smallest), number(largest), None, Some(nulls), false)
        } else {
            let (smallest, largest) = (smallest.map(ByteArray::from), largest.map(ByteArray::from));
            Statistics::byte_array(smallest, largest, None, Some(nulls), false)
        })
    }

    fn wider<'v>(&self, range: Option<(&'v [u8], &'v [u8])>, value: &'v [u8]) -> (&'v [u8], &'v [u8]) {
        let Some((smallest, largest)) = range else { return (value, value) };
        let is_below = |value: &[u8], other: &[u8]| match self.physical {
            Type::INT64 => integer(value) < integer(other),
            _ => value < other,
        };
        (
            if is_below(value, smallest) { value } else { smallest },
            if is_below(largest, value) { value } else { largest },
        )
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    value.try_into().ok().map(i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(physical: Type, values: &[&[u8]], expected: Option<(&[u8], &[u8])>) {
        let mut dictionary = Dictionary::default();
        let mut extremes = Extremes::new(physical);
        let numbers: Vec<u32> = values.iter().map(|value| dictionary.push(value)).collect();
        let expected = expected.map(|(smallest, largest)| (smallest.to_vec(), largest.to_vec()));
        assert_eq!(extremes.of_page(1, &numbers, &dictionary), expected);
        // A page of a part of the values does not narrow what all have.
        extremes.of_page(2, &numbers[..numbers.len().min(1)], &dictionary);
        assert_eq!(extremes.all, expected);
    }

    #[test]
    fn texts_compare_as_bytes_and_integers_as_numbers() {
        check(Type::BYTE_ARRAY, &[b"b", b"ab", b"ba"], Some((b"ab", b"ba")));
        let [one, minus, large] = [1_i64, -5, 256].map(i64::to_le_bytes);
        check(Type::INT64, &[&one, &minus, &large], Some((&minus, &large)));
        check(Type::BYTE_ARRAY, &[], None);
    }

    #[test]
    fn nothing_is_said_once_a_text_is_too_long() {
        let mut dictionary = Dictionary::default();
        let mut extremes = Extremes::new(Type::BYTE_ARRAY);
        let numbers = [dictionary.push(b"a"), dictionary.push(&[b'b'; RANGE_BYTES + 1])];
        assert!(extremes.of_page(1, &numbers[..1], &dictionary).is_some());
        assert!(extremes.of_page(2, &numbers, &dictionary).is_none());
        assert!(extremes.statistics(0).is_none());
    }
}
