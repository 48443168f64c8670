//! Strings with escapes, as the text that they stand for.

/// Appends to `to` what the inside of a JSON string means. The scanner has passed over it, so its escapes are whole; a
/// surrogate that has no partner becomes U+FFFD.
pub fn unescape(inside: &[u8], to: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        to.extend_from_slice(&rest[..place]);
        rest = escape(&rest[place + 1..], to);
    }
    to.extend_from_slice(rest);
}

/// Appends the meaning of the escape after a backslash; what follows it.
fn escape<'a>(rest: &'a [u8], to: &mut Vec<u8>) -> &'a [u8] {
    let Some((letter, after)) = rest.split_first() else { return rest };
    let byte = match letter {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(after, to),
        other => *other,
    };
    to.push(byte);
    after
}

/// Appends the character of the four digits, and of the escape after them where both are a pair; what follows.
fn unicode<'a>(rest: &'a [u8], to: &mut Vec<u8>) -> &'a [u8] {
    let Some((first, after)) = unit(rest) else { return rest };
    let mut code = first;
    let mut end = after;
    if (0xd800..0xdc00).contains(&first)
        && let Some((second @ 0xdc00..0xe000, behind)) = after.strip_prefix(b"\\u").and_then(unit)
    {
        code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        end = behind;
    }
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    end
}

/// The number of four hexadecimal digits, and what follows them.
fn unit(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = rest.split_at_checked(4)?;
    let mut code = 0;
    for digit in digits {
        code = code << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((code, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(inside: &str) -> String {
        let mut to = b"before".to_vec();
        unescape(inside.as_bytes(), &mut to);
        String::from_utf8(to).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn escapes() {
        let table = [
            ("", ""),
            ("plain é", "plain é"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"a\u00e9b\u00E9", "aébé"),
            (r"user\u005fid", "user_id"),
            (r"\uD83D\uDE00!", "😀!"),
            (r"\u0000", "\0"),
            (r"\ud800", "\u{fffd}"),
            (r"\ud800x", "\u{fffd}x"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\udc00\udc00", "\u{fffd}\u{fffd}"),
            (r"\ud800\ud800\udc00", "\u{fffd}\u{10000}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83d\\u0041", "\u{fffd}\\u0041"),
            (r"\uffff", "\u{ffff}"),
        ];
        for (inside, expected) in table {
            assert_eq!(meaning(inside), expected, "{inside}");
        }
    }
}
