//! URLs that are written as WHATWG parsing would write them, as most are: told by their bytes alone, so that the parser need not
//! take them apart. Whatever is in doubt is not plain; a test sets both ways beside each other.

use memchr::{memchr, memchr_iter};

use crate::canonical::Parts;

/// Whether a byte may stand for itself in a query, and all the more so in a path or a host.
const PLAIN: [bool; 256] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&()*+,;=:@/?";
    let mut plain = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        plain[bytes[at] as usize] = true;
        at += 1;
    }
    plain
};

/// The parts of a plain URL: a lower-case scheme and host, no port, a path without `%` and without a segment that begins with a dot,
/// perhaps a query without `%`.
pub fn parts(value: &str) -> Option<Parts<'_>> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"))?;
    if !is_plain(rest.as_bytes()) {
        return None;
    }
    let (origin, rest) = value.split_at(value.len() - rest.len() + host(rest.as_bytes())?);
    let (path, query) = match memchr(b'?', rest.as_bytes()) {
        Some(mark) => (&rest[..mark], Some(&rest[mark + 1..])),
        None => (rest, None),
    };
    if !path.starts_with('/')
        || memchr_iter(b'.', path.as_bytes()).any(|dot| path.as_bytes()[dot - 1] == b'/')
    {
        return None;
    }
    Some(Parts { origin: origin.into(), path: path.into(), query: query.map(Into::into), fragment: None })
}

/// Looks at many bytes before it decides, for each decision in a loop costs a component more than a look.
fn is_plain(text: &[u8]) -> bool {
    let all = |bytes: &[u8]| bytes.iter().fold(true, |plain, &byte| plain & PLAIN[usize::from(byte)]);
    let (chunks, rest) = text.as_chunks::<16>();
    chunks.iter().all(|chunk| all(chunk)) && all(rest)
}

/// The length of the host that the text begins with, if it is a name: labels of lower-case letters, digits and single hyphens, of
/// which none is empty; the last begins with a letter, for else it might be an address.
fn host(text: &[u8]) -> Option<usize> {
    let (mut before, mut label) = (b'.', 0);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'.' if before != b'.' => label = at + 1,
            b'-' if before != b'-' => {}
            _ => return text[label..at].first().is_some_and(u8::is_ascii_lowercase).then_some(at),
        }
        before = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn usual_urls_are_plain_and_doubtful_ones_are_not() {
        for usual in
            ["http://e.x/", "https://www.a-1.example.com/a/b-c.html?q=1&&r=/?", "https://x/A//~:@!$&()*+,;="]
        {
            assert!(parts(usual).is_some(), "{usual}");
        }
        for doubtful in [
            "http://e.x",
            "http://e.x?a",
            "http://e.x:81/",
            "http://u@e.x/",
            "http://E.x/",
            "HTTP://e.x/",
            "ftp://e.x/",
            "http:///",
            "http://1.2.3.4/",
            "http://a.0x1/",
            "http://[::1]/",
            "http://xn--a/",
            "http://e..x/",
            "http://e.x./",
            "http://.e/",
            "http://e.x/./",
            "http://e.x/a/..",
            "http://e.x/.a",
            "http://e.x/%41",
            "http://e.x/?%41",
            "http://e.x/#",
            "http://e.x/?#",
            "http://e.x/'",
            "http://e.x/?'",
            "http://e.x/ ",
            "http://e.x/a\\b",
            "http://e.x/ü",
            "http://e.x/\t",
            " http://e.x/",
            "",
        ] {
            assert!(parts(doubtful).is_none(), "{doubtful}");
        }
    }

    fn nearly_plain() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            4 => prop::sample::select((0x20u8..0x7f).map(char::from).collect::<Vec<_>>()).prop_map(String::from),
            2 => prop::sample::select(vec!["/", "//", ".", "..", "?", "-", "--", "xn--", "0x1", "a", "1", "\\", "/.", "/.."])
                .prop_map(str::to_owned),
        ];
        let scheme = prop::sample::select(vec!["http://", "https://", "http:/", "https:"]);
        let host = prop_oneof!["[a-z0-9.-]{1,12}", "[a-z]{1,3}\\.[a-z0-9-]{1,5}", Just("e.x".to_owned())];
        (scheme, host, prop::sample::select(vec!["", "/", "?"]), prop::collection::vec(token, 0..12))
            .prop_map(|(scheme, host, mark, tokens)| format!("{scheme}{host}{mark}{}", tokens.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50_000))]

        #[test]
        fn a_plain_url_is_what_the_parser_would_write(value in nearly_plain()) {
            if let Some(parts) = parts(&value) {
                let url = Url::parse(&value).unwrap();
                prop_assert_eq!(url.as_str(), &value);
                let host = url.host_str().unwrap();
                prop_assert_eq!(&*parts.origin, format!("{}://{host}", url.scheme()));
                prop_assert_eq!(&*parts.path, url.path());
                prop_assert_eq!(parts.query.as_deref(), url.query());
            }
        }
    }
}
