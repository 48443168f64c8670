//! Section 1 of the contract, rule by rule.

mod common;

use common::{Answer, answer, call, column, column_and_unusable, event, instance, outputs};
use plugin_json::bindings::clickmill::plugin::columns::{Failure, Kind, Values};
use plugin_json::bindings::exports::clickmill::plugin::parser::{Guest, GuestInstance};
use plugin_json::{Component, Instance};

fn refused(payload: impl AsRef<[u8]>) -> (String, Option<u32>, String) {
    match answer("", payload) {
        Answer::Reject { reason, at, message } => (reason, at, message),
        Answer::Event(columns) => ("event".to_owned(), None, format!("{columns:?}")),
    }
}

#[test]
fn the_outputs_are_the_contracts() {
    let info = Component::describe(String::new()).unwrap();
    let outputs: Vec<String> =
        info.outputs.iter().map(|field| format!("{} {}", field.family, field.name)).collect();
    assert_eq!(
        outputs,
        [
            "click_data user_id",
            "click_data timestamp",
            "click_data url",
            "click_data event_id",
            "click_data event_type",
            "click_data referrer",
            "click_data session_id",
            "geo_data country",
            "geo_data city",
            "geo_data region",
            "geo_data ip_address",
            "user_agent_data user_agent",
            "user_agent_data browser",
            "user_agent_data operating_system",
            "user_agent_data device",
        ]
    );
    for field in &info.outputs {
        assert_eq!(field.kind, if field.name == "timestamp" { Kind::Instant } else { Kind::Text });
        assert!(!field.doc.is_empty());
    }
    assert_eq!(info.about.name, "json");
}

#[test]
fn a_whole_event() {
    let payload = r#"{"user_id":"u1","timestamp":"2026-03-01T10:00:00Z","url":"https://a/b?c","event_id":"e","event_type":"click",
        "referrer":"https://r/","session_id":"s","country":"de","city":"K\u00f6ln","region":"NW","ip_address":"::FFFF:1.2.3.4",
        "user_agent":"Mozilla/5.0","browser":"Firefox","operating_system":"Linux","device":"desktop","unknown":[{"x":null}]}
"#;
    let expected = [
        "u1",
        "1772359200000",
        "https://a/b?c",
        "e",
        "click",
        "https://r/",
        "s",
        "DE",
        "Köln",
        "NW",
        "1.2.3.4",
        "Mozilla/5.0",
        "Firefox",
        "Linux",
        "desktop",
    ];
    assert_eq!(answer("", payload), Answer::Event(expected.map(|text| Some(text.to_owned())).to_vec()));
}

#[test]
fn a_bare_event() {
    let Answer::Event(columns) = answer("", event("")) else { panic!() };
    let mut expected = vec![None; 15];
    for (place, text) in [(0, "u"), (1, "0"), (2, "http://a/"), (4, "page_view"), (7, "ZZ")] {
        expected[place] = Some(text.to_owned());
    }
    assert_eq!(columns, expected);
}

