//! What is a record, and what is JSON; also in fields that nobody asks for.

use clickmill_tests::{Folder, ndjson, summary};

use crate::{Case, SETTINGS, dead, event, judge, nothing, plain};

const MARK: &str = "\u{feff}";

#[test]
fn lines() {
    let cases = [
        nothing(""),
        nothing("\r"),
        nothing("  \t \r"),
        nothing("\0\0\0"),
        nothing(MARK),
        nothing(format!("\0{MARK} \t")),
        event(plain(""), []),
        event(plain("") + "\r", []),
        event(format!(" \t{} \t\r", plain("")), []),
        event(format!("{MARK}{}", plain("")), []),
        event(format!("{MARK}  {}", plain("")), []),
        event(format!("\0\0{}", plain("")), []),
        event(format!("\0{MARK}{}", plain("")), []),
        dead("invalid-json", format!("{MARK}\0{}", plain(""))),
        dead("invalid-json", format!("{MARK}{MARK}{}", plain(""))),
        dead("invalid-json", format!(" {MARK}{}", plain(""))),
        dead("invalid-json", format!("{}\0", plain(""))),
        dead("invalid-json", "\u{c}"),
        dead("invalid-json", "\u{a0}"),
        dead("invalid-json", "\u{b}\r"),
        dead("invalid-utf8", b"\xff".as_slice()),
        dead("invalid-utf8", b"\xef\xbb".as_slice()),
        dead("invalid-json", "x"),
        event(plain(r#""x":"2\u2028 3""#), []),
    ];
    judge("lines", &cases);
}

#[test]
fn the_last_line_counts_without_its_line_feed() {
    for end in ["", "\r", " ", "\0", "\n\0\0", "\n\u{feff}"] {
        let folder = Folder::new("last");
        folder.write("clickmill.toml", SETTINGS);
        folder.write("lines", format!("{}\n{}{end}", plain(""), plain("")));
        let last = summary(&folder.ok(&["run", "--summary", "json"]));
        let dead = u64::from(end == "\0");
        assert_eq!((&last["records"], &last["dead_letters"]), (&2.into(), &dead.into()), "{end:?}");
    }
}

#[test]
fn json_and_nothing_else() {
    let mut cases: Vec<Case> = Vec::new();
    // Each in a field that is skipped.
    let values = [
        "0",
        "-0",
        "-0.0",
        "1.5e+300",
        "1E-400",
        "123456789012345678901234567890",
        "1e99999999999",
        "[]",
        "{}",
        "null",
        "true",
        "false",
        "\"\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "[ [ ] , { } ]",
        "\"\u{7f}\"",
        "{\"\":1}",
        "{\"a\":1,\"a\":2}",
        "\"\u{ffff}\"",
        "\"\u{10ffff}\"",
        "[1,\"x\",null,{\"y\":[]}]",
    ];
    cases.extend(values.map(|value| event(plain(&format!("\"x\":{value}")), [])));
    let broken = [
        "01",
        "-01",
        "+1",
        "1.",
        ".5",
        "-",
        "1e",
        "1e+",
        "0x1",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "True",
        "nulll",
        "'x'",
        "x",
        "",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\\ud83d\\u\"",
        "\"\t\"",
        "\"\u{1}\"",
        "\"\0\"",
        "\"\u{1f}\"",
        "\"",
        "1 // no",
        "1 /* no */",
        "1,",
        "1,,",
        "1:2",
        "\u{a0}1",
        "1\u{c}",
    ];
    cases.extend(broken.map(|value| dead("invalid-json", plain(&format!("\"x\":{value}")))));
    let utf8: [&[u8]; 8] = [
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    for bytes in utf8 {
        let mut line = plain("\"x\":\"").into_bytes();
        line.truncate(line.len() - 1);
        line.extend_from_slice(bytes);
        line.extend_from_slice(b"\"}");
        cases.push(dead("invalid-utf8", line));
    }
    // The reasons in their order: bytes before grammar.
    cases.push(dead("invalid-utf8", b"{\xff".as_slice()));
    cases.push(dead("invalid-utf8", b"[]\xff".as_slice()));
    for line in ["[]", "1", "\"x\"", "null", "true", "[{\"user_id\":1}]"] {
        cases.push(dead("not-an-object", line));
    }
    for line in ["{}{}", "{} x", "{", "}", "[", "{}]", "{\"a\":1", ",", ":", "{]", "\"x", "nul"] {
        cases.push(dead("invalid-json", line));
    }
    cases.push(dead("missing-field", "{}"));
    judge("json", &cases);
}

#[test]
fn depth() {
    let nested = |depth: usize, open: &str, close: &str| {
        plain(&format!("\"x\":{}0{}", open.repeat(depth), close.repeat(depth)))
    };
    let cases = [
        event(nested(511, "[", "]"), []),
        dead("invalid-json", nested(512, "[", "]")),
        event(nested(511, "{\"a\":", "}"), []),
        dead("invalid-json", nested(512, "{\"a\":", "}")),
        dead("invalid-json", nested(100_000, "[", "]")),
        dead("invalid-json", nested(100_000, "{\"a\":", "}")),
        dead("not-an-object", "[".repeat(512) + &"]".repeat(512)),
        dead("invalid-json", "[".repeat(513) + &"]".repeat(513)),
        dead("invalid-json", "[".repeat(500_000)),
    ];
    judge("depth", &cases);
}

#[test]
fn one_mebibyte() {
    const MOST: usize = 1 << 20;
    let sized = |bytes: usize| plain(&format!("\"x\":\"{}\"", "y".repeat(bytes - plain("\"x\":\"\"").len())));
    let mut invalid = sized(MOST + 1).into_bytes();
    invalid[MOST - 100] = 0xff;
    let cases = [
        event(sized(MOST), []),
        dead("too-large", sized(MOST + 1)),
        event(sized(MOST) + "\r", []),
        dead("too-large", sized(MOST + 1) + "\r"),
        event("\0".repeat(100) + &sized(MOST), []),
        event("\0".repeat(3 << 20) + &plain(""), []),
        dead("too-large", format!("\u{feff}{}", sized(MOST))),
        event(format!("\u{feff}{}", sized(MOST - 3)), []),
        dead("too-large", format!(" {}", sized(MOST))),
        dead("too-large", "x".repeat(MOST + 1)),
        nothing(" ".repeat(3 * MOST)),
        dead("too-large", sized(3 * MOST)),
        dead("too-large", invalid),
        event(plain(""), []),
    ];
    judge("large", &cases);
}

#[test]
fn dead_letters_say_where_and_why() {
    let folder = Folder::new("letters");
    folder.write("clickmill.toml", SETTINGS);
    folder.write("lines", "{\"user_id\":1,]\n\n[]\n{\"user_id\":1,\"timestamp\":0,\"url\":\"ftp://a/\"}\n");
    folder.ok(&["run"]);
    let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]));
    assert_eq!(letters.len(), 3);
    let source = letters[0]["source"].as_str().unwrap();
    assert!(source.ends_with("lines"), "{source}");
    let shown: Vec<_> =
        letters.iter().map(|letter| (&letter["offset"], &letter["at"], &letter["plugin"])).collect();
    assert_eq!(
        shown,
        [
            (&0.into(), &13.into(), &"json".into()),
            (&1.into(), &0.into(), &"json".into()),
            (&2.into(), &34.into(), &"url".into()),
        ]
    );
    for letter in &letters {
        let digest = letter["digest"].as_str().unwrap();
        assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
    assert_eq!(letters[0]["length"], 14);
    assert_eq!(letters[0]["value"], "{\"user_id\":1,]");
    let count = folder.ok(&["dead-letters", "--count", "--format", "csv"]);
    assert_eq!(count, "reason,count\ninvalid-json,1\ninvalid-url,1\nnot-an-object,1\n");
    let one = ndjson(&folder.ok(&["dead-letters", "--reason", "not-an-object", "--format", "ndjson"]));
    assert_eq!(one.len(), 1);
}
