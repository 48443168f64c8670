//! The URLs of web-platform-tests: each that is an absolute `http` or `https` URL becomes what the contract makes of its
//! serialization there, each other one is refused.

#![allow(clippy::unwrap_used)]

use plugin_support::blobs::{Blobs, BlobsBuilder};
use plugin_url::bindings::clickmill::plugin::columns::{Column, Data, Reject, Values};
use plugin_url::{Guest, GuestInstance, Plugin};

const CASES: &str = include_str!("data/urltestdata/cases.json");

/// The urls and rejects that the plugin makes of a batch.
fn enrich(inputs: &[&str]) -> (Vec<String>, Vec<Reject>) {
    let mut builder = BlobsBuilder::default();
    for input in inputs {
        builder.bytes.extend_from_slice(input.as_bytes());
        builder.end().unwrap();
    }
    let (bytes, ends) = builder.finish();
    let column = Column { data: Data::Text(Values { bytes, ends }), valid: Vec::new() };
    let instance = <Plugin as Guest>::Instance::new(String::new());
    let enriched = instance.enrich(vec![column], vec!["url".into()]).unwrap();
    let [Column { data: Data::Text(urls), .. }] = &enriched.columns[..] else { panic!("one column of text") };
    let urls = Blobs::new(&urls.bytes, &urls.ends, inputs.len()).unwrap();
    let urls = urls.iter().map(|url| String::from_utf8(url.to_vec()).unwrap()).collect();
    (urls, enriched.rejects)
}

/// What the contract makes of a serialized URL, step by step: no credentials, no fragment, percent-encodings in one form, and
/// no empty pieces of the query. (Nothing here tracks anybody.)
fn canonical(href: &str) -> String {
    let (href, _) = href.split_once('#').unwrap_or((href, ""));
    let (scheme, rest) = href.split_once("://").unwrap();
    let (authority, rest) = rest.split_at(rest.find('/').unwrap());
    let host = authority.rsplit('@').next().unwrap();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let pieces: Vec<String> = query.split('&').map(uniform).filter(|piece| !piece.is_empty()).collect();
    let mark = if pieces.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}{}{mark}{}", uniform(path), pieces.join("&"))
}

fn uniform(text: &str) -> String {
    let mut uniform = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let digits = letters.as_str().get(..2).filter(|_| letter == '%');
        let byte = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(byte) = byte.map(|digits| u8::from_str_radix(digits, 16).unwrap()) else {
            uniform.push(letter);
            continue;
        };
        letters.nth(1);
        match char::from(byte) {
            plain @ ('a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~') => uniform.push(plain),
            _ => uniform += &format!("%{byte:02X}"),
        }
    }
    uniform
}

#[test]
fn the_suite() {
    let cases: Vec<(String, Option<String>)> = serde_json::from_str(CASES).unwrap();
    let inputs: Vec<&str> = cases.iter().map(|(input, _)| &**input).collect();
    let (urls, rejects) = enrich(&inputs);
    let mut rejects = rejects.iter().peekable();
    let (mut good, mut bad) = (0, 0);
    for (row, (input, href)) in cases.iter().enumerate() {
        let reject = rejects.next_if(|reject| reject.row as usize == row);
        match href.as_deref().filter(|href| href.starts_with("http:") || href.starts_with("https:")) {
            Some(href) => {
                assert!(reject.is_none(), "{input}: {reject:?}");
                assert_eq!(urls[row], canonical(href), "{input}");
                good += 1;
            }
            None => {
                assert_eq!(
                    reject.map(|reject| &*reject.reason),
                    Some("invalid-url"),
                    "{input}: {}",
                    urls[row]
                );
                bad += 1;
            }
        }
    }
    assert!(rejects.next().is_none());
    assert!(good > 200 && bad > 400, "{good} and {bad}");
}
