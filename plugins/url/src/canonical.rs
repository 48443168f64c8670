//! The canonical form of a URL: equal pages have equal URLs.
//!
//! WHATWG parsing does scheme, host, port and dots. Then credentials and the fragment go, percent-encodings
//! in path and query become uniform, and pieces of the query that track people rather than name a page go.
//! The canonical form of a canonical URL is itself, but where a stray `%` comes to stand before digits: decoding is one pass.

use std::borrow::Cow;

use memchr::memchr_iter;
use thiserror::Error;
use url::Url;

use crate::percent;
use crate::plain;
use crate::rules::{Rules, TrailingSlash};

/// The longest canonical URL, in bytes.
pub const MAX_LENGTH: usize = 8191;

/// Why a value has no canonical URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It is no URL, or a relative one.
    #[error("no absolute URL: {0}")]
    Unparsable(url::ParseError),
    /// Its scheme is another one.
    #[error("the scheme is `{0}`, not `http` or `https`")]
    Scheme(String),
    /// It is too long, even without its query.
    #[error("the canonical URL has {0} bytes without its query; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
}

impl Invalid {
    /// The byte of the value where it goes wrong, where that is known.
    pub fn at(&self) -> Option<u32> {
        match self {
            Self::Scheme(_) => Some(0),
            Self::Unparsable(_) | Self::TooLong(_) => None,
        }
    }
}

/// What a URL is put together of again: the origin without a default port, the path from its first slash on, what follows `?` and
/// what follows `#`.
pub struct Parts<'a> {
    pub origin: Cow<'a, str>,
    pub path: Cow<'a, str>,
    pub query: Option<Cow<'a, str>>,
    pub fragment: Option<&'a str>,
}

/// Appends the canonical URL of a value to `text`, or nothing.
pub fn append_canonical(value: &str, rules: &Rules, text: &mut Vec<u8>) -> Result<(), Invalid> {
    if let Some(parts) = plain::parts(value) {
        return append(&parts, rules, text);
    }
    let url = Url::parse(value).map_err(Invalid::Unparsable)?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme().chars().take(64).collect();
        return Err(Invalid::Scheme(scheme));
    }
    append(&parts(&url), rules, text)
}

fn parts(url: &Url) -> Parts<'_> {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    Parts {
        origin: match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}").into(),
            None => format!("{scheme}://{host}").into(),
        },
        path: path(url),
        query: url.query().map(percent::uniform),
        fragment: url.fragment(),
    }
}

/// The path, with `^` encoded as the standard has it since March 2025 and the crate (2.5.8) has not.
fn path(url: &Url) -> Cow<'_, str> {
    let path = percent::uniform(url.path());
    if path.contains('^') { path.replace('^', "%5E").into() } else { path }
}

/// Appends the URL by the rules; without its query if it would be too long.
fn append(parts: &Parts, rules: &Rules, text: &mut Vec<u8>) -> Result<(), Invalid> {
    let start = text.len();
    text.extend_from_slice(parts.origin.as_bytes());
    let path = match rules.trailing_slash {
        TrailingSlash::Keep => &*parts.path,
        TrailingSlash::Drop => parts.path.trim_end_matches('/'),
    };
    text.extend_from_slice(if path.is_empty() { b"/" } else { path.as_bytes() });
    let before_query = text.len();
    if let Some(query) = &parts.query {
        append_query(query.as_bytes(), rules, text);
    }
    let fragment = parts.fragment.filter(|_| rules.keep_fragment);
    let fragment_length = fragment.map_or(0, |fragment| 1 + fragment.len());
    if text.len() - start + fragment_length > MAX_LENGTH {
        text.truncate(before_query);
        let length = before_query - start + fragment_length;
        if length > MAX_LENGTH {
            text.truncate(start);
            return Err(Invalid::TooLong(length));
        }
    }
    if let Some(fragment) = fragment {
        text.push(b'#');
        text.extend_from_slice(fragment.as_bytes());
    }
    Ok(())
}

