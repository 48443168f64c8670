//! Other names and further columns: the events of Segment, Google Analytics 4 and Snowplow, and columns of every kind.

mod common;

use common::{Answer, answer, column, column_and_unusable, event, outputs};

fn columns(params: &str, payload: &str) -> Vec<(String, String)> {
    match answer(params, payload) {
        Answer::Event(columns) => {
            outputs(params).into_iter().zip(columns).filter_map(|(name, text)| Some((name, text?))).collect()
        }
        reject => panic!("{reject:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

#[test]
fn segment() {
    let params = r#"{"fields": {
        "user_id": ["userId", "anonymousId"],
        "url": ["properties.url", "context.page.url"],
        "referrer": "context.page.referrer",
        "event_id": "messageId",
        "event_type": ["event", "type"],
        "ip_address": "context.ip",
        "user_agent": "context.userAgent",
        "cart_value": {"path": "properties.cart_value", "kind": "real", "unit": "EUR"}
    }}"#;
    let payload = r#"{"anonymousId":"23adfd82","userId":null,"type":"page","messageId":"ajs-1","timestamp":"2026-03-01T10:00:00.000Z",
        "context":{"ip":"108.0.78.21","library":{"name":"analytics.js"},"page":{"path":"/a","url":"https://s.example/a",
        "referrer":"https://r.example/"},"userAgent":"Mozilla/5.0"},"properties":{"cart_value":"12.50"}}"#;
    let expected = pairs(&[
        ("user_id", "23adfd82"),
        ("timestamp", "1772359200000"),
        ("url", "https://s.example/a"),
        ("event_id", "ajs-1"),
        ("event_type", "page"),
        ("referrer", "https://r.example/"),
        ("country", "ZZ"),
        ("ip_address", "108.0.78.21"),
        ("user_agent", "Mozilla/5.0"),
        ("cart_value", "12.5"),
    ]);
    assert_eq!(columns(params, payload), expected);
}

#[test]
fn google_analytics_4() {
    let params = r#"{"fields": {
        "user_id": ["user_id", "user_pseudo_id"],
        "timestamp": "event_timestamp",
        "url": "event_params.page_location",
        "event_type": "event_name",
        "region": "geo.region",
        "city": "geo.city",
        "browser": "device.web_info.browser",
        "operating_system": "device.operating_system",
        "device": "device.category"
    }}"#;
    let payload = r#"{"event_timestamp":"1772359200123456","event_name":"page_view","user_pseudo_id":"1.2","user_id":null,
        "event_params":{"page_location":"https://g.example/"},"geo":{"city":"Köln","region":"NW"},
        "device":{"category":"mobile","operating_system":"Android","web_info":{"browser":"Chrome"}}}"#;
    let expected = pairs(&[
        ("user_id", "1.2"),
        ("timestamp", "1772359200123"),
        ("url", "https://g.example/"),
        ("event_type", "page_view"),
        ("country", "ZZ"),
        ("city", "Köln"),
        ("region", "NW"),
        ("browser", "Chrome"),
        ("operating_system", "Android"),
        ("device", "mobile"),
    ]);
    assert_eq!(columns(params, payload), expected);
    let number = payload.replace("\"1772359200123456\"", "1772359200123456");
    assert_eq!(columns(params, &number), expected);
}

#[test]
fn snowplow() {
    let params = r#"{"assume_offset": "Z", "fields": {
        "user_id": ["user_id", "domain_userid"],
        "timestamp": ["derived_tstamp", "collector_tstamp"],
        "referrer": "page_referrer",
        "event_type": "event",
        "country": "geo_country",
        "city": "geo_city",
        "ip_address": "user_ipaddress",
        "user_agent": "useragent",
        "session_id": "domain_sessionid",
        "seconds": {"path": "contexts_ping\\.1.seconds", "kind": "integer", "unit": "s"}
    }}"#;
    let payload = r#"{"page_url":"https://p.example/","collector_tstamp":"2026-03-01 10:00:00.123","domain_userid":"d1","event":"page_ping",
        "geo_country":"FR","user_ipaddress":"2001:db8::","domain_sessionid":"s1","useragent":"x","contexts_ping.1":{"seconds":30.0}}"#;
    let expected = pairs(&[
        ("user_id", "d1"),
        ("timestamp", "1772359200123"),
        ("url", "https://p.example/"),
        ("event_type", "page_ping"),
        ("session_id", "s1"),
        ("country", "FR"),
        ("ip_address", "2001:db8::"),
        ("user_agent", "x"),
        ("seconds", "30"),
    ]);
    assert_eq!(columns(params, payload), expected);
}

