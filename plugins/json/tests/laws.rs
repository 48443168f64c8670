//! What holds for every payload: it is accepted exactly if it is JSON, fields are found where a slow model finds them, and no
//! payload's answer depends on the others.

mod common;

use common::{Answer, answer, call, event, instance, outputs};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Any JSON, also with numbers that no double holds and with escapes that pair with nothing.
fn json() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec!["", "", "", " ", "\n", "\t\r "]);
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1e999",
            "-1.5E-400",
            "123456789012345678901234567890"
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| Value::from(number).to_string()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        r#"([ -!#-\[\]-~]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|é|😀){0,40}"#
            .prop_map(|inside| format!("\"{inside}\"")),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let member = (any::<String>(), inner.clone(), space.clone());
        prop_oneof![
            (prop::collection::vec(inner, 0..6), space.clone()).prop_map(|(items, space)| format!(
                "[{space}{}{space}]",
                items.join(&format!("{space},{space}"))
            )),
            prop::collection::vec(member, 0..6).prop_map(|members| {
                let text = |(name, value, space): &(String, String, &str)| {
                    format!("{space}{}{space}:{space}{value}{space}", Value::from(name.as_str()))
                };
                format!("{{{}}}", members.iter().map(text).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Double(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = prop_oneof![prop::sample::select(b"{}[]\",:\\u0123.eE+-tfn \n\0\x1f".to_vec()), any::<u8>()];
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Remove),
        at().prop_map(Change::Cut),
        (at(), at()).prop_map(|(from, to)| Change::Double(from, to)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for change in changes.iter().filter(|_| !text.is_empty()) {
        if bytes.is_empty() {
            break;
        }
        match change {
            Change::Replace(at, byte) => *at.get_mut(&mut bytes) = *byte,
            Change::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Change::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Change::Double(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }
    bytes
}

/// What the whole of a payload is refused for, by another implementation, which skips values as the contract wants it.
fn reference(payload: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(payload) else { return Some("invalid-utf8") };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Some("invalid-json");
    }
    (!text.trim_start().starts_with('{')).then_some("not-an-object")
}

fn check_judgement(payload: &[u8]) -> Result<(), TestCaseError> {
    let found = answer("", payload);
    let whole =
        matches!(found.reason(), "invalid-utf8" | "invalid-json" | "not-an-object").then(|| found.reason());
    prop_assert_eq!(whole, reference(payload), "{:?}: {:?}", String::from_utf8_lossy(payload), found);
    Ok(())
}

/// A member's value, as far as looking for fields goes.
#[derive(Clone, Debug)]
enum Model {
    Null,
    Text(String),
    List,
    Object(Vec<(&'static str, Model)>),
}

/// Some are the beginning of others, or longer than what is guessed at once.
const NAMES: [&str; 14] = [
    "user_id",
    "timestamp",
    "url",
    "page_url",
    "referrer",
    "referer",
    "click_data",
    "geo_data",
    "user_agent_data",
    "cit",
    "city",
    "citys",
    "url_and_much_more",
    "z",
];

fn members() -> impl Strategy<Value = Vec<(&'static str, Model)>> {
    let leaf = prop_oneof![
        1 => Just(Model::Null),
        1 => Just(Model::List),
        1 => Just(Model::Text(String::new())),
        4 => "[1-9][0-9]{0,5}".prop_map(Model::Text),
    ];
    let model = leaf.prop_recursive(2, 24, 8, |inner| {
        prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..8).prop_map(Model::Object)
    });
    prop::collection::vec((prop::sample::select(NAMES.to_vec()), model), 0..16)
}

fn spell(members: &[(&str, Model)], escaped: bool) -> String {
    let name = |name: &str| {
        if escaped { name.replace('_', "\\u005f").replace('r', "\\u0072") } else { name.to_owned() }
    };
    let value = |model: &Model| match model {
        Model::Null => "null".to_owned(),
        Model::Text(text) => format!("\"{text}\""),
        Model::List => "[[]]".to_owned(),
        Model::Object(members) => spell(members, !escaped),
    };
    let text: Vec<String> =
        members.iter().map(|(key, model)| format!("\"{}\":{}", name(key), value(model))).collect();
    format!("{{{}}}", text.join(","))
}

fn last<'a>(members: &'a [(&str, Model)], name: &str) -> Option<&'a Model> {
    members.iter().rfind(|(key, _)| *key == name).map(|(_, model)| model)
}

fn taken<'a>(members: &'a [(&str, Model)], names: &[&str]) -> Option<&'a Model> {
    let here = |members: &'a [(&str, Model)]| {
        names.iter().filter_map(|name| last(members, name)).find(|model| !matches!(model, Model::Null))
    };
    let families = ["click_data", "geo_data", "user_agent_data"].into_iter();
    let mut inside = families.filter_map(|name| match last(members, name) {
        Some(Model::Object(members)) => here(members),
        _ => None,
    });
    here(members).or_else(|| inside.next())
}

/// The reason, or the five columns of an event.
fn model_answer(members: &[(&str, Model)]) -> Result<Vec<Option<String>>, &'static str> {
    let mut columns = Vec::new();
    for (names, wrong) in [
        (&["user_id"][..], "invalid-field"),
        (&["timestamp"], "invalid-timestamp"),
        (&["url", "page_url"], "invalid-url"),
    ] {
        match taken(members, names) {
            None | Some(Model::Null) => return Err("missing-field"),
            Some(Model::Text(text)) if text.is_empty() => return Err("missing-field"),
            Some(Model::Text(text)) if names[0] == "timestamp" => columns.push(Some(format!("{text}000"))),
            Some(Model::Text(text)) => columns.push(Some(text.clone())),
            Some(_) => return Err(wrong),
        }
    }
    for names in [&["referrer", "referer"][..], &["city"]] {
        columns.push(match taken(members, names) {
            Some(Model::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        });
    }
    Ok(columns)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_json_may_stand_in_a_field_that_is_skipped(value in json(), before in any::<bool>()) {
        let payload = event(&format!("\"unknown\":{value},\"click_data\":{{\"too\":{value}}}"));
        prop_assert_eq!(reference(payload.as_bytes()), None, "the generator makes JSON");
        let payload = if before { payload.replacen('{', &format!("{{\"first\":{value},"), 1) } else { payload };
        let found = answer("", &payload);
        prop_assert_eq!(found.reason(), "event", "{}: {:?}", payload, found);
    }

    #[test]
    fn changed_payloads_are_judged_as_another_parser_does(
        value in json(), changes in prop::collection::vec(change(), 1..4), wrapped in any::<bool>()
    ) {
        let payload = if wrapped { event(&format!("\"geo_data\":{value},\"unknown\":{value}")) } else { value };
        check_judgement(&changed(&payload, &changes))?;
    }

    #[test]
    fn any_bytes_are_judged_as_another_parser_does(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check_judgement(&bytes)?;
    }

    #[test]
    fn fields_are_found_where_the_model_finds_them(members in members(), required in any::<bool>(), escaped in any::<bool>()) {
        let mut members = members;
        if required {
            let text = |text: &str| Model::Text(text.to_owned());
            members.extend([("user_id", text("7")), ("timestamp", text("7")), ("url", text("7"))]);
        }
        let payload = spell(&members, escaped);
        let wanted = ["user_id", "timestamp", "url", "referrer", "city"].map(str::to_owned);
        let found = call(&instance(""), &[&payload], &wanted).answers.remove(0);
        match model_answer(&members) {
            Ok(columns) => prop_assert_eq!(found, Answer::Event(columns), "{}", payload),
            Err(reason) => prop_assert_eq!(found.reason(), reason, "{}", payload),
        }
    }

    #[test]
    fn batches_change_no_answer(
        spelled in prop::collection::vec((members(), any::<bool>(), prop::collection::vec(change(), 0..2)), 1..12),
        cuts in prop::collection::vec(1_usize..5, 1..5),
    ) {
        let wanted = outputs("");
        let mut payloads = vec![event("\"city\":\"a\"").into_bytes()];
        for (members, escaped, changes) in &spelled {
            let members = [&[("user_id", Model::Text("7".into())), ("url", Model::Text("7".into()))], &members[..]].concat();
            payloads.push(changed(&spell(&members, *escaped).replacen('{', "{\"timestamp\":7,", 1), changes));
        }
        let alone: Vec<Answer> =
            payloads.iter().map(|payload| call(&instance(""), &[payload], &wanted).answers.remove(0)).collect();
        let used = instance("");
        prop_assert_eq!(&call(&used, &payloads, &wanted).answers, &alone);
        let mut rest = payloads.as_slice();
        let mut found = Vec::new();
        for cut in cuts.iter().cycle() {
            let (batch, after) = rest.split_at((*cut).min(rest.len()));
            found.extend(call(&used, batch, &wanted).answers);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&found, &alone);
        let backwards: Vec<Vec<u8>> = payloads.iter().rev().cloned().collect();
        let mut found = call(&used, &backwards, &wanted).answers;
        found.reverse();
        prop_assert_eq!(&found, &alone);
    }
}

#[test]
fn time_is_linear_in_payloads_of_any_shape() {
    // A quarter of a megabyte each of what tempts a scanner to read on, or to read again.
    let quarter = |piece: &str| vec![piece.to_owned(); (1 << 18) / piece.len()];
    let begun = std::time::Instant::now();
    for piece in
        ["\"", "{", "[1,", "1", " ", "\\", "{\"a", "{\"user_id\":\"", "-", "[[[[[[[[", "\"a", "{\"a\":1,"]
    {
        let payloads = quarter(piece);
        let reply = call(&instance(""), &payloads, &outputs(""));
        assert!(reply.answers.iter().all(|answer| answer.reason() != "event"), "{piece}");
        let one = payloads.concat();
        call(&instance(""), &[one], &outputs(""));
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