/// Appends the pieces of a query that stay.
fn append_query(query: &[u8], rules: &Rules, text: &mut Vec<u8>) {
    let (mut mark, mut start) = (b'?', 0);
    for end in memchr_iter(b'&', query).chain([query.len()]) {
        let piece = &query[start..end];
        start = end + 1;
        if !piece.is_empty() && rules.keeps(piece) {
            text.push(mark);
            text.extend_from_slice(piece);
            mark = b'&';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(value: &str, rules: &Rules) -> Result<String, Invalid> {
        let mut text = b"before".to_vec();
        let done = append_canonical(value, rules, &mut text);
        let text = String::from_utf8(text).unwrap();
        let url = text.strip_prefix("before").unwrap();
        assert!(done.is_ok() || url.is_empty());
        done.map(|()| url.to_owned())
    }

    fn by(params: &str, value: &str) -> String {
        match canonical(value, &Rules::read(params).unwrap()) {
            Ok(url) => url,
            Err(invalid) => invalid.to_string(),
        }
    }

    fn plain(value: &str) -> String {
        by("", value)
    }

    #[test]
    fn whatwg_parsing_comes_first() {
        assert_eq!(plain("HTTP://EXAMPLE.com:80/a/../b/./c"), "http://example.com/b/c");
        assert_eq!(plain(" https://example.com:8443\t "), "https://example.com:8443/");
        assert_eq!(plain("https://bücher.example/ü?ü"), "https://xn--bcher-kva.example/%C3%BC?%C3%BC");
        assert_eq!(plain("http:\\\\example.com\\a"), "http://example.com/a");
        assert_eq!(plain("http://0x7f.1/"), "http://127.0.0.1/");
        assert_eq!(plain("http://[::0001]:80/"), "http://[::1]/");
        assert_eq!(plain("https:example.com"), "https://example.com/");
    }

    #[test]
    fn credentials_and_fragment_go() {
        assert_eq!(plain("https://user:secret@example.com/a#top"), "https://example.com/a");
        assert_eq!(plain("https://user@example.com/?#"), "https://example.com/");
        assert_eq!(
            by(r#"{"keep_fragment": true}"#, "https://u@example.com/?#/a?b"),
            "https://example.com/#/a?b"
        );
    }

    #[test]
    fn percent_encodings_become_uniform() {
        assert_eq!(plain("http://e.x/%41%7e%2d%2E%5f%30?%61=%2f"), "http://e.x/A~-._0?a=%2F");
        assert_eq!(plain("http://e.x/%zz%4%?%"), "http://e.x/%zz%4%?%");
        assert_eq!(plain("http://e.x/a%2fb%c3%bc"), "http://e.x/a%2Fb%C3%BC");
        assert_eq!(plain("http://e.x/%252e"), "http://e.x/%252e");
        assert_eq!(plain("http://e.x/a/%2e%2E/b"), "http://e.x/b");
        assert_eq!(plain("http://e.x/a^b/%5e?^#^"), "http://e.x/a%5Eb/%5E?^");
    }

    #[test]
    fn decoding_is_one_pass() {
        assert_eq!(plain("http://e.x/%%32e"), "http://e.x/%2e");
        assert_eq!(plain("http://e.x/a/b/%%32e%%32E/c"), "http://e.x/a/b/%2e%2E/c");
        assert_eq!(plain("http://e.x/?%%37%35tm_source=a&b"), "http://e.x/?%75tm_source=a&b");
    }

    #[test]
    fn tracking_goes_and_the_rest_keeps_its_order() {
        assert_eq!(plain("http://e.x/?b=2&utm_source=x&a=1&&gclid=7&b=1&"), "http://e.x/?b=2&a=1&b=1");
        assert_eq!(plain("http://e.x/?UTM_Campaign=x&%67clid&_ga=2&FBCLID"), "http://e.x/");
        assert_eq!(plain("http://e.x/?utm_"), "http://e.x/");
        assert_eq!(
            plain("http://e.x/?utm=1&gclids=2&x=gclid&=gclid"),
            "http://e.x/?utm=1&gclids=2&x=gclid&=gclid"
        );
        assert_eq!(plain("http://e.x/?"), "http://e.x/");
        assert_eq!(plain("http://e.x/?&&"), "http://e.x/");
    }

    #[test]
    fn names_to_drop_and_to_keep_are_parameters() {
        let params = r#"{"drop": ["Session", "x-*"], "keep": ["gclid", "utm_content"]}"#;
        assert_eq!(
            by(params, "http://e.x/?session=1&X-a=2&GCLID=3&utm_content=4&utm_term=5&y=6"),
            "http://e.x/?GCLID=3&utm_content=4&y=6"
        );
        assert_eq!(by(r#"{"drop": ["*"], "keep": ["id"]}"#, "http://e.x/?a=1&id=2&b"), "http://e.x/?id=2");
        assert_eq!(by(r#"{"keep": ["*"]}"#, "http://e.x/?utm_source=1"), "http://e.x/?utm_source=1");
    }

    #[test]
    fn trailing_slashes_are_a_parameter() {
        let drop = r#"{"trailing_slash": "drop"}"#;
        for (value, kept, dropped) in [
            ("http://e.x", "http://e.x/", "http://e.x/"),
            ("http://e.x/a/?b=/", "http://e.x/a/?b=/", "http://e.x/a?b=/"),
            ("http://e.x/a//", "http://e.x/a//", "http://e.x/a"),
            ("http://e.x/a", "http://e.x/a", "http://e.x/a"),
        ] {
            assert_eq!(plain(value), kept);
            assert_eq!(by(r#"{"trailing_slash": "keep"}"#, value), kept);
            assert_eq!(by(drop, value), dropped);
        }
    }

    #[test]
    fn other_urls_are_refused() {
        assert_eq!(plain("/a/b"), "no absolute URL: relative URL without a base");
        assert_eq!(plain(""), "no absolute URL: relative URL without a base");
        assert_eq!(plain("http://"), "no absolute URL: empty host");
        assert_eq!(plain("http://a b/"), "no absolute URL: invalid international domain name");
        assert_eq!(plain("ftp://e.x/"), "the scheme is `ftp`, not `http` or `https`");
        assert_eq!(plain("javascript:alert(1)"), "the scheme is `javascript`, not `http` or `https`");
        assert_eq!(canonical("mailto:a@b", &Rules::default()).unwrap_err().at(), Some(0));
    }

    #[test]
    fn a_long_url_loses_its_query_and_a_longer_one_is_refused() {
        let host = "http://e.x/";
        let path = |length: usize| "a".repeat(length - host.len());
        let exact = format!("{host}{}?{}", path(4000), "b".repeat(MAX_LENGTH - 4001));
        assert_eq!(plain(&exact), exact);
        assert_eq!(plain(&format!("{exact}b")), format!("{host}{}", path(4000)));
        let longest = format!("{host}{}", path(MAX_LENGTH));
        assert_eq!(plain(&format!("{longest}?q")), longest);
        assert!(plain(&format!("{longest}a?q")).contains("has 8192 bytes without its query"));
        assert_eq!(
            plain(&format!("{host}?utm_x={}&a", path(9000))),
            "http://e.x/?a",
            "only what is left counts"
        );
        let fragment = format!("{host}?{}#f?g", "b".repeat(9000));
        assert_eq!(by(r#"{"keep_fragment": true}"#, &fragment), "http://e.x/#f?g");
    }

    /// Whether some `%` is not followed by two digits; tabs and line feeds do not count, since parsing drops them.
    fn has_stray_percent(value: &str) -> bool {
        let value: Vec<char> = value.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
        let digit = |at: usize| value.get(at).is_some_and(char::is_ascii_hexdigit);
        (0..value.len()).any(|at| value[at] == '%' && !(digit(at + 1) && digit(at + 2)))
    }

    fn soup() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            8 => prop::sample::select(vec![
                "/", "//", ".", "..", "%", "%2", "%2e", "%2E", "%32", "%35", "%45", "%65", "%41", "%2f", "%c3%bc", "2",
                "e", "E", "a", "Z", "~", "?", "&", "&&", "=", "#", "\\", ":", "@", "utm_a", "%75tm_b", "gclid", "ü", " ",
                "+", "\t", "|", "[", "'", "%00", "%7", "%25", "xn--", "1", "http://", ";", "🙂", "\u{202e}",
            ]).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ];
        let host = prop::sample::select(vec![
            "e.x",
            "E.X.",
            "u:p@e.x:81",
            "[::1]",
            "1.2.3",
            "bücher.example",
            "e%2ex",
            "",
            "xn--bcher-kva.de",
        ]);
        (host, prop::collection::vec(token, 0..24))
            .prop_map(|(host, tokens)| format!("http://{host}/{}", tokens.concat()))
    }

    fn params() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "",
            r#"{"keep_fragment": true}"#,
            r#"{"trailing_slash": "drop"}"#,
            r#"{"trailing_slash": "drop", "keep_fragment": true, "drop": ["a*", "%61"], "keep": ["utm_a"]}"#,
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_canonical_form_of_a_canonical_url_is_itself(value in soup(), params in params()) {
            let rules = Rules::read(params).unwrap();
            if let Ok(once) = canonical(&value, &rules) {
                let url = Url::parse(&once).unwrap();
                if !has_stray_percent(&value) {
                    prop_assert_eq!(canonical(&once, &rules), Ok(once.clone()));
                    prop_assert_eq!(url.as_str(), &once);
                }
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.query() != Some(""));
            }
        }

        #[test]
        fn any_text_is_a_url_or_refused(value in any::<String>()) {
            let _ = canonical(&value, &Rules::default());
            let _ = canonical(&format!("https://{value}"), &Rules::default());
        }
    }
}
