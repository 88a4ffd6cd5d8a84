//! What reading met besides data: oddities to warn of, values too deep to keep, and memory spent.

use std::borrow::Cow;

use super::rejected::{Cause, Warnings};
use super::span::Text;
use crate::{Error, Limits, Result};

/// For one span, or for one resource or scope.
#[derive(Debug)]
pub struct Findings<'l> {
    pub limits: &'l Limits,
    pub too_deep: bool,
    counts: [u32; Cause::ALL.len()],
    is_empty: bool,
    spent_bytes: usize,
}

impl<'l> Findings<'l> {
    pub fn new(limits: &'l Limits) -> Self {
        Self { limits, too_deep: false, counts: [0; Cause::ALL.len()], is_empty: true, spent_bytes: 0 }
    }

    pub fn clear(&mut self) {
        self.too_deep = false;
        self.spent_bytes = 0;
        if !self.is_empty {
            self.counts = [0; Cause::ALL.len()];
            self.is_empty = true;
        }
    }

    pub fn note(&mut self, cause: Cause) {
        self.note_many(cause, 1);
    }

    pub fn note_many(&mut self, cause: Cause, count: u32) {
        if let Some(counter) = self.counts.get_mut(cause as usize) {
            *counter = counter.saturating_add(count);
            self.is_empty &= count == 0;
        }
    }

    /// Adds what was noted to the request's warnings.
    pub fn report(&self, to: &mut Warnings, service: &str) {
        if self.is_empty {
            return;
        }
        for (cause, count) in Cause::ALL.iter().zip(self.counts) {
            to.add(*cause, u64::from(count), service);
        }
    }

    /// Spends memory on what is being read; its form can be far larger than its bytes.
    pub fn charge(&mut self, bytes: usize) -> Result<()> {
        self.spent_bytes = self.spent_bytes.saturating_add(bytes);
        let limit = self.limits.decoded_bytes / 4;
        if self.spent_bytes > limit {
            return Err(Error::TooLarge { what: "one span or resource in memory", limit_bytes: limit as u64 });
        }
        Ok(())
    }

    /// `bytes` as text: what is no UTF-8 replaced, what is over the limit cut.
    #[inline]
    pub fn text<'a>(&mut self, bytes: &'a [u8]) -> Result<Text<'a>> {
        if bytes.len() <= self.limits.text_bytes
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Ok(Cow::Borrowed(text));
        }
        self.odd_text(bytes)
    }

    #[cold]
    fn odd_text<'a>(&mut self, bytes: &'a [u8]) -> Result<Text<'a>> {
        let limit = self.limits.text_bytes;
        let kept = bytes.get(..limit).unwrap_or(bytes);
        if kept.len() < bytes.len() {
            self.note(Cause::TooLong);
        }
        let broken = match std::str::from_utf8(kept) {
            Ok(text) => return Ok(Cow::Borrowed(text)),
            Err(broken) => broken,
        };
        let whole = kept.get(..broken.valid_up_to()).unwrap_or_default();
        if broken.error_len().is_none() && kept.len() < bytes.len() {
            // Only the cut went through a character.
            return Ok(String::from_utf8_lossy(whole));
        }
        self.note(Cause::NotUtf8);
        let replaced = String::from_utf8_lossy(kept);
        self.charge(replaced.len())?;
        Ok(self.cut(replaced))
    }

    /// `text` within the limit.
    pub fn cut<'a>(&mut self, text: Text<'a>) -> Text<'a> {
        let limit = self.limits.text_bytes;
        if text.len() <= limit {
            return text;
        }
        self.note(Cause::TooLong);
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(cut_to(text, limit)),
            Cow::Owned(text) => Cow::Owned(cut_to(&text, limit).to_owned()),
        }
    }
}

/// The longest prefix of at most `limit` bytes that ends with a whole character.
pub fn cut_to(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str, causes: &[Cause]) -> Result<()> {
        let limits = Limits { text_bytes: 8, ..Limits::default() };
        let mut findings = Findings::new(&limits);
        assert_eq!(findings.text(bytes)?, expected);
        let mut warnings = Warnings::default();
        findings.report(&mut warnings, "");
        let met: Vec<Cause> = warnings.iter().map(|warning| warning.cause).collect();
        assert_eq!(met, causes);
        Ok(())
    }

    #[test]
    fn text_is_repaired_and_cut_between_characters() -> Result<()> {
        check(b"12345678", "12345678", &[])?;
        check(b"123456789", "12345678", &[Cause::TooLong])?;
        check("1234567é".as_bytes(), "1234567", &[Cause::TooLong])?;
        check(b"12\xff4", "12\u{fffd}4", &[Cause::NotUtf8])?;
        check(b"1234\xff\xff\xff\xff", "1234\u{fffd}", &[Cause::NotUtf8, Cause::TooLong])?;
        check(b"1234567\xc3", "1234567", &[Cause::NotUtf8, Cause::TooLong])
    }
}
