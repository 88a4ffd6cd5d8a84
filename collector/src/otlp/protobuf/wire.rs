//! The wire format: tags, varints, fixed widths, lengths, and fields to skip.

use crate::Error;

/// Why a message cannot be read: out of the way of what is returned when it can be.
#[derive(Debug)]
pub struct Broken(Box<(usize, String)>);

type Result<T> = std::result::Result<T, Broken>;

impl From<Broken> for Error {
    #[cold]
    fn from(Broken(broken): Broken) -> Self {
        let (position, detail) = *broken;
        Error::Malformed { place: format!("byte {position}"), detail }
    }
}

pub const VARINT: u8 = 0;
pub const FIXED64: u8 = 1;
pub const LENGTH: u8 = 2;
pub const GROUP: u8 = 3;
pub const END_GROUP: u8 = 4;
pub const FIXED32: u8 = 5;

/// Groups inside each other; as many as prost takes.
const MAX_GROUPS: usize = 100;

/// Reads one message. Positions are offsets in the whole request.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Reader<'a> {
    pub fn new(request: &'a [u8]) -> Self {
        Self { rest: request, end: request.len() }
    }

    fn position(&self) -> usize {
        self.end.saturating_sub(self.rest.len())
    }

    #[cold]
    pub fn broken(&self, detail: impl Into<String>) -> Broken {
        Broken(Box::new((self.position(), detail.into())))
    }

    /// The message's bytes that are not read yet.
    #[inline(always)]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and wire type; `None` at the message's end.
    #[inline(always)]
    pub fn field(&mut self) -> Result<Option<(u32, u8)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let Ok(key) = u32::try_from(key) else {
            return Err(self.broken("a field number is too large"));
        };
        let (number, wire_type) = (key >> 3, (key & 7) as u8);
        if number == 0 {
            return Err(self.broken("a field has the number 0"));
        }
        if wire_type > FIXED32 {
            return Err(self.broken(format!("a field has the wire type {wire_type}")));
        }
        Ok(Some((number, wire_type)))
    }

    #[inline(always)]
    pub fn varint(&mut self) -> Result<u64> {
        match self.rest.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                // The tenth byte has room for one more bit.
                if at == 9 && *byte > 1 {
                    return Err(self.broken("a number exceeds 64 bits"));
                }
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        let detail = if self.rest.len() < 10 { "ends inside a number" } else { "a number exceeds 10 bytes" };
        Err(self.broken(detail))
    }

    #[inline(always)]
    pub fn fixed64(&mut self) -> Result<u64> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(self.broken("ends inside a number of 8 bytes")),
        }
    }

    #[inline(always)]
    pub fn fixed32(&mut self) -> Result<u32> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => Err(self.broken("ends inside a number of 4 bytes")),
        }
    }

    /// The bytes of a field with a length.
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => {
                let detail = format!("a length of {length} goes beyond the {} bytes that are left", self.rest.len());
                Err(self.broken(detail))
            }
        }
    }

    /// A reader of the message in a field with a length.
    #[inline(always)]
    pub fn message(&mut self) -> Result<Reader<'a>> {
        let bytes = self.bytes()?;
        Ok(Reader { rest: bytes, end: self.position() })
    }

    /// Insists on a known field's wire type.
    #[inline(always)]
    pub fn expect(&self, actual: u8, expected: u8, field: &str) -> Result<()> {
        if actual == expected {
            return Ok(());
        }
        Err(self.broken(format!("{field} has the wire type {actual} instead of {expected}")))
    }

    /// Passes over an unknown field.
    pub fn skip(&mut self, number: u32, wire_type: u8) -> Result<()> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LENGTH => self.bytes().map(drop),
            FIXED32 => self.fixed32().map(drop),
            GROUP => self.skip_group(number),
            _ => Err(self.broken("a group ends that never began")),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<()> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            match self.field()? {
                None => return Err(self.broken("ends inside a group")),
                Some((number, END_GROUP)) if number == *innermost => {
                    open.pop();
                }
                Some((number, GROUP)) => {
                    if open.len() >= MAX_GROUPS {
                        return Err(self.broken("groups are nested too deeply"));
                    }
                    open.push(number);
                }
                Some((number, wire_type)) => self.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_205_varints_of_10_bytes_are_read_and_of_11_refused() {
        let ten = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new(&ten).varint().ok(), Some(u64::MAX));
        let padded = [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(Reader::new(&padded).varint().ok(), Some(1));
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(Reader::new(&too_large).varint().is_err());
        let eleven = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert!(Reader::new(&eleven).varint().is_err());
        assert!(Reader::new(&[0x80]).varint().is_err());
    }

    #[test]
    fn positions_are_those_of_the_request() {
        // Field 1 with 3 bytes, of which the second field's length is a lie.
        let request = [0x0a, 0x03, 0x00, 0x12, 0x09];
        let mut reader = Reader::new(&request);
        assert!(matches!(reader.field(), Ok(Some((1, LENGTH)))));
        let Ok(mut message) = reader.message() else { panic!("is whole") };
        assert!(message.bytes().is_ok_and(<[u8]>::is_empty));
        assert!(matches!(message.field(), Ok(Some((2, LENGTH)))));
        let error = message.bytes().map_err(|error| Error::from(error).to_string());
        assert_eq!(error, Err("byte 5: a length of 9 goes beyond the 0 bytes that are left".to_owned()));
    }

    #[test]
    fn groups_are_skipped_if_they_end() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            while let Some((number, wire_type)) = reader.field()? {
                reader.skip(number, wire_type)?;
            }
            Ok::<(), Broken>(())
        };
        assert!(skip(&[0x0b, 0x13, 0x08, 0x01, 0x14, 0x0c]).is_ok());
        assert!(skip(&[0x0b, 0x13, 0x0c, 0x14]).is_err());
        assert!(skip(&[0x0b]).is_err());
        assert!(skip(&[0x0c]).is_err());
        assert!(skip(&[0x0b].repeat(100_000)).is_err());
    }
}
