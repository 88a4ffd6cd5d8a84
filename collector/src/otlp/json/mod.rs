use crate::otlp::assemble::Assembler;
use crate::{Error, Result};
pub fn decode(_request: &[u8], _assembler: &mut Assembler<'_>) -> Result<()> {
    Err(Error::Internal("OTLP/JSON is not read yet".to_owned()))
}
