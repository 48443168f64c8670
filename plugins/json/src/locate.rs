//! Where a byte of a payload stands, in the names that lead to it: for messages, not for decisions.

/// So many bytes of a path are shown.
const LONGEST: usize = 200;

/// The names and numbers that lead to byte `at`, such as `items[3].name`; empty at the top. What precedes that byte should be
/// JSON; of what is not, it makes the best.
pub fn path(payload: &[u8], at: usize) -> String {
    let mut open: Vec<Open> = Vec::new();
    let payload = payload.get(..at).unwrap_or(payload);
    let mut place = 0;
    while let Some(byte) = payload.get(place) {
        let start = place;
        place += 1;
        match byte {
            b'"' => {
                place = string_end(payload, place);
                if let Some(Open::Object { name, complete: complete @ false }) = open.last_mut() {
                    *name = &payload[start + 1..place];
                    *complete = place < payload.len();
                    place += usize::from(*complete);
                } else {
                    place += 1;
                }
            }
            b'{' => open.push(Open::Object { name: &[], complete: false }),
            b'[' => open.push(Open::Array { index: 0 }),
            b'}' | b']' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Open::Object { name, complete }) => (*name, *complete) = (&[], false),
                Some(Open::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    write(&open)
}

/// A container that was entered and not left.
enum Open<'a> {
    Object { name: &'a [u8], complete: bool },
    Array { index: usize },
}

/// The place of the quote that closes a string, or of the end.
fn string_end(payload: &[u8], mut place: usize) -> usize {
    loop {
        match payload.get(place) {
            None => return payload.len(),
            Some(b'"') => return place,
            Some(b'\\') => place += 2,
            Some(_) => place += 1,
        }
    }
}

fn write(open: &[Open<'_>]) -> String {
    let mut text = String::new();
    for container in open {
        match container {
            Open::Array { index } => text.push_str(&format!("[{index}]")),
            Open::Object { complete: false, .. } => break,
            Open::Object { name, .. } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&String::from_utf8_lossy(name));
            }
        }
        if text.len() > LONGEST {
            return shortened(&text, LONGEST);
        }
    }
    text
}

/// At most so many bytes of a text, and a mark where some are missing.
pub fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_to_a_place() {
        let payload = br#"{"a": {"b": [1, {"c\"d": x}], "e": y}, "f": "g", z}"#;
        let at = |needle: u8| payload.iter().position(|byte| *byte == needle).unwrap();
        assert_eq!(path(payload, at(b'x')), r#"a.b[1].c\"d"#);
        assert_eq!(path(payload, at(b'y')), "a.e");
        assert_eq!(path(payload, at(b'g')), "f");
        assert_eq!(path(payload, at(b'z')), "");
        assert_eq!(path(payload, 0), "");
        assert_eq!(path(payload, 10_000), "");
    }

    #[test]
    fn anything_has_a_path_of_bounded_length() {
        let deep = "[".repeat(100_000);
        assert!(path(deep.as_bytes(), deep.len()).len() < LONGEST + 10);
        let name = format!("{{\"{}\": ", "é".repeat(1_000));
        assert!(path(name.as_bytes(), name.len()).len() < LONGEST + 10);
        for text in [&b"\"\\"[..], b"}}}]", b",,,", b"{\"a\\", b"\xff{\"\xfe\":"] {
            for at in 0..text.len() + 2 {
                path(text, at);
            }
        }
    }
}
