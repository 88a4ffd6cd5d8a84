//! Saved state as bytes: what it is, its version, little-endian numbers, and a checksum over all of it. The reader never
//! trusts a length.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Of a state of this kind and version.
    pub fn of(kind: [u8; 4], version: u8) -> Self {
        let mut new = Self(kind.to_vec());
        new.u8(version);
        new
    }

    /// All that was written, and its checksum.
    pub fn seal(mut self) -> Vec<u8> {
        self.u64(xxh3_64(&self.0));
        self.0
    }

    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Numbers that are small most of the time, in groups of seven bits.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    #[cfg(test)]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

const SHORT: Error = Error::State("ends early");

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Behind the head of a state that is what it should be.
    pub fn open(bytes: &'a [u8], kind: [u8; 4], version: u8) -> Result<Self, Error> {
        let (bytes, checksum) = bytes.split_last_chunk::<8>().ok_or(SHORT)?;
        let mut input = Self::new(bytes);
        if input.array::<4>()? != kind {
            return Err(Error::State("is something else"));
        }
        if input.u8()? != version {
            return Err(Error::State("is of another version"));
        }
        if u64::from_le_bytes(*checksum) != xxh3_64(bytes) {
            return Err(Error::State("is damaged"));
        }
        Ok(input)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// Finite and not negative, as all of the state is.
    pub fn amount(&mut self) -> Result<f64, Error> {
        let value = self.f64()?;
        if value >= 0.0 { Ok(value) } else { Err(Error::State("has a negative amount")) }
    }

    pub fn f64(&mut self) -> Result<f64, Error> {
        let value = f64::from_bits(self.u64()?);
        if value.is_finite() { Ok(value) } else { Err(Error::State("has an amount that is no number")) }
    }

    pub fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::State("has a number that does not end"))
    }

    /// How many rows follow, of which each takes at least `least_bytes`.
    pub fn rows(&mut self, least_bytes: usize) -> Result<usize, Error> {
        let rows = self.u32()? as usize;
        if rows.saturating_mul(least_bytes) > self.0.len() { Err(SHORT) } else { Ok(rows) }
    }

    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::State("goes on behind its end")) }
    }
}