#[test]
fn other_names_replace_the_contracts() {
    let params = r#"{"fields": {"city": "town"}}"#;
    assert_eq!(
        column(params, event(r#""city":"a","geo_data":{"city":"b"},"click_data":{"town":"c"}"#), "city"),
        None
    );
    assert_eq!(column(params, event(r#""city":"a","town":"d""#), "city").as_deref(), Some("d"));
    assert_eq!(column(params, event(r#""region":"a""#), "region").as_deref(), Some("a"));
}

#[test]
fn paths_lead_through_objects_only_and_the_last_of_a_name_counts() {
    let params = r#"{"fields": {"city": ["a.b.c", "a.d"]}}"#;
    let table = [
        (r#""a":{"b":{"c":"1"}}"#, Some("1")),
        (r#""a":{"b":[{"c":"1"}]}"#, None),
        (r#""a":{"b":"c","d":"2"}"#, Some("2")),
        (r#""a":{"b":{"c":null},"d":"2"}"#, Some("2")),
        (r#""a":{"b":{"c":""},"d":"2"}"#, None),
        (r#""a":{"b":{"c":"1"},"b":{}}"#, None),
        (r#""a":{"b":{"c":"1"}},"a":{"d":"2"}"#, Some("2")),
        (r#""a":{"b":{"c":"1"}},"a":null"#, None),
        (r#""a":{"b":{"c":"1"},"b":{"c":"3"}}"#, Some("3")),
        (r#""a.b.c":"1""#, None),
    ];
    for (members, expected) in table {
        assert_eq!(column(params, event(members), "city").as_deref(), expected, "{members}");
    }
}

#[test]
fn one_member_may_serve_several_columns() {
    let params = r#"{"fields": {"city": ["geo.city", "geo"], "geo": {"path": "geo", "kind": "json"},
                     "place": {"path": "geo.city", "kind": "text"}}}"#;
    let payload = event(r#""geo":{"city": "K\u00f6ln" }"#);
    assert_eq!(column(params, &payload, "city").as_deref(), Some("Köln"));
    assert_eq!(column(params, &payload, "place").as_deref(), Some("Köln"));
    assert_eq!(column(params, &payload, "geo").as_deref(), Some(r#"{"city": "K\u00f6ln" }"#));
    assert_eq!(column(params, event(r#""geo":"x""#), "city").as_deref(), Some("x"));
}

#[test]
fn further_columns_of_every_kind() {
    let table = [
        ("text", "\"a\"", Some("a"), 0),
        ("text", "1.0", Some("1.0"), 0),
        ("text", "[]", None, 1),
        ("json", "{ \"a\" : [1,null] }", Some("{ \"a\" : [1,null] }"), 0),
        ("json", "\"a\\n\"", Some("\"a\\n\""), 0),
        ("json", "\"\"", None, 0),
        ("json", "null", None, 0),
        ("json", "true", Some("true"), 0),
        ("instant", "\"2026-03-01T10:00:00Z\"", Some("1772359200000"), 0),
        ("instant", "1772359200", Some("1772359200000"), 0),
        ("instant", "\"soon\"", None, 1),
        ("instant", "true", None, 1),
        ("integer", "12", Some("12"), 0),
        ("integer", "-12.0", Some("-12"), 0),
        ("integer", "\"1e3\"", Some("1000"), 0),
        ("integer", "9223372036854775807", Some("9223372036854775807"), 0),
        ("integer", "-9223372036854775808", Some("-9223372036854775808"), 0),
        ("integer", "9223372036854775808", None, 1),
        ("integer", "1.5", None, 1),
        ("integer", "1e999999999", None, 1),
        ("integer", "\"\"", None, 0),
        ("integer", "\" 1\"", None, 1),
        ("integer", "true", None, 1),
        ("duration", "1500", Some("1500"), 0),
        ("duration", "-1e2", Some("-100"), 0),
        ("unsigned", "18446744073709551615", Some("18446744073709551615"), 0),
        ("unsigned", "-1", None, 1),
        ("unsigned", "-0", Some("0"), 0),
        ("real", "12.5", Some("12.5"), 0),
        ("real", "\"-1E-2\"", Some("-0.01"), 0),
        ("real", "1e400", None, 1),
        ("real", "\"NaN\"", None, 1),
        ("real", "\"inf\"", None, 1),
        ("real", "\"1,5\"", None, 1),
        ("real", "{}", None, 1),
        ("boolean", "true", Some("true"), 0),
        ("boolean", "false", Some("false"), 0),
        ("boolean", "\"true\"", Some("true"), 0),
        ("boolean", "1", None, 1),
        ("boolean", "\"yes\"", None, 1),
    ];
    for (kind, value, expected, unusable) in table {
        let params = format!(r#"{{"fields": {{"extra": {{"path": "p.v", "kind": "{kind}"}}}}}}"#);
        let payload = event(&format!(r#""p":{{"v":{value}}}"#));
        let (found, count) = column_and_unusable(&params, &payload, "extra");
        assert_eq!((found.as_deref(), count), (expected, unusable), "{kind} {value}");
    }
}
