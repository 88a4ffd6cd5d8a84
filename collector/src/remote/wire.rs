//! The messages of `jaeger.api_v2` in protobuf and in its JSON mapping, as far as they are used.
//!
//! An answer carries the default twice: in `operationSampling`, and in `probabilisticSampling` for SDKs that pass an empty
//! list of operations over, as Java's and JavaScript's do, or know no operations. Bounds are always 0: a trace that a lower
//! bound let through has no probability.

use serde_json::{Map, Value};

use super::strategy::Strategy;
use crate::receiver::rpc::{put_bytes, put_varint};
use crate::{Error, Result};

const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const MAX_FIELD: u64 = (1 << 29) - 1;

/// `SamplingStrategyResponse`. The type is 0 and so absent, which means probabilistic.
pub fn response_protobuf(strategy: &Strategy) -> Vec<u8> {
    let mut operations = Vec::new();
    put_double(&mut operations, 1, strategy.default_probability());
    for (operation, probability) in strategy.operations() {
        let mut own = Vec::new();
        put_bytes(&mut own, 1, operation.as_bytes());
        put_message(&mut own, 2, &probabilistic(*probability));
        put_message(&mut operations, 3, &own);
    }
    let mut response = Vec::new();
    put_message(&mut response, 2, &probabilistic(strategy.default_probability()));
    put_message(&mut response, 4, &operations);
    response
}

fn probabilistic(probability: f64) -> Vec<u8> {
    let mut message = Vec::new();
    put_double(&mut message, 1, probability);
    message
}

fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    if value != 0.0 {
        out.push(field << 3 | FIXED64);
        out.extend(value.to_le_bytes());
    }
}

