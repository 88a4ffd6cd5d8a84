//! JSON as it comes: a position in the bytes, and where in the document that is.

use std::borrow::Cow;

use crate::otlp::findings::Findings;
use crate::otlp::rejected::Cause;
use crate::otlp::span::Text;
use crate::{Error, Result};

use super::number;

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "a list",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "true or false",
            Kind::Null => "null",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Key(&'static str),
    Index(usize),
}

#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Known keys and indexes down to the value being read.
    path: Vec<Step>,
}

/// One bit for each open object or list: set for objects.
#[derive(Default)]
struct Open {
    words: Vec<u64>,
    count: usize,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        let (word, bit) = (self.count / 64, self.count % 64);
        if word == self.words.len() {
            self.words.push(0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word = (*word & !(1 << bit)) | (u64::from(is_object) << bit);
        }
        self.count += 1;
    }

    /// Whether the innermost is an object; `None` if nothing is open.
    fn innermost(&self) -> Option<bool> {
        let last = self.count.checked_sub(1)?;
        Some(self.words.get(last / 64)? >> (last % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { bytes, at, path: Vec::new() }
    }

    /// Where the next value begins, to come back to with [`seek`](Self::seek).
    pub fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    pub fn seek(&mut self, position: usize) {
        self.at = position;
    }

    #[cold]
    pub fn broken(&self, detail: impl Into<String>) -> Error {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if place.is_empty() => place.push_str(key),
                Step::Key(key) => {
                    place.push('.');
                    place.push_str(key);
                }
                Step::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        let separator = if place.is_empty() { "" } else { ", " };
        Error::Malformed { place: format!("{place}{separator}byte {}", self.at), detail: detail.into() }
    }

    fn wrong_kind(&mut self, expected: &str) -> Error {
        match self.kind() {
            Ok(kind) => self.broken(format!("is {} instead of {expected}", kind.name())),
            Err(error) => error,
        }
    }

    /// Reads with a step more in the path.
    pub fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.path.push(step);
        let outcome = read(self);
        self.path.pop();
        outcome
    }

    fn skip_space(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn need(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{:?}", char::from(byte))))
    }

    #[cold]
    fn unexpected(&self, wanted: &str) -> Error {
        match self.bytes.get(self.at) {
            None => self.broken(format!("ends where {wanted} was expected")),
            Some(byte) => self.broken(format!("has {:?} where {wanted} was expected", char::from(*byte))),
        }
    }

    pub fn kind(&mut self) -> Result<Kind> {
        Ok(match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.unexpected("a value")),
        })
    }

    /// Passes over `null`, if it is next.
    pub fn null(&mut self) -> Result<bool> {
        let is_null = self.kind()? == Kind::Null;
        if is_null {
            self.word(b"null")?;
        }
        Ok(is_null)
    }

    pub fn bool(&mut self) -> Result<bool> {
        match self.kind()? {
            Kind::Bool if self.peek() == Some(b't') => self.word(b"true").map(|()| true),
            Kind::Bool => self.word(b"false").map(|()| false),
            _ => Err(self.wrong_kind("true or false")),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.broken("is no JSON value"))
    }

