//! Whether values are UTF-8, without looking at each: where all bytes together are, a value is if it cuts no character.

use std::str;

use clickmill_columns::Values;

/// What is known of the bytes that values lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Ascii,
    Utf8,
    /// Not UTF-8 as a whole, though parts may be.
    Bytes,
}

impl Encoding {
    pub fn of(bytes: &[u8]) -> Encoding {
        if bytes.is_ascii() {
            Encoding::Ascii
        } else if str::from_utf8(bytes).is_ok() {
            Encoding::Utf8
        } else {
            Encoding::Bytes
        }
    }

    /// Whether a value in such bytes is UTF-8; `next` is the byte behind it.
    pub fn is_text(self, value: &[u8], next: Option<&u8>) -> bool {
        let begins = |byte: Option<&u8>| byte.is_none_or(|byte| byte & 0xc0 != 0x80);
        match self {
            Encoding::Ascii => true,
            Encoding::Utf8 => begins(value.first()) && begins(next),
            Encoding::Bytes => str::from_utf8(value).is_ok(),
        }
    }
}

/// Values each of which is UTF-8. One that is not is an error where its row `counts`, and becomes empty elsewhere.
pub fn text(values: Values, counts: impl Fn(usize) -> bool) -> Result<Values, String> {
    let encoding = Encoding::of(values.bytes());
    if encoding == Encoding::Ascii {
        return Ok(values);
    }
    let mut start = 0;
    let mut spoilt = false;
    for (row, &end) in values.ends().iter().enumerate() {
        let end = end as usize;
        if !encoding.is_text(&values.bytes()[start..end], values.bytes().get(end)) {
            if counts(row) {
                return Err(format!("row {row} is not UTF-8"));
            }
            spoilt = true;
        }
        start = end;
    }
    if !spoilt {
        return Ok(values);
    }
    Ok(values.iter().map(|value| if str::from_utf8(value).is_ok() { value } else { &[] }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(all: &[&[u8]]) -> Values {
        all.iter().copied().collect()
    }

    #[test]
    fn a_cut_character_is_seen() {
        let cut = values(&["a".as_bytes(), &[0xc3], &[0xa4]]);
        assert_eq!(text(cut.clone(), |_| true), Err("row 1 is not UTF-8".into()));
        assert_eq!(text(cut, |_| false), Ok(values(&[b"a", b"", b""])));
    }

    #[test]
    fn whole_text_stays_as_it_is() {
        let whole = values(&["ä".as_bytes(), b"", "€x".as_bytes()]);
        assert_eq!(text(whole.clone(), |_| true), Ok(whole));
    }

    #[test]
    fn one_bad_row_does_not_make_others_bad() {
        let mixed = values(&["ä".as_bytes(), &[0xff], b"b"]);
        assert_eq!(text(mixed.clone(), |row| row != 1), Ok(values(&["ä".as_bytes(), b"", b"b"])));
        assert_eq!(text(mixed, |_| true), Err("row 1 is not UTF-8".into()));
    }
}
