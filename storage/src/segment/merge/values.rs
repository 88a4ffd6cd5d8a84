//! Values one behind the other, as a dictionary or a page without one has them.

use bytes::Bytes;
use parquet::basic::Type;

/// Numbered from 0.
#[derive(Debug, Default, Clone)]
pub(super) struct Values {
    bytes: Bytes,
    /// Where each begins and ends.
    places: Vec<(u32, u32)>,
}

impl Values {
    /// Takes `count` values of a PLAIN page apart. `None` if the bytes have fewer.
    pub fn plain(bytes: Bytes, physical: Type, count: usize) -> Option<Self> {
        u32::try_from(bytes.len()).ok()?;
        let size = match physical {
            Type::BYTE_ARRAY => return Self::texts(bytes, count),
            Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::BOOLEAN | Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY => return None,
        };
        if bytes.len() / size < count {
            return None;
        }
        let places = (0..count as u32).map(|number| (number * size as u32, (number + 1) * size as u32)).collect();
        Some(Self { bytes, places })
    }

    fn texts(bytes: Bytes, count: usize) -> Option<Self> {
        // Each has at least its length.
        if bytes.len() / 4 < count {
            return None;
        }
        let mut places = Vec::with_capacity(count);
        let mut at = 0;
        for _ in 0..count {
            let length = bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()? as usize;
            let start = at + 4;
            at = start.checked_add(length)?;
            if at > bytes.len() {
                return None;
            }
            places.push((start as u32, at as u32));
        }
        Some(Self { bytes, places })
    }

    /// Values that were decoded already. `None` if they are more than 4 GiB.
    pub fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for value in values {
            let start = u32::try_from(bytes.len()).ok()?;
            bytes.extend_from_slice(value);
            places.push((start, u32::try_from(bytes.len()).ok()?));
        }
        Some(Self { bytes: Bytes::from(bytes), places })
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn get(&self, number: u32) -> &[u8] {
        let place = self.places.get(number as usize).copied();
        place.and_then(|(start, end)| self.bytes.get(start as usize..end as usize)).unwrap_or_default()
    }

    /// The same, kept without a copy.
    pub fn shared(&self, number: u32) -> Bytes {
        let (start, end) = self.places.get(number as usize).copied().unwrap_or_default();
        self.bytes.slice(start as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], physical: Type, count: usize, expected: Option<&[&[u8]]>) {
        let values = Values::plain(Bytes::copy_from_slice(bytes), physical, count);
        let values =
            values.map(|values| (0..values.len() as u32).map(|at| values.get(at).to_vec()).collect::<Vec<_>>());
        assert_eq!(values, expected.map(|values| values.iter().map(|value| value.to_vec()).collect()));
    }

    #[test]
    fn values_are_taken_apart_and_what_is_cut_is_refused() {
        let texts = [2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0];
        check(&texts, Type::BYTE_ARRAY, 2, Some(&[b"ab", b""]));
        check(&texts, Type::BYTE_ARRAY, 1, Some(&[b"ab"]));
        check(&texts, Type::BYTE_ARRAY, 3, None);
        check(&texts[..5], Type::BYTE_ARRAY, 1, None);
        check(&[255; 8], Type::BYTE_ARRAY, 1, None);
        check(&[1, 0, 0, 0, 2, 0, 0, 0], Type::INT32, 2, Some(&[&[1, 0, 0, 0], &[2, 0, 0, 0]]));
        check(&[1, 0, 0, 0, 2, 0, 0], Type::INT32, 2, None);
        check(&[7; 8], Type::INT64, 1, Some(&[&[7; 8]]));
        check(&[], Type::INT64, usize::MAX, None);
    }
}
