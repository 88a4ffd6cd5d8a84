//! Any bytes are answered, and what is taken is JSON.
#![no_main]

use fuzz::{decode, rows};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, IgnoredAny};
use storage::ContentType;

fuzz_target!(|bytes: &[u8]| {
    let Ok(ours) = decode(ContentType::OtlpJson, bytes) else { return };
    rows::of(&ours);
    // Passes over values without a limit of nesting and without a look at the text's encoding.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let whole = IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end());
    // An empty body is an empty request.
    assert!(whole.is_ok() || text.iter().all(u8::is_ascii_whitespace), "ours alone takes it: {whole:?}");
});
