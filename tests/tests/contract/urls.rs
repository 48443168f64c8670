//! Canonical URLs, and what they were before.

use crate::{Case, dead, event, judge, with};

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[test]
fn canonical_urls() {
    let long = |bytes: usize| "x".repeat(bytes);
    let good = [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.Com/Path", "https://example.com/Path"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("https://example.com:0443/a", "https://example.com/a"),
        ("https://example.com:/a", "https://example.com/a"),
        ("https://user:secret@example.com/", "https://example.com/"),
        ("https://user@example.com/", "https://example.com/"),
        ("https://example.com/a#top", "https://example.com/a"),
        ("https://example.com/#", "https://example.com/"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../a", "https://example.com/a"),
        ("https://example.com/a/%2e%2E/b", "https://example.com/b"),
        ("https://example.com/a//b/", "https://example.com/a//b/"),
        ("https:example.com/a", "https://example.com/a"),
        ("https:///example.com/a", "https://example.com/a"),
        ("https:\\\\example.com\\a", "https://example.com/a"),
        ("  https://example.com/a \n", "https://example.com/a"),
        ("https://exa\tmple.com/a\nb", "https://example.com/ab"),
        ("https://münchen.example/ä?ü=ö", "https://xn--mnchen-3ya.example/%C3%A4?%C3%BC=%C3%B6"),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/"),
        ("https://ＥＸＡＭＰＬＥ.com/", "https://example.com/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://[2001:DB8:0:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("https://example.com./", "https://example.com./"),
        // Percent signs.
        ("https://example.com/%7euser/%41%2d%2e%5f", "https://example.com/~user/A-._"),
        ("https://example.com/a%2fb%3f%c3%a9", "https://example.com/a%2Fb%3F%C3%A9"),
        ("https://example.com/%", "https://example.com/%"),
        ("https://example.com/%zz%4", "https://example.com/%zz%4"),
        ("https://example.com/%2541", "https://example.com/%2541"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("https://example.com/?a%3db=%26%7e", "https://example.com/?a%3Db=%26~"),
        ("https://example.com/?q='\"<>", "https://example.com/?q=%27%22%3C%3E"),
        // Pieces of the query.
        ("https://example.com/?", "https://example.com/"),
        ("https://example.com/?&&", "https://example.com/"),
        ("https://example.com/?&b=2&&a=1&", "https://example.com/?b=2&a=1"),
        ("https://example.com/?utm_source=x", "https://example.com/"),
        ("https://example.com/?utm_source=x#y", "https://example.com/"),
        ("https://example.com/?UTM_Anything=x&b", "https://example.com/?b"),
        ("https://example.com/?utm_=x&utm=y&xutm_source=z", "https://example.com/?utm=y&xutm_source=z"),
        ("https://example.com/?%75tm_source=x&a=utm_source", "https://example.com/?a=utm_source"),
        (
            "https://example.com/?gclid&gbraid=1&wbraid=1&fbclid=1&msclkid=1&dclid=1&yclid=1",
            "https://example.com/",
        ),
        (
            "https://example.com/?ttclid=&twclid=1&igshid=1&li_fat_id=1&srsltid=1&mc_cid=1",
            "https://example.com/",
        ),
        ("https://example.com/?mc_eid=1&_ga=1&_GL=1&_gac=1&gclid2=1", "https://example.com/?_gac=1&gclid2=1"),
        ("https://example.com/?a=1;utm_source=2", "https://example.com/?a=1;utm_source=2"),
        ("https://example.com/?b=+&a=x+y&a=1&=&=1", "https://example.com/?b=+&a=x+y&a=1&=&=1"),
        ("https://example.com/?a=1?b=2", "https://example.com/?a=1?b=2"),
    ];
    let bad = [
        "ftp://example.com/",
        "mailto:a@example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/plain,x",
        "//example.com/a",
        "/a",
        "a",
        "example.com/a",
        "https",
        "https:",
        "https://",
        "https://?a",
        "https://:80/",
        "https://example.com:65536/",
        "https://example.com:a/",
        "https://exa mple.com/",
        "https://exa<mple.com/",
        "https://[::1/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://exa%2fmple.com/",
        " ",
        "http s://example.com/",
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (raw, canonical) in good {
        let line = with("url", &quoted(raw));
        cases.push(match raw == canonical {
            true => event(line, [("url", canonical)]),
            false => event(line, [("url", canonical), ("raw_url", raw)]),
        });
    }
    cases.extend(bad.map(|url| dead("invalid-url", with("url", &quoted(url)))));
    cases.extend(["1", "true", "[]", "{}"].map(|value| dead("invalid-url", with("url", value))));
    cases.extend(["null", r#""""#].map(|value| dead("missing-field", with("url", value))));

    // 8,191 bytes fit; one more, and the query goes; a longer path is none.
    let whole = format!("https://example.com/?{}", long(8_191 - 21));
    cases.push(event(with("url", &quoted(&whole)), [("url", &whole)]));
    let cut = format!("https://example.com/a?{}", long(8_191 - 21));
    cases.push(event(with("url", &quoted(&cut)), [("url", "https://example.com/a"), ("raw_url", &cut)]));
    let path = format!("https://example.com/{}", long(8_191 - 20));
    cases.push(event(with("url", &quoted(&path)), [("url", &path)]));
    let query = format!("{path}?a");
    cases.push(event(with("url", &quoted(&query)), [("url", &path), ("raw_url", &query)]));
    cases.push(dead("invalid-url", with("url", &quoted(&format!("{path}x?a")))));
    // What is counted is the canonical text.
    let shrinks = format!("https://example.com/?{}", "utm_source=xxxxxxxxxx&".repeat(500));
    cases.push(event(with("url", &quoted(&shrinks)), [("raw_url", &shrinks)]));
    let grows = format!("https://example.com/{}", "ä".repeat(2_000));
    cases.push(dead("invalid-url", with("url", &quoted(&grows))));
    judge("urls", &cases);
}
