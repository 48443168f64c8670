//! JSONTestSuite: each of its cases as a payload, and as the value of a member that nobody asks for. A `y_` case is JSON and an
//! `n_` case is none; the contract decides the `i_` cases: any number, any escape, 512 levels, and UTF-8 alone.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Answer, answer};

const CASES: &str = include_str!("data/json-test-suite/cases.json");

const EVENT: &str = r#""user_id":"u","timestamp":0,"url":"http://a/""#;

/// A case within an event that is good but for it, at its beginning and at its end.
fn wrapped(case: &[u8]) -> [Vec<u8>; 2] {
    let event = EVENT.as_bytes();
    [[b"{\"x\":", case, b",", event, b"}"].concat(), [b"{", event, b",\"x\":", case, b"}"].concat()]
}

/// A case must be refused for this reason wherever it stands.
fn refused(name: &str, case: &[u8], reason: &str) {
    let [first, last] = wrapped(case);
    for payload in [case, &first, &last] {
        let Answer::Reject { reason: found, at, .. } = answer("", payload) else {
            panic!("{name} was accepted: {}", String::from_utf8_lossy(payload));
        };
        assert_eq!(found, reason, "{name}: {}", String::from_utf8_lossy(payload));
        assert!(at.is_none_or(|at| at as usize <= payload.len()), "{name}: byte {at:?}");
    }
}

fn accepted(name: &str, case: &[u8]) {
    for payload in wrapped(case) {
        let found = answer("", &payload);
        assert_eq!(found.reason(), "event", "{name}: {found:?}");
    }
}

#[test]
fn the_suite() {
    let cases: Vec<(String, String)> = serde_json::from_str(CASES).unwrap();
    let mut count = [0; 3];
    for (name, case) in &cases {
        let case = case.as_bytes();
        match name.split_once('_').unwrap().0 {
            "y" => {
                count[0] += 1;
                accepted(name, case);
                // As a payload it is JSON, whatever else it lacks.
                let reason = answer("", case).reason().to_owned();
                assert!(["not-an-object", "missing-field"].contains(&&*reason), "{name}: {reason}");
            }
            "n" => {
                count[1] += 1;
                refused(name, case, "invalid-json");
            }
            // A byte order mark is passed over in front of a payload only.
            _ if name == "i_structure_UTF-8_BOM_empty_object" => {
                assert_eq!(answer("", case).reason(), "missing-field");
                wrapped(case)
                    .iter()
                    .for_each(|payload| assert_eq!(answer("", payload).reason(), "invalid-json"));
            }
            _ => {
                count[2] += 1;
                accepted(name, case);
            }
        }
    }
    assert!(count[0] > 90 && count[1] > 160 && count[2] > 15, "{count:?}");
}

#[test]
fn brackets_many_times_over() {
    refused("opening arrays", "[".repeat(100_000).as_bytes(), "invalid-json");
    refused("opening arrays and objects", "[{\"\":".repeat(50_000).as_bytes(), "invalid-json");
    let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat().into_bytes();
    accepted("500 arrays", &nested(500));
    // The event is the first level.
    accepted("511 arrays", &nested(511));
    wrapped(&nested(512)).iter().for_each(|payload| assert_eq!(answer("", payload).reason(), "invalid-json"));
}

#[test]
fn bytes_that_are_no_text() {
    let bad: [(&str, &[u8]); 16] = [
        ("a continuation byte alone", b"\x81"),
        ("a byte that never occurs", b"\xff"),
        ("Latin-1", b"\xe9"),
        ("a slash in two bytes", b"\xc0\xaf"),
        ("NUL in two bytes", b"\xc0\x80"),
        ("three bytes for two", b"\xe0\x80\xaf"),
        ("four bytes for three", b"\xf0\x80\x80\xaf"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
        ("the first surrogate", b"\xed\xa0\x80"),
        ("the last surrogate", b"\xed\xbf\xbf"),
        ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("two bytes of three", b"\xe6\x97"),
        ("two bytes of three, then a good character", b"\xe6\x97\xc3\xa9"),
        ("UTF-16", b"\x00\"\x00\xe9\x00\""),
    ];
    for (name, bytes) in bad {
        refused(name, &[b"[\"", bytes, b"\"]"].concat(), "invalid-utf8");
        refused(name, &[b"{\"", bytes, b"\":0}"].concat(), "invalid-utf8");
        // Also where anything would be wrong: in numbers, in escapes, between values.
        for around in [["[1", "]"], ["[1e", "1]"], ["[\"\\", "\"]"], ["[\"\\u", "\"]"], ["[", "]"], ["", ""]]
        {
            refused(name, &[around[0].as_bytes(), bytes, around[1].as_bytes()].concat(), "invalid-utf8");
        }
    }
    refused("a part of a byte order mark", b"\xef\xbb{}", "invalid-utf8");
    refused("UTF-16 with its mark", b"\xff\xfe[\0\"\0\xe9\0\"\0]\0", "invalid-utf8");
}
