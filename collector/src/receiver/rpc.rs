//! The few messages that answers consist of: `ExportTraceServiceResponse` and `google.rpc.Status`.

use super::status::Refusal;

const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// A number, unless it is the default.
fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        put_varint(out, value);
    }
}

/// Text, bytes or a message, unless it is the default.
pub fn put_bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(field << 3 | 2);
        put_varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn put_any(out: &mut Vec<u8>, type_url: &str, message: &[u8]) {
    let mut any = Vec::new();
    put_bytes(&mut any, 1, type_url.as_bytes());
    put_bytes(&mut any, 2, message);
    put_bytes(out, 3, &any);
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `google.rpc.Status` in protobuf.
pub fn status_protobuf(refusal: &Refusal) -> Vec<u8> {
    let mut status = Vec::new();
    put_number(&mut status, 1, refusal.code as u64);
    put_bytes(&mut status, 2, refusal.message.as_bytes());
    if let Some((field, description)) = &refusal.violation {
        let (mut violation, mut bad_request) = (Vec::new(), Vec::new());
        put_bytes(&mut violation, 1, field.as_bytes());
        put_bytes(&mut violation, 2, description.as_bytes());
        put_bytes(&mut bad_request, 1, &violation);
        put_any(&mut status, BAD_REQUEST, &bad_request);
    }
    if let Some(seconds) = refusal.retry_seconds {
        let (mut duration, mut retry_info) = (Vec::new(), Vec::new());
        put_number(&mut duration, 1, seconds);
        put_bytes(&mut retry_info, 1, &duration);
        put_any(&mut status, RETRY_INFO, &retry_info);
    }
    status
}

/// The same in protobuf's JSON mapping.
pub fn status_json(refusal: &Refusal) -> Vec<u8> {
    let mut details = Vec::new();
    if let Some((field, description)) = &refusal.violation {
        let (field, description) = (json_text(field), json_text(description));
        details.push(format!(
            r#"{{"@type":"{BAD_REQUEST}","fieldViolations":[{{"field":{field},"description":{description}}}]}}"#
        ));
    }
    if let Some(seconds) = refusal.retry_seconds {
        details.push(format!(r#"{{"@type":"{RETRY_INFO}","retryDelay":"{seconds}s"}}"#));
    }
    let mut status = format!(r#"{{"code":{},"message":{}"#, refusal.code as u32, json_text(&refusal.message));
    if !details.is_empty() {
        status.push_str(&format!(r#","details":[{}]"#, details.join(",")));
    }
    status.push('}');
    status.into_bytes()
}

/// `ExportTraceServiceResponse` in protobuf: nothing at all for full success.
pub fn response_protobuf(rejected_spans: u64, message: &str) -> Vec<u8> {
    let (mut partial, mut response) = (Vec::new(), Vec::new());
    put_number(&mut partial, 1, rejected_spans);
    put_bytes(&mut partial, 2, message.as_bytes());
    put_bytes(&mut response, 1, &partial);
    response
}

/// The same in OTLP/JSON.
pub fn response_json(rejected_spans: u64, message: &str) -> Vec<u8> {
    let mut members = Vec::new();
    if rejected_spans > 0 {
        members.push(format!(r#""rejectedSpans":"{rejected_spans}""#));
    }
    if !message.is_empty() {
        members.push(format!(r#""errorMessage":{}"#, json_text(message)));
    }
    if members.is_empty() {
        return b"{}".to_vec();
    }
    format!(r#"{{"partialSuccess":{{{}}}}}"#, members.join(",")).into_bytes()
}
