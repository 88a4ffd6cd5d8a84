//! The values of a dictionary page.

use bytes::Bytes;
use datafusion::parquet::basic::Type;

/// Each value is found by its number.
#[derive(Debug)]
pub(in crate::table) struct Dictionary {
    bytes: Bytes,
    places: Places,
}

#[derive(Debug)]
enum Places {
    /// All values have one length, behind so many bytes that say it.
    Even { count: usize, prefix: usize, length: usize },
    /// Where values begin, with the lengths before them, and the end.
    Starts(Box<[u32]>),
}

/// Of a text, before its bytes.
const LENGTH: usize = 4;

impl Dictionary {
    /// `None` if the page has fewer values, or they are of a kind that is not read here.
    pub fn new(bytes: Bytes, physical: Type, count: usize) -> Option<Self> {
        let places = match physical {
            Type::BYTE_ARRAY => texts(&bytes, count)?,
            Type::INT32 | Type::INT64 | Type::DOUBLE => {
                let length = if physical == Type::INT32 { 4 } else { 8 };
                let fits = bytes.len() / length >= count;
                fits.then_some(Places::Even { count, prefix: 0, length })?
            }
            _ => return None,
        };
        Some(Self { bytes, places })
    }

    pub fn value(&self, number: u32) -> Option<&[u8]> {
        let number = usize::try_from(number).ok()?;
        match &self.places {
            Places::Even { count, prefix, length } => {
                let start = number.checked_mul(prefix + length)?.checked_add(*prefix)?;
                if number < *count { self.bytes.get(start..start.checked_add(*length)?) } else { None }
            }
            Places::Starts(starts) => {
                let (start, end) = (*starts.get(number)? as usize, *starts.get(number.checked_add(1)?)? as usize);
                self.bytes.get(start.checked_add(LENGTH)?..end)
            }
        }
    }

    pub fn size_bytes(&self) -> usize {
        let places = match &self.places {
            Places::Even { .. } => 0,
            Places::Starts(starts) => size_of_val::<[u32]>(starts),
        };
        size_of::<Self>() + self.bytes.len() + places
    }
}

fn texts(bytes: &[u8], count: usize) -> Option<Places> {
    // Each has at least its length.
    if bytes.len() / LENGTH < count || u32::try_from(bytes.len()).is_err() {
        return None;
    }
    let length_at = |at: usize| {
        let length = bytes.get(at..at.checked_add(LENGTH)?)?.try_into().map(u32::from_le_bytes).ok()?;
        usize::try_from(length).ok()
    };
    let mut starts = Vec::with_capacity(count + 1);
    let (mut at, mut is_even) = (0_usize, true);
    let first = if count > 0 { length_at(0)? } else { 0 };
    for _ in 0..count {
        starts.push(at as u32);
        let length = length_at(at)?;
        is_even &= length == first;
        at = at.checked_add(LENGTH)?.checked_add(length).filter(|end| *end <= bytes.len())?;
    }
    starts.push(at as u32);
    let even = Places::Even { count, prefix: LENGTH, length: first };
    Some(if is_even { even } else { Places::Starts(starts.into()) })
}