/// A message, which says something by being there even when it is empty.
fn put_message(out: &mut Vec<u8>, field: u8, message: &[u8]) {
    out.push(field << 3 | LENGTH);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

/// The same in JSON.
pub fn response_json(strategy: &Strategy) -> Vec<u8> {
    let default = strategy.default_probability();
    let operations: Vec<String> = strategy
        .operations()
        .iter()
        .map(|(operation, probability)| {
            let operation = serde_json::Value::from(&**operation);
            format!(r#"{{"operation":{operation},"probabilisticSampling":{{"samplingRate":{probability}}}}}"#)
        })
        .collect();
    format!(
        r#"{{"strategyType":"PROBABILISTIC","probabilisticSampling":{{"samplingRate":{default}}},"operationSampling":{{"defaultSamplingProbability":{default},"defaultLowerBoundTracesPerSecond":0,"defaultUpperBoundTracesPerSecond":0,"perOperationStrategies":[{}]}}}}"#,
        operations.join(",")
    )
    .into_bytes()
}

/// The service of `SamplingStrategyParameters`; what later versions add is passed over.
pub fn parameters_json(body: &[u8]) -> Result<String> {
    let parameters: Map<String, Value> = serde_json::from_slice(body).map_err(|error| Error::Malformed {
        place: format!("line {} column {}", error.line(), error.column()),
        detail: error.to_string(),
    })?;
    match parameters.get("serviceName").or_else(|| parameters.get("service_name")) {
        Some(Value::String(service)) => Ok(service.clone()),
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(Error::Malformed { place: "serviceName".to_owned(), detail: "not a text".to_owned() }),
    }
}

/// The same in protobuf.
pub fn parameters_protobuf(message: &[u8]) -> Result<String> {
    let mut rest = message;
    let mut service = "";
    while !rest.is_empty() {
        let offset = message.len().saturating_sub(rest.len());
        let broken = |detail: &str| Error::Malformed { place: format!("byte {offset}"), detail: detail.to_owned() };
        let field = take_field(&mut rest).ok_or_else(|| broken("no field, or one that does not end"))?;
        if let (1, value) = field {
            let value = value.ok_or_else(|| broken("the service's name is no text"))?;
            service = std::str::from_utf8(value).map_err(|_| broken("the service's name is no UTF-8"))?;
        }
    }
    Ok(service.to_owned())
}

/// A field's number, and its bytes if it has a length; `None` if it does not end, or is of no type that is in use.
fn take_field<'m>(rest: &mut &'m [u8]) -> Option<(u64, Option<&'m [u8]>)> {
    let key = take_varint(rest)?;
    let number = Some(key >> 3).filter(|number| (1..=MAX_FIELD).contains(number))?;
    let value = match key & 7 {
        0 => take_varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            Some(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return None,
    };
    Some((number, value))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest, 1)? else { return None };
        // Of the tenth byte one bit is left.
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
    use prost::Message;

    use super::super::tests::messages::{SamplingStrategyParameters, SamplingStrategyResponse};
    use super::*;

    fn thinned() -> Strategy {
        Strategy::new(0.2, [("GET /cart".into(), 0.05), ("say \"ü\"".into(), 0.0)])
    }

    #[test]
    fn json_is_that_of_the_protocol() {
        let expected = r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.2},"operationSampling":{"defaultSamplingProbability":0.2,"defaultLowerBoundTracesPerSecond":0,"defaultUpperBoundTracesPerSecond":0,"perOperationStrategies":[{"operation":"GET /cart","probabilisticSampling":{"samplingRate":0.05}},{"operation":"say \"ü\"","probabilisticSampling":{"samplingRate":0}}]}}"#;
        assert_eq!(String::from_utf8(response_json(&thinned())).unwrap(), expected);
        let all: serde_json::Value = serde_json::from_slice(&response_json(&Strategy::keep_all())).unwrap();
        assert_eq!(all["probabilisticSampling"]["samplingRate"], 1);
        assert_eq!(all["operationSampling"]["perOperationStrategies"], serde_json::json!([]));
        let small: serde_json::Value = serde_json::from_slice(&response_json(&Strategy::new(1e-9, []))).unwrap();
        assert_eq!(small["probabilisticSampling"]["samplingRate"], 1e-9);
    }

    #[test]
    fn protobuf_is_read_by_others() {
        for strategy in [thinned(), Strategy::keep_all(), Strategy::new(0.0, [("a".into(), 1.0)])] {
            let read = SamplingStrategyResponse::decode(&response_protobuf(&strategy)[..]).unwrap();
            assert_eq!(read, SamplingStrategyResponse::of(&strategy));
            // And nothing is there that they would not write.
            assert_eq!(read.encode_to_vec(), response_protobuf(&strategy));
        }
    }

    #[test]
    fn parameters_of_others_are_read() {
        for name in ["cart", "", "grüße"] {
            let parameters = SamplingStrategyParameters { service_name: name.to_owned() };
            assert_eq!(parameters_protobuf(&parameters.encode_to_vec()).unwrap(), name);
        }
        // Unknown fields of every type, and the last of several.
        let with_others = b"\x10\x96\x01\x19abcdefgh\x22\x03xyz\x0a\x01x\x2dabcd\x0a\x04cart";
        assert_eq!(parameters_protobuf(with_others).unwrap(), "cart");
        for json in [r#"{"serviceName":"cart"}"#, r#"{"service_name":"cart","later":[1]}"#] {
            assert_eq!(parameters_json(json.as_bytes()).unwrap(), "cart");
        }
        for json in ["{}", r#"{"serviceName":null}"#] {
            assert_eq!(parameters_json(json.as_bytes()).unwrap(), "");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_as_prost_reads_it_or_refused(message in prop::collection::vec(0u8..40, 0..24)) {
            let ours = parameters_protobuf(&message);
            let theirs = SamplingStrategyParameters::decode(&message[..]);
            // Groups, which nobody sends any more, are the one thing that prost passes over.
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs.service_name),
                (Ok(ours), Err(theirs)) => prop_assert!(false, "{ours:?} instead of {theirs}"),
                (Err(_), _) => {}
            }
        }

        #[test]
        fn any_name_comes_through(service in ".*") {
            let message = SamplingStrategyParameters { service_name: service.clone() }.encode_to_vec();
            prop_assert_eq!(parameters_protobuf(&message).unwrap(), service.clone());
            let json = serde_json::json!({"serviceName": service}).to_string();
            prop_assert_eq!(parameters_json(json.as_bytes()).unwrap(), service);
        }
    }

    #[test]
    fn broken_parameters_are_refused() {
        let whole = SamplingStrategyParameters { service_name: "cart".to_owned() }.encode_to_vec();
        for end in 1..whole.len() {
            assert!(matches!(parameters_protobuf(&whole[..end]), Err(Error::Malformed { .. })), "{end}");
        }
        let odd: [&[u8]; 5] =
            [b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0b", b"\x09abc", &[0x80; 20]];
        for message in odd {
            assert!(matches!(parameters_protobuf(message), Err(Error::Malformed { .. })), "{message:?}");
        }
        for json in ["", "[]", "{", r#"{"serviceName":7}"#] {
            assert!(matches!(parameters_json(json.as_bytes()), Err(Error::Malformed { .. })), "{json}");
        }
    }
}
