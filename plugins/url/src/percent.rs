//! Percent-encodings in the one form that each has here.

use std::borrow::Cow;

/// Decodes `%XX` of letters, digits and `- . _ ~`, and gives every other one upper-case digits, in one pass. A `%` without
/// two digits stays as it is, also where what is decoded behind it would complete it.
pub fn uniform(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut uniform = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        uniform.push_str(&rest[..at]);
        rest = &rest[at..];
        match encoded(rest) {
            Some(byte) => {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    uniform.push(char::from(byte));
                } else {
                    uniform.push_str(&encoding(byte));
                }
                rest = &rest[3..];
            }
            None => {
                uniform.push('%');
                rest = &rest[1..];
            }
        }
    }
    uniform.push_str(rest);
    Cow::Owned(uniform)
}

/// The byte whose encoding the text begins with.
fn encoded(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn encoding(byte: u8) -> String {
    format!("%{byte:02X}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_encoding_has_one_form() {
        assert_eq!(uniform("%61%5A%30%2d%2e%5f%7e"), "aZ0-._~");
        assert_eq!(uniform("%c3%Bc%20%2f%25"), "%C3%BC%20%2F%25");
        assert_eq!(uniform("%%%4%zz%é%"), "%%%4%zz%é%");
        assert_eq!(uniform("%2541"), "%2541");
        assert_eq!(uniform("%%34%31"), "%41");
    }

    proptest! {
        #[test]
        fn where_every_percent_sign_encodes_nothing_is_left_to_do(text in "(%[0-9a-fA-F]{2}|[0-9a-fA-F/ü]){0,40}") {
            let once = uniform(&text).into_owned();
            prop_assert_eq!(uniform(&once), once.as_str());
        }
    }
}
