//! Users, places, addresses, and where a field is looked for.

use serde_json::Value;

use crate::{Case, Want, dead, event, judge, plain, with};

#[test]
fn users() {
    let nines = "9".repeat(38);
    let mut cases: Vec<Case> = Vec::new();
    let good = [
        (r#""u""#, "u"),
        (r#"" ""#, " "),
        (r#""01""#, "01"),
        (r#""1.0""#, "1.0"),
        (r#""null""#, "null"),
        (r#""\u00e9""#, "é"),
        (r#""\u0000""#, "\0"),
        (r#""a\/\b\f\n\r\t\"\\""#, "a/\u{8}\u{c}\n\r\t\"\\"),
        (r#""\ud83d\ude00""#, "😀"),
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00x""#, "\u{fffd}x"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ("1", "1"),
        ("1.0", "1"),
        ("1e0", "1"),
        ("10E-1", "1"),
        ("100e-2", "1"),
        ("0.1e1", "1"),
        ("-0", "0"),
        ("-0.0e5", "0"),
        ("-7", "-7"),
        ("1e37", "10000000000000000000000000000000000000"),
        ("9007199254740993", "9007199254740993"),
        (&nines, &nines),
    ];
    cases.extend(good.map(|(value, user)| event(with("user_id", value), [("user_id", user)])));
    let negative = format!("-{nines}");
    cases.push(event(with("user_id", &negative), [("user_id", &negative)]));
    let bad = [
        "1.5",
        "1e38",
        "-1e38",
        "1e999999999",
        "1e-1",
        "true",
        "false",
        "[]",
        "[1]",
        "{}",
        r#"{"user_id":"u"}"#,
    ];
    cases.extend(bad.map(|value| dead("invalid-field", with("user_id", value))));
    cases.push(dead("invalid-field", with("user_id", &format!("{nines}0"))));
    cases.extend(["null", r#""""#].map(|value| dead("missing-field", with("user_id", value))));
    judge("users", &cases);
}

#[test]
fn countries_and_addresses() {
    let mut cases: Vec<Case> = Vec::new();
    let countries = [
        (r#""DE""#, "DE"),
        (r#""de""#, "DE"),
        (r#""dE""#, "DE"),
        (r#""  fr ""#, "FR"),
        (r#""UK""#, "GB"),
        (r#"" uk""#, "GB"),
        (r#""GB""#, "GB"),
        (r#""xk""#, "XK"),
        (r#""AQ""#, "AQ"),
        (r#""ZZ""#, "ZZ"),
        (r#""zz""#, "ZZ"),
        (r#""XX""#, "ZZ"),
        (r#""EU""#, "ZZ"),
        (r#""AN""#, "ZZ"),
        (r#""SU""#, "ZZ"),
        (r#""DEU""#, "ZZ"),
        (r#""Germany""#, "ZZ"),
        (r#""D""#, "ZZ"),
        (r#""276""#, "ZZ"),
        (r#""D E""#, "ZZ"),
        (r#""ＤＥ""#, "ZZ"),
        (r#""ſe""#, "ZZ"),
        ("276", "ZZ"),
        ("true", "ZZ"),
        ("null", "ZZ"),
        (r#""""#, "ZZ"),
        ("[\"DE\"]", "ZZ"),
    ];
    cases.extend(
        countries.map(|(value, kept)| event(plain(&format!("\"country\":{value}")), [("country", kept)])),
    );
    let addresses = [
        ("1.2.3.4", Some("1.2.3.4")),
        (" 1.2.3.4 ", Some("1.2.3.4")),
        ("1.2.3.4:443", Some("1.2.3.4")),
        ("1.2.3.4, 5.6.7.8", Some("1.2.3.4")),
        ("1.2.3.4:80,5.6.7.8", Some("1.2.3.4")),
        ("2001:DB8::0001", Some("2001:db8::1")),
        ("2001:0:0:1:0:0:0:1", Some("2001:0:0:1::1")),
        ("2001:db8:0:1:1:1:1:1", Some("2001:db8:0:1:1:1:1:1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("[fe80::1%eth0]:443", Some("fe80::1")),
        ("fe80::1%eth0", Some("fe80::1")),
        ("fe80::1%eth0, 1.2.3.4", Some("fe80::1")),
        ("::ffff:1.2.3.4", Some("1.2.3.4")),
        ("::FFFF:102:304", Some("1.2.3.4")),
        ("[::ffff:1.2.3.4]:80", Some("1.2.3.4")),
        ("::", Some("::")),
        ("2001:db8::1:443", Some("2001:db8::1:443")),
        ("1:2:3:4:5:6:7:8:443", None),
        ("1.2.3", None),
        ("1.2.3.256", None),
        ("1.2.3.4.5", None),
        ("unknown", None),
        ("unknown, 1.2.3.4", None),
        (", 1.2.3.4", None),
        ("", None),
        (" ", None),
    ];
    for (value, kept) in addresses {
        let line = plain(&format!("\"ip_address\":{}", Value::from(value)));
        cases.push(Case { line: line.into(), want: Want::Event(vec![("ip_address", kept.into())]) });
    }
    judge("places", &cases);
}

#[test]
fn where_fields_are_looked_for() {
    let e = |members: &str, name: &'static str, value: Option<&str>| Case {
        line: plain(members).into(),
        want: Want::Event(vec![(name, value.into())]),
    };
    let mut cases = vec![
        e(r#""city":"a","geo_data":{"city":"b"}"#, "city", Some("a")),
        e(r#""geo_data":{"city":"b"}"#, "city", Some("b")),
        e(r#""click_data":{"city":"b"}"#, "city", Some("b")),
        e(
            r#""user_agent_data":{"city":"c"},"geo_data":{"city":"b"},"click_data":{"city":"a"}"#,
            "city",
            Some("a"),
        ),
        e(r#""city":null,"geo_data":{"city":"b"}"#, "city", Some("b")),
        e(r#""city":"","geo_data":{"city":"b"}"#, "city", None),
        e(r#""city":[],"geo_data":{"city":"b"}"#, "city", None),
        e(r#""geo_data":[{"city":"b"}],"user_agent_data":{"city":"c"}"#, "city", Some("c")),
        e(r#""geo_data":"city","click_data":null"#, "city", None),
        e(r#""geo_data":{"geo_data":{"city":"b"}}"#, "city", None),
        e(r#""data":{"city":"b"}"#, "city", None),
        e(r#""City":"b""#, "city", None),
        e(r#""c\u0069ty":"b""#, "city", Some("b")),
        // Names and their aliases: in each place the name first.
        e(r#""referer":"b","referrer":"a""#, "referrer", Some("a")),
        e(r#""referer":"b""#, "referrer", Some("b")),
        e(r#""referer":"b","referrer":"""#, "referrer", None),
        e(r#""referer":"b","click_data":{"referrer":"a"}"#, "referrer", Some("b")),
        e(r#""ip":"1.1.1.1","geo_data":{"ip_address":"2.2.2.2"}"#, "ip_address", Some("1.1.1.1")),
        e(r#""ip":"1.1.1.1","ip_address":"x""#, "ip_address", None),
        // Given twice.
        e(r#""city":"a","city":"b""#, "city", Some("b")),
        e(r#""city":"a","c\u0069ty":"b""#, "city", Some("b")),
        e(r#""city":"a","city":null"#, "city", None),
        e(r#""city":"a","city":null,"geo_data":{"city":"b"}"#, "city", Some("b")),
        e(r#""geo_data":{"city":"a"},"geo_data":{"region":"b"}"#, "region", Some("b")),
        e(r#""geo_data":{"city":"a"},"geo_data":{}"#, "city", None),
        e(r#""geo_data":{"city":"a"},"geo_data":7"#, "city", None),
        e(r#""geo_data":7,"geo_data":{"city":"a"}"#, "city", Some("a")),
        // Optional fields stand for their text, or for nothing.
        e(r#""city":1.50"#, "city", Some("1.50")),
        e(r#""city":-1E400"#, "city", Some("-1E400")),
        e(r#""city":true"#, "city", Some("true")),
        e(r#""city":{"name":"a"}"#, "city", None),
        e(r#""city":"a\ud800b""#, "city", Some("a\u{fffd}b")),
        e(r#""region":" b ""#, "region", Some(" b ")),
        e(r#""event_type":"click""#, "event_type", Some("click")),
        e(r#""event_type":3"#, "event_type", Some("3")),
        e(r#""event_type":"""#, "event_type", Some("page_view")),
        e(r#""event_type":[]"#, "event_type", Some("page_view")),
        e(r#""event_id":"e""#, "event_id", Some("e")),
        e(r#""event_id":"e""#, "event_id", Some("e")),
        e(r#""session_id":"s""#, "session_id", Some("s")),
        e(r#""browser":"b""#, "browser", Some("b")),
        e(r#""user_agent_data":{"operating_system":"o"}"#, "operating_system", Some("o")),
        e(r#""device":"d""#, "device", Some("d")),
    ];
    cases.extend([
        event(
            r#"{"click_data":{"user_id":"v","timestamp":0,"url":"http://a/"}}"#,
            [("user_id", "v"), ("timestamp", "1970-01-01T00:00:00.000Z"), ("url", "http://a/")],
        ),
        event(
            r#"{"geo_data":{"user_id":"v"},"user_agent_data":{"timestamp":0},"page_url":"http://a/"}"#,
            [("user_id", "v"), ("timestamp", "1970-01-01T00:00:00.000Z"), ("url", "http://a/")],
        ),
        event(
            r#"{"user_id":"u","timestamp":1772359200000,"url":null,"page_url":"http://a/"}"#,
            [("url", "http://a/")],
        ),
        dead("missing-field", r#"{"user_id":"u","timestamp":1772359200000,"url":"","page_url":"http://a/"}"#),
        dead(
            "invalid-url",
            r#"{"user_id":"u","timestamp":1772359200000,"url":"x","click_data":{"url":"http://a/"}}"#,
        ),
        dead(
            "missing-field",
            r#"{"click_data":{"user_id":1,"timestamp":1,"url":"http://a/"},"click_data":{}}"#,
        ),
        // The first rule that is broken names the reason, wherever the fields stand.
        dead("missing-field", r#"{"url":"x","timestamp":"x"}"#),
        dead("invalid-field", r#"{"url":"x","timestamp":"x","user_id":[]}"#),
        dead("invalid-timestamp", r#"{"url":"x","timestamp":"x","user_id":"u"}"#),
        dead("missing-field", r#"{"url":"x","timestamp":null,"user_id":"u"}"#),
        dead("invalid-url", r#"{"url":"x","timestamp":1,"user_id":"u"}"#),
    ]);
    judge("where", &cases);
}