#[test]
fn what_is_around_a_payload() {
    for (before, after) in
        [("", ""), ("", "\n"), ("", "\r\n"), (" \t", "  "), ("\u{feff}", "\n"), ("\u{feff} ", "")]
    {
        let payload = format!("{before}{}{after}", event(r#""city":"é""#));
        assert_eq!(column("", &payload, "city").as_deref(), Some("é"), "{payload:?}");
    }
    for (before, after) in
        [("\u{feff}\u{feff}", ""), (" \u{feff}", ""), ("\0", ""), ("", "\0"), ("", "{}"), ("", "\u{feff}")]
    {
        let payload = format!("{before}{}{after}", event(""));
        assert_eq!(refused(&payload).0, "invalid-json", "{payload:?}");
    }
}

#[test]
fn refusals_of_the_whole_payload() {
    let table: &[(&[u8], &str, Option<u32>, &str)] = &[
        (b"", "invalid-json", Some(0), "no JSON: the payload is empty"),
        (b"  ", "invalid-json", Some(2), "no JSON: a value should stand at byte 2, not the end"),
        (b"\xef\xbb\xbf", "invalid-json", Some(3), "no JSON: a value should stand at byte 3, not the end"),
        (b"{", "invalid-json", Some(1), "no JSON: a name in quotes should stand at byte 1, not the end"),
        (
            b"{\"a\":[1,{\"b\":tru}]}",
            "invalid-json",
            Some(13),
            "no JSON: a value should stand at byte 13, not `t`, in `a[1].b`",
        ),
        (
            b"{\"a\":\"\x01\"}",
            "invalid-json",
            Some(6),
            "no JSON: the control character U+0001 at byte 6 must be escaped, in `a`",
        ),
        (
            b"{\"a\":\"\\q\"}",
            "invalid-json",
            Some(6),
            "no JSON: the backslash at byte 6 begins no escape, in `a`",
        ),
        (
            b"{\"a\":\"b",
            "invalid-json",
            Some(5),
            "no JSON: the string that begins at byte 5 has no closing quote, in `a`",
        ),
        (b"{} x", "invalid-json", Some(3), "no JSON: the value ends before byte 3, but `x` follows"),
        (b"{\"a\":1,}", "invalid-json", Some(7), "no JSON: a name in quotes should stand at byte 7, not `}`"),
        (b"user=1", "invalid-json", Some(0), "no JSON: a value should stand at byte 0, not `u`"),
        (b"{\"a\":\"\xff\"}", "invalid-utf8", Some(6), "no UTF-8: byte 6 (0xff) begins no character, in `a`"),
        (b"\xff", "invalid-utf8", Some(0), "no UTF-8: byte 0 (0xff) begins no character"),
        (b"{\"a\":\xff}", "invalid-utf8", Some(5), "no UTF-8: byte 5 (0xff) begins no character, in `a`"),
        (
            b"{,\"a\":\"\xed\xa0\x80\"}",
            "invalid-utf8",
            Some(7),
            "no UTF-8: byte 7 (0xed) begins no character, in `a`",
        ),
        (b"[1]", "not-an-object", Some(0), "the payload is an array, not an object"),
        (b" \"x\"", "not-an-object", Some(1), "the payload is a string, not an object"),
        (b"null", "not-an-object", Some(0), "the payload is null, not an object"),
        (b"1e5", "not-an-object", Some(0), "the payload is a number, not an object"),
        (b"[1", "invalid-json", Some(2), "no JSON: `,` or `]` should stand at byte 2, not the end, in `[0]`"),
        (b"[\"\xc0\"]", "invalid-utf8", Some(2), "no UTF-8: byte 2 (0xc0) begins no character, in `[0]`"),
        (b"{}", "missing-field", None, "`user_id` is missing or null"),
    ];
    for (payload, reason, at, message) in table {
        let expected = (reason.to_string(), *at, message.to_string());
        // The end of a line is no part of what is judged: a file's line and a message are told the same.
        for end in ["", "\n", "\r\n"] {
            let line = [payload, end.as_bytes()].concat();
            assert_eq!(refused(&line), expected, "{:?}", String::from_utf8_lossy(&line));
        }
    }
}

#[test]
fn the_last_character_may_be_cut() {
    let whole = event(r#""city":"Köln😀""#);
    for cut in 1..whole.len() {
        let (reason, at, _) = refused(&whole.as_bytes()[..cut]);
        let expected = if whole.is_char_boundary(cut) { "invalid-json" } else { "invalid-utf8" };
        assert_eq!(reason, expected, "{cut}");
        assert!(at.unwrap() as usize <= cut);
    }
}

#[test]
fn levels_are_counted_from_the_payloads_object() {
    let nested = |levels: usize| event(&format!(r#""x":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    assert_eq!(answer("", nested(511)).reason(), "event");
    assert_eq!(answer("", nested(512)).reason(), "invalid-json");
    let within = |levels: usize| {
        event(&format!(r#""click_data":{{"x":{}1{}}}"#, "{\"a\":".repeat(levels), "}".repeat(levels)))
    };
    assert_eq!(answer("", within(510)).reason(), "event");
    let (reason, _, message) = refused(within(511));
    assert_eq!(reason, "invalid-json");
    assert!(message.contains("it is nested deeper than 512 levels, in `click_data.x.a.a.a"), "{message}");
    assert_eq!(answer("", "[".repeat(512) + &"]".repeat(512)).reason(), "not-an-object");
    assert_eq!(answer("", "[".repeat(513) + &"]".repeat(513)).reason(), "invalid-json");
}

#[test]
fn required_fields_in_their_order() {
    let table = [
        (r#"{"timestamp":[],"url":1}"#, "missing-field", None, "`user_id` is missing or null"),
        (r#"{"user_id":null,"timestamp":[]}"#, "missing-field", None, "`user_id` is missing or null"),
        (r#"{"user_id":""}"#, "missing-field", Some(12), "`user_id` is empty"),
        (
            r#"{"user_id":true}"#,
            "invalid-field",
            Some(11),
            "`user_id` is true; it must be a text or a whole number of at most 38 digits",
        ),
        (
            r#"{"user_id":{"a":1}}"#,
            "invalid-field",
            Some(11),
            "`user_id` is an object; it must be a text or a whole number of at most 38 digits",
        ),
        (
            r#"{"click_data":{"user_id":1.5}}"#,
            "invalid-field",
            Some(25),
            "`user_id` (`click_data.user_id`) is 1.5; it must be a text or a whole number of at most 38 digits",
        ),
        (r#"{"user_id":"u","url":1}"#, "missing-field", None, "`timestamp` is missing or null"),
        (r#"{"user_id":"u","timestamp":"","url":1}"#, "missing-field", Some(28), "`timestamp` is empty"),
        (
            r#"{"user_id":"u","timestamp":false}"#,
            "invalid-timestamp",
            Some(27),
            "`timestamp` is false; it must be a time as text or a number",
        ),
        (
            r#"{"user_id":"u","timestamp":[1]}"#,
            "invalid-timestamp",
            Some(27),
            "`timestamp` is an array; it must be a time as text or a number",
        ),
        (
            r#"{"user_id":"u","timestamp":1e99}"#,
            "invalid-timestamp",
            Some(27),
            "`timestamp` is 1e99: it lies outside the years 0000 to 9999",
        ),
        (
            r#"{"user_id":"u","timestamp":"2026-02-30T00:00:00Z"}"#,
            "invalid-timestamp",
            Some(36),
            "`timestamp` is \"2026-02-30T00:00:00Z\": that month has no such day",
        ),
        (
            r#"{"user_id":"u","timestamp":"\u0032026-02-30T00:00:00Z"}"#,
            "invalid-timestamp",
            Some(28),
            r#"`timestamp` is "\u0032026-02-30T00:00:00Z": that month has no such day"#,
        ),
        (r#"{"user_id":"u","timestamp":0}"#, "missing-field", None, "`url` is missing or null"),
        (
            r#"{"user_id":"u","timestamp":0,"page_url":""}"#,
            "missing-field",
            Some(41),
            "`url` (`page_url`) is empty",
        ),
        (
            r#"{"user_id":"u","timestamp":0,"url":7}"#,
            "invalid-url",
            Some(35),
            "`url` is 7; it must be a text",
        ),
        (
            r#"{"user_id":"u","timestamp":0,"url":["http://a/"]}"#,
            "invalid-url",
            Some(35),
            "`url` is an array; it must be a text",
        ),
        (
            r#"{"user_id":"u","timestamp":0,"url":true}"#,
            "invalid-url",
            Some(35),
            "`url` is true; it must be a text",
        ),
    ];
    for (payload, reason, at, message) in table {
        assert_eq!(refused(payload), (reason.to_owned(), at, message.to_owned()), "{payload}");
    }
}

#[test]
fn places_in_messages_count_from_the_payloads_first_byte() {
    let payload = "\u{feff}{\"user_id\":true}";
    assert_eq!(refused(payload).1, Some(14));
    let reply = call(&instance(""), &[event("").as_bytes(), b"{\"user_id\":true}", b"{]"], &outputs(""));
    assert!(matches!(reply.answers[1], Answer::Reject { at: Some(11), .. }));
    assert!(matches!(reply.answers[2], Answer::Reject { at: Some(1), .. }));
}

#[test]
fn long_values_are_cut_in_messages() {
    let payload = format!(r#"{{"user_id":"u","timestamp":"{}"}}"#, "é".repeat(100_000));
    let (reason, _, message) = refused(payload);
    assert_eq!(reason, "invalid-timestamp");
    assert!(message.len() < 300 && message.contains("é…\""), "{message}");
}

#[test]
fn user_ids() {
    let nines = "9".repeat(38);
    let ten = "9".repeat(39);
    let table = [
        (r#""u""#, Some("u")),
        (r#"" ""#, Some(" ")),
        (r#""01""#, Some("01")),
        (r#""\u00e9""#, Some("é")),
        (r#""\ud83d""#, Some("\u{fffd}")),
        ("1", Some("1")),
        ("1.0", Some("1")),
        ("1e0", Some("1")),
        ("10E-1", Some("1")),
        ("-0", Some("0")),
        ("-0.0", Some("0")),
        ("-7", Some("-7")),
        ("0", Some("0")),
        ("1e37", Some("10000000000000000000000000000000000000")),
        ("1e38", None),
        ("1.5", None),
        ("1e999999999", None),
        (nines.as_str(), Some(nines.as_str())),
        (ten.as_str(), None),
    ];
    for (value, expected) in table {
        let payload = format!(r#"{{"user_id":{value},"timestamp":0,"url":"u"}}"#);
        match expected {
            Some(expected) => {
                assert_eq!(column("", &payload, "user_id").as_deref(), Some(expected), "{value}")
            }
            None => assert_eq!(refused(&payload).0, "invalid-field", "{value}"),
        }
    }
    let payload = format!(r#"{{"user_id":-{nines},"timestamp":0,"url":"u"}}"#);
    assert_eq!(column("", &payload, "user_id"), Some(format!("-{nines}")));
}

#[test]
fn timestamps_as_text_and_as_number() {
    let table = [
        ("1772359200", "1772359200000"),
        ("\"1772359200\"", "1772359200000"),
        ("\"-1\"", "-1000"),
        ("1772359200.0005", "1772359200001"),
        ("1.7723592E12", "1772359200000"),
        ("\"2026-03-01 11:00:00.0005+0100\"", "1772359200001"),
        ("\"2026-03-01T10:00:00\\u005a\"", "1772359200000"),
        ("\"2026-03-01\\t10:00:00Z\"", "invalid-timestamp"),
        ("\"1772359200.5\"", "invalid-timestamp"),
        ("\"2026-03-01T10:00:00\"", "invalid-timestamp"),
    ];
    for (value, expected) in table {
        let payload = format!(r#"{{"user_id":1,"timestamp":{value},"url":"u"}}"#);
        match answer("", &payload) {
            Answer::Event(columns) => assert_eq!(columns[1].as_deref(), Some(expected), "{value}"),
            reject => assert_eq!(reject.reason(), expected, "{value}"),
        }
    }
    let payload = r#"{"user_id":1,"timestamp":"2026-03-01T10:00:00","url":"u"}"#;
    let params = r#"{"assume_offset":"+01:00"}"#;
    assert_eq!(column(params, payload, "timestamp").as_deref(), Some("1772355600000"));
}

#[test]
fn where_a_field_is_looked_for() {
    let table = [
        (r#""city":"a","geo_data":{"city":"b"}"#, "city", Some("a")),
        (r#""city":null,"geo_data":{"city":"b"}"#, "city", Some("b")),
        (r#""city":"","geo_data":{"city":"b"}"#, "city", None),
        (r#""city":[],"geo_data":{"city":"b"}"#, "city", None),
        (r#""user_agent_data":{"city":"c"},"geo_data":{"city":"b"}"#, "city", Some("b")),
        (
            r#""user_agent_data":{"city":"c"},"geo_data":{"city":"b"},"click_data":{"city":"a"}"#,
            "city",
            Some("a"),
        ),
        (r#""geo_data":["city"],"user_agent_data":{"city":"c"}"#, "city", Some("c")),
        (r#""geo_data":null,"user_agent_data":"city","click_data":1"#, "city", None),
        (r#""geo_data":[{"city":"b"}]"#, "city", None),
        (r#""data":{"city":"b"}"#, "city", None),
        (r#""geo_data":{"geo_data":{"city":"b"}}"#, "city", None),
        (r#""City":"b""#, "city", None),
        (r#""referer":"b","referrer":"a""#, "referrer", Some("a")),
        (r#""referer":"b","referrer":null"#, "referrer", Some("b")),
        (r#""referer":"b","referrer":"""#, "referrer", None),
        (r#""referer":"b","click_data":{"referrer":"a"}"#, "referrer", Some("b")),
        (r#""click_data":{"referer":"b","referrer":"a"}"#, "referrer", Some("a")),
        (r#""ip":"1.1.1.1","geo_data":{"ip_address":"2.2.2.2"}"#, "ip_address", Some("1.1.1.1")),
        (r#""page_url":"http://b/""#, "url", Some("http://a/")),
        (r#""c\u0069ty":"a""#, "city", Some("a")),
        (r#""g\u0065o_data":{"\u0063ity":"a"}"#, "city", Some("a")),
    ];
    for (members, name, expected) in table {
        assert_eq!(column("", event(members), name).as_deref(), expected, "{members}");
    }
    let escaped = r#"{"user\u005fid":1,"click_data":{"timestamp":1},"geo_data":{"page_url":"x"}}"#;
    assert_eq!(column("", escaped, "url").as_deref(), Some("x"));
}

#[test]
fn a_name_given_twice_counts_with_its_last_value() {
    let table = [
        (r#""city":"a","city":"b""#, "city", Some("b")),
        (r#""city":"a","c\u0069ty":"b""#, "city", Some("b")),
        (r#""city":"a","city":null"#, "city", None),
        (r#""city":null,"city":"a""#, "city", Some("a")),
        (r#""city":"a","city":"""#, "city", None),
        (r#""city":"a","city":null,"geo_data":{"city":"b"}"#, "city", Some("b")),
        (r#""geo_data":{"city":"a"},"geo_data":{"city":"b"}"#, "city", Some("b")),
        (r#""geo_data":{"city":"a"},"geo_data":{"region":"b"}"#, "city", None),
        (r#""geo_data":{"city":"a"},"geo_data":{}"#, "city", None),
        (r#""geo_data":{"city":"a"},"geo_data":null"#, "city", None),
        (r#""geo_data":{"city":"a"},"geo_data":7"#, "city", None),
        (r#""geo_data":{"city":"a"},"geo_data":[]"#, "city", None),
        (r#""geo_data":7,"geo_data":{"city":"a"}"#, "city", Some("a")),
        (r#""geo_data":{"city":"a"},"g\u0065o_data":{"region":"b"}"#, "city", None),
        (r#""geo_data":{"city":"a"},"click_data":{"city":"b"},"geo_data":{"city":"c"}"#, "city", Some("b")),
        (r#""geo_data":{"city":"a"},"click_data":{"city":"b"},"click_data":{}"#, "city", Some("a")),
    ];
    for (members, name, expected) in table {
        assert_eq!(column("", event(members), name).as_deref(), expected, "{members}");
    }
    let emptied =
        r#"{"click_data":{"user_id":1,"timestamp":1,"url":"u"},"click_data":{"timestamp":1,"url":"u"}}"#;
    assert_eq!(refused(emptied).0, "missing-field");
}

#[test]
fn optional_fields_never_cost_an_event() {
    let table = [
        (r#""city":1.50"#, "city", Some("1.50"), 0),
        (r#""city":true"#, "city", Some("true"), 0),
        (r#""city":false"#, "city", Some("false"), 0),
        (r#""city":-1e400"#, "city", Some("-1e400"), 0),
        (r#""city":[]"#, "city", None, 1),
        (r#""city":{"a":1}"#, "city", None, 1),
        (r#""city":null"#, "city", None, 0),
        (r#""city":"""#, "city", None, 0),
        (r#""city":"a\ud800b""#, "city", Some("a\u{fffd}b"), 0),
        (r#""event_type":"click""#, "event_type", Some("click"), 0),
        (r#""event_type":"""#, "event_type", Some("page_view"), 0),
        (r#""event_type":null"#, "event_type", Some("page_view"), 0),
        (r#""event_type":[1]"#, "event_type", Some("page_view"), 1),
        (r#""event_type":3"#, "event_type", Some("3"), 0),
        (r#""country":" uk""#, "country", Some("GB"), 0),
        (r#""country":"FR""#, "country", Some("FR"), 0),
        (r#""country":"D\u0045""#, "country", Some("DE"), 0),
        (r#""country":"zz""#, "country", Some("ZZ"), 0),
        (r#""country":"""#, "country", Some("ZZ"), 0),
        (r#""country":"  ""#, "country", Some("ZZ"), 0),
        (r#""country":"Germany""#, "country", Some("ZZ"), 1),
        (r#""country":49"#, "country", Some("ZZ"), 1),
        (r#""country":{}"#, "country", Some("ZZ"), 1),
        (r#""ip":"1.2.3.4:80, 5.6.7.8""#, "ip_address", Some("1.2.3.4"), 0),
        (r#""ip":"1.2.3.4""#, "ip_address", Some("1.2.3.4"), 0),
        (r#""ip":"2001:DB8::0001""#, "ip_address", Some("2001:db8::1"), 0),
        (r#""ip":"unknown""#, "ip_address", None, 1),
        (r#""ip":16909060"#, "ip_address", None, 1),
        (r#""ip":["1.2.3.4"]"#, "ip_address", None, 1),
        (r#""ip":"""#, "ip_address", None, 0),
    ];
    for (members, name, expected, unusable) in table {
        let (found, count) = column_and_unusable("", event(members), name);
        assert_eq!((found.as_deref(), count), (expected, unusable), "{members}");
    }
}

#[test]
fn rejected_payloads_count_nothing_as_unusable() {
    let bad = r#"{"user_id":1,"timestamp":0,"city":[]}"#.to_owned();
    let reply =
        call(&instance(""), &[bad, event(r#""city":[]"#)], &["city".to_owned(), "country".to_owned()]);
    assert_eq!(reply.unusable, [1, 0]);
}

#[test]
fn all_rules_hold_whatever_is_wanted() {
    let payloads = [
        event(""),
        event(r#""x":tru"#),
        r#"{"timestamp":0,"url":"u"}"#.to_owned(),
        r#"{"user_id":1.5,"timestamp":0,"url":"u"}"#.to_owned(),
        r#"{"user_id":1,"timestamp":"x","url":"u"}"#.to_owned(),
        r#"{"user_id":1,"timestamp":0,"url":5}"#.to_owned(),
    ];
    let expected =
        ["event", "invalid-json", "missing-field", "invalid-field", "invalid-timestamp", "invalid-url"];
    let all = outputs("");
    for wanted in [vec![], vec!["city".to_owned()], vec!["url".to_owned(), "url".to_owned()], all] {
        let reply = call(&instance(""), &payloads, &wanted);
        assert_eq!(reply.answers.iter().map(Answer::reason).collect::<Vec<_>>(), expected, "{wanted:?}");
    }
}

#[test]
fn one_instance_serves_many_calls() {
    let instance = instance("");
    let payload = event(r#""city":"a","region":"b""#);
    for wanted in [["city", "region"], ["region", "city"], ["url", "user_id"], ["city", "region"]] {
        let wanted = wanted.map(str::to_owned);
        let Answer::Event(columns) = call(&instance, &[&payload], &wanted).answers.remove(0) else {
            panic!()
        };
        let expected = wanted.clone().map(|name| column("", &payload, &name));
        assert_eq!(columns, expected);
    }
    assert!(call::<&[u8]>(&instance, &[], &["city".to_owned()]).answers.is_empty());
}

#[test]
fn calls_that_break_the_plugin_contract_fail() {
    let values = |bytes: &[u8], ends: &[u32]| Values { bytes: bytes.to_vec(), ends: ends.to_vec() };
    let call = |instance: &Instance, payloads, wanted: &str| {
        instance.parse(payloads, vec![wanted.to_owned()]).unwrap_err()
    };
    let good = instance("");
    let failure = |text: &str| Failure::Call(text.to_owned());
    let misfit = failure("the ends of the payloads do not fit their bytes");
    assert_eq!(call(&good, values(b"{}", &[1]), "url"), misfit);
    assert_eq!(call(&good, values(b"{}", &[3, 2]), "url"), misfit);
    assert_eq!(call(&good, values(b"{}", &[]), "url"), misfit);
    assert_eq!(call(&good, values(b"{}", &[2]), "colour"), failure("there is no output `colour`"));
    assert!(good.parse(values(b"{}", &[2]), vec!["url".to_owned()]).is_ok(), "the instance is as before");
    let bad = Instance::new(r#"{"x":1}"#.to_owned());
    let unknown = "parameter `x`: there is no such parameter; there are `assume_offset` and `fields`";
    assert_eq!(call(&bad, values(b"{}", &[2]), "url"), failure(unknown));
    assert_eq!(Component::describe(r#"{"x":1}"#.to_owned()).unwrap_err(), unknown);
}
