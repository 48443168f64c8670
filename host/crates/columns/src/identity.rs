use thiserror::Error;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// XXH3, 64 bits, seed 0.
#[inline]
pub fn hash64(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The values of a group's columns, in one canonical byte string: equal tuples are equal bytes and the other way round. Each
/// value is its length plus one (a varint; 0 is null), then its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple(Vec<u8>);

#[derive(Debug, Error)]
#[error("damaged tuple: {0}")]
pub struct TupleError(&'static str);

impl Tuple {
    pub fn new<'a>(values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Tuple {
        let mut bytes = Vec::new();
        for value in values {
            let mut head = value.map_or(0, |value| value.len() as u64 + 1);
            while head >= 0x80 {
                bytes.push(head as u8 | 0x80);
                head >>= 7;
            }
            bytes.push(head as u8);
            bytes.extend_from_slice(value.unwrap_or_default());
        }
        Tuple(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The values of a tuple's bytes.
    pub fn values(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>, TupleError> {
        let (mut rest, mut values) = (bytes, Vec::new());
        while !rest.is_empty() {
            let (mut head, mut shift) = (0u64, 0);
            loop {
                let (&byte, tail) = rest.split_first().ok_or(TupleError("a length is cut off"))?;
                rest = tail;
                if shift > 56 {
                    return Err(TupleError("a length is too long"));
                }
                head |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if head == 0 {
                values.push(None);
            } else {
                let value = rest.get(..head as usize - 1).ok_or(TupleError("a value is cut off"))?;
                rest = &rest[head as usize - 1..];
                values.push(Some(value));
            }
        }
        Ok(values)
    }
}

/// The hash that decides the shard of a group: of its rollup and tuple, without its window, so that the windows of one tuple
/// stay together.
pub fn tuple_hash(rollup: &str, tuple: &[u8]) -> u64 {
    let mut bytes = Vec::with_capacity(rollup.len() + 1 + tuple.len());
    bytes.extend_from_slice(rollup.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(tuple);
    xxh3_64(&bytes)
}

/// `_id` of a document: XXH3 (128 bits, seed 0, lower-case hex in canonical order) of the JSON array `[rollup, window, start,
/// group values …]` without white space or needless escapes.
pub fn document_id<'a>(
    rollup: &str,
    window: &str,
    start: &str,
    group: impl IntoIterator<Item = Option<&'a [u8]>>,
) -> String {
    let mut json = Vec::with_capacity(128);
    json.push(b'[');
    push_json(&mut json, rollup.as_bytes());
    for text in [window, start] {
        json.push(b',');
        push_json(&mut json, text.as_bytes());
    }
    for value in group {
        json.push(b',');
        match value {
            Some(value) => push_json(&mut json, value),
            None => json.extend_from_slice(b"null"),
        }
    }
    json.push(b']');
    format!("{:032x}", xxh3_128(&json))
}

/// A JSON string with the escapes that RFC 8259 demands and no others.
fn push_json(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    for &byte in text {
        match byte {
            b'"' => json.extend_from_slice(b"\\\""),
            b'\\' => json.extend_from_slice(b"\\\\"),
            0x08 => json.extend_from_slice(b"\\b"),
            0x0c => json.extend_from_slice(b"\\f"),
            b'\n' => json.extend_from_slice(b"\\n"),
            b'\r' => json.extend_from_slice(b"\\r"),
            b'\t' => json.extend_from_slice(b"\\t"),
            0..0x20 => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_in_canonical_order() {
        assert_eq!(format!("{:032x}", xxh3_128(b"")), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn a_document_is_known_by_its_group() {
        let id = document_id("r", "1h", "2026-03-01T10:00:00Z", [Some(&b"a\"b"[..]), None]);
        let json = br#"["r","1h","2026-03-01T10:00:00Z","a\"b",null]"#;
        assert_eq!(id, format!("{:032x}", xxh3_128(json)));
    }

    #[test]
    fn tuples_come_back() {
        let long = vec![b'x'; 300];
        let values = [Some(&b"a"[..]), None, Some(&b""[..]), Some(&long[..])];
        let tuple = Tuple::new(values);
        assert_eq!(Tuple::values(tuple.bytes()).unwrap(), values);
        assert!(Tuple::values(&[5, 1]).is_err());
        assert!(Tuple::values(&[0xff; 12]).is_err());
    }
}