    /// Calls `member` for each key; it reads or skips the value.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        if self.kind()? != Kind::Object {
            return Err(self.wrong_kind("an object"));
        }
        self.at += 1;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key"));
            }
            let (raw, is_plain) = self.raw_string()?;
            self.need(b':')?;
            match std::str::from_utf8(raw) {
                Ok(key) if is_plain => member(self, key)?,
                _ => {
                    let (key, _) = unescaped(raw);
                    member(self, &key)?;
                }
            }
            if !self.take(b',') {
                return self.need(b'}');
            }
        }
    }

    /// Calls `item` for each item of a list; it reads or skips it. Lists of OTLP have no `null` in them.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.items(|reader| {
            if reader.kind()? == Kind::Null {
                return Err(reader.broken("null stands inside a list"));
            }
            item(reader)
        })
    }

    /// The same for any JSON.
    pub fn items(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.kind()? != Kind::Array {
            return Err(self.wrong_kind("a list"));
        }
        self.at += 1;
        if self.take(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.within(Step::Index(index), &mut item)?;
            index += 1;
            if !self.take(b',') {
                return self.need(b']');
            }
        }
    }

    /// Only space may follow.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    /// A string; what is no Unicode in it replaced, what is over the limit cut.
    pub fn string(&mut self, findings: &mut Findings<'_>) -> Result<Text<'a>> {
        if self.kind()? != Kind::String {
            return Err(self.wrong_kind("a string"));
        }
        let (raw, is_plain) = self.raw_string()?;
        if is_plain {
            return findings.text(raw);
        }
        let (text, is_whole) = unescaped(raw);
        if !is_whole {
            findings.note(Cause::NotUtf8);
        }
        findings.charge(text.len())?;
        Ok(findings.cut(Cow::Owned(text)))
    }

    /// A string of any length, and whether all of it was Unicode.
    pub fn whole_string(&mut self) -> Result<(Text<'a>, bool)> {
        if self.kind()? != Kind::String {
            return Err(self.wrong_kind("a string"));
        }
        match self.raw_string()? {
            (raw, true) => {
                let text = String::from_utf8_lossy(raw);
                let is_whole = matches!(text, Cow::Borrowed(_));
                Ok((text, is_whole))
            }
            (raw, false) => {
                let (text, is_whole) = unescaped(raw);
                Ok((Cow::Owned(text), is_whole))
            }
        }
    }

    /// The text of a number, or that inside a string.
    pub fn number_text(&mut self, expected: &str) -> Result<&'a [u8]> {
        match self.kind()? {
            Kind::Number => self.raw_number(),
            Kind::String => self.raw_string().map(|(raw, _)| raw),
            _ => Err(self.wrong_kind(expected)),
        }
    }

    fn raw_number(&mut self) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'_');
        let length = rest.iter().take_while(is_part).count();
        let text = rest.get(..length).unwrap_or_default();
        if !number::is_number(text) {
            return Err(self.broken("is no JSON number"));
        }
        self.at += length;
        Ok(text)
    }

    /// What stands between the quotes, and whether it has no escapes. Escapes are checked.
    fn raw_string(&mut self) -> Result<(&'a [u8], bool)> {
        let begin = self.at + 1;
        let mut at = begin;
        let mut is_plain = true;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            at += rest.iter().take_while(|byte| **byte >= b' ' && **byte != b'"' && **byte != b'\\').count();
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    let length = match self.bytes.get(at + 1) {
                        Some(b'u') if self.hex4(at + 2).is_some() => 6,
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        _ => {
                            self.at = at;
                            return Err(self.broken("a string has an invalid escape"));
                        }
                    };
                    at += length;
                }
                Some(_) => {
                    self.at = at;
                    return Err(self.broken("a string has a control character"));
                }
                None => {
                    self.at = at;
                    return Err(self.broken("ends inside a string"));
                }
            }
        }
        self.at = at + 1;
        Ok((self.bytes.get(begin..at).unwrap_or_default(), is_plain))
    }

    fn hex4(&self, at: usize) -> Option<u16> {
        hex4(self.bytes.get(at..)?)
    }

    /// Passes over any value, however deep, without recursion.
    pub fn skip(&mut self) -> Result<()> {
        let mut open = Open::default();
        loop {
            match self.kind()? {
                Kind::Object => {
                    self.at += 1;
                    open.push(true);
                    if self.take(b'}') {
                        open.pop();
                    } else {
                        self.skip_key()?;
                        continue;
                    }
                }
                Kind::Array => {
                    self.at += 1;
                    open.push(false);
                    if self.take(b']') {
                        open.pop();
                    } else {
                        continue;
                    }
                }
                Kind::String => drop(self.raw_string()?),
                Kind::Number => drop(self.raw_number()?),
                Kind::Bool => drop(self.bool()?),
                Kind::Null => self.word(b"null")?,
            }
            // After a value: close what ends here, and go on to the next value.
            loop {
                let Some(is_object) = open.innermost() else { return Ok(()) };
                if self.take(b',') {
                    if is_object {
                        self.skip_key()?;
                    }
                    break;
                }
                self.need(if is_object { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    fn skip_key(&mut self) -> Result<()> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key"));
        }
        self.raw_string()?;
        self.need(b':')
    }
}

fn hex4(digits: &[u8]) -> Option<u16> {
    let digits = digits.get(..4)?;
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}

/// The text that escapes stand for, and whether all of it was Unicode. Escapes have been checked.
fn unescaped(raw: &[u8]) -> (String, bool) {
    let mut out = String::new();
    let mut is_whole = true;
    let mut rest = raw;
    while !rest.is_empty() {
        let plain_length = rest.iter().take_while(|byte| **byte != b'\\').count();
        let (plain, escaped) = rest.split_at_checked(plain_length).unwrap_or((rest, &[]));
        let text = String::from_utf8_lossy(plain);
        is_whole &= matches!(text, Cow::Borrowed(_));
        out.push_str(&text);
        rest = match escaped {
            [b'\\', b'u', digits @ ..] => {
                let first = hex4(digits).unwrap_or(0xfffd);
                let after = digits.get(4..).unwrap_or_default();
                let second = after.strip_prefix(b"\\u").and_then(hex4);
                let mut units = char::decode_utf16([first].into_iter().chain(second));
                match units.next() {
                    Some(Ok(letter)) => {
                        out.push(letter);
                        if letter.len_utf16() == 2 { after.get(6..).unwrap_or_default() } else { after }
                    }
                    _ => {
                        out.push('\u{fffd}');
                        is_whole = false;
                        after
                    }
                }
            }
            [b'\\', letter, after @ ..] => {
                out.push(match letter {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(*other),
                });
                after
            }
            _ => &[],
        };
    }
    (out, is_whole)
}
