//! Every odd spelling that the contract's section 1 decides, through the binary: a line goes in, and a stored event, a dead letter
//! or nothing comes out.
#![allow(clippy::unwrap_used)]

mod fields;
mod payloads;
mod times;
mod urls;

use std::collections::BTreeMap;

use clickmill_tests::{Folder, ndjson, summary};
use serde_json::{Map, Value, json};

const SETTINGS: &str = "[source]\npaths = [\"lines\"]\n[store]\npath = \"store\"\n";

/// The fields of a stored event, all of them.
const EVENT: [&str; 18] = [
    "partition",
    "offset",
    "timestamp",
    "user_id",
    "url",
    "raw_url",
    "event_id",
    "event_type",
    "referrer",
    "session_id",
    "country",
    "city",
    "region",
    "ip_address",
    "user_agent",
    "browser",
    "operating_system",
    "device",
];

/// What a line must become.
pub enum Want {
    /// An event whose fields differ from those of the plainest one in these.
    Event(Vec<(&'static str, Value)>),
    /// A dead letter of this reason.
    Dead(&'static str),
    /// No record at all.
    Nothing,
}

pub struct Case {
    line: Vec<u8>,
    want: Want,
}

pub fn event<const N: usize>(line: impl Into<Vec<u8>>, fields: [(&'static str, &str); N]) -> Case {
    let fields = fields.map(|(name, value)| (name, Value::from(value)));
    Case { line: line.into(), want: Want::Event(fields.into()) }
}

pub fn dead(reason: &'static str, line: impl Into<Vec<u8>>) -> Case {
    Case { line: line.into(), want: Want::Dead(reason) }
}

pub fn nothing(line: impl Into<Vec<u8>>) -> Case {
    Case { line: line.into(), want: Want::Nothing }
}

/// The plainest event, with these members behind it.
pub fn plain(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"user_id":"u","timestamp":1772359200000,"url":"https://example.com/"{comma}{members}}}"#)
}

/// The plainest event, with another value in the place of one of its three fields.
pub fn with(field: &str, value: &str) -> String {
    let of = |name: &str, usual: &str| format!("\"{name}\":{}", if name == field { value } else { usual });
    let fields =
        [of("user_id", "\"u\""), of("timestamp", "1772359200000"), of("url", "\"https://example.com/\"")];
    format!("{{{}}}", fields.join(","))
}

/// Lines of a file, each ended as the case says: by the line feed that is put here.
pub fn judge(name: &str, cases: &[Case]) {
    let folder = Folder::new(name);
    folder.write("clickmill.toml", SETTINGS);
    let mut file = Vec::new();
    for case in cases {
        file.extend_from_slice(&case.line);
        file.push(b'\n');
    }
    folder.write("lines", file);
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    let mut events = by_offset(ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"])));
    let mut letters = by_offset(ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"])));
    assert_eq!(last["events"], events.len());
    assert_eq!(last["dead_letters"], letters.len());
    assert_eq!(last["records"], events.len() + letters.len());

    let (mut offset, mut faults) = (0, Vec::new());
    for case in cases {
        let shown = String::from_utf8_lossy(&case.line[..case.line.len().min(200)]).into_owned();
        if matches!(case.want, Want::Nothing) {
            continue;
        }
        let found = (events.remove(&offset), letters.remove(&offset));
        let fault = match (&case.want, found) {
            (Want::Event(fields), (Some(event), None)) => compare(offset, fields, &event),
            (Want::Dead(reason), (None, Some(letter))) => compare_letter(reason, &case.line, &letter),
            (_, found) => Some(format!("became {found:?}")),
        };
        faults.extend(fault.map(|fault| format!("{offset} {shown}\n    {fault}")));
        offset += 1;
    }
    assert!(events.is_empty() && letters.is_empty(), "more came than was asked for: {events:?} {letters:?}");
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

fn by_offset(rows: Vec<Value>) -> BTreeMap<i64, Value> {
    let count = rows.len();
    let rows: BTreeMap<i64, Value> =
        rows.into_iter().map(|row| (row["offset"].as_i64().unwrap(), row)).collect();
    assert_eq!(rows.len(), count, "an offset comes twice");
    rows
}

fn compare(offset: i64, fields: &[(&'static str, Value)], event: &Value) -> Option<String> {
    let mut want: Map<String, Value> = EVENT.iter().map(|&name| (name.to_owned(), Value::Null)).collect();
    let usual = json!({"partition": 0, "offset": offset, "timestamp": "2026-03-01T10:00:00.000Z", "user_id": "u",
        "url": "https://example.com/", "event_type": "page_view", "country": "ZZ"});
    want.extend(usual.as_object().unwrap().clone());
    want.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let have = event.as_object().unwrap();
    let differ = |name: &&String| want.get(*name) != have.get(*name);
    let names: Vec<&String> = want.keys().chain(have.keys()).filter(differ).collect();
    let show = |name: &&String| format!("{name}: {:?}, want {:?}", have.get(*name), want.get(*name));
    (!names.is_empty()).then(|| names.iter().map(show).collect::<Vec<_>>().join("; "))
}

/// The first MiB of the record is kept, as text where it is.
fn compare_letter(reason: &str, line: &[u8], letter: &Value) -> Option<String> {
    let names = [
        "at",
        "digest",
        "length",
        "message",
        "offset",
        "partition",
        "plugin",
        "reason",
        "source",
        "time",
        "value",
        "value_base64",
    ];
    let have: Vec<&String> = letter.as_object().unwrap().keys().collect();
    if have != names {
        return Some(format!("has the fields {have:?}"));
    }
    if letter["reason"] != reason {
        return Some(format!("is {}: {}; want {reason}", letter["reason"], letter["message"]));
    }
    let nuls = line.iter().take_while(|byte| **byte == 0).count();
    let line = &line[nuls..];
    let length = line.len() - usize::from(line.ends_with(b"\r"));
    let kept = &line[..length.min(1 << 20)];
    // A carriage return of a line's end may be kept or not; it is not counted in `too-large` only.
    let text = letter["value"].as_str().map(|text| text.strip_suffix('\r').unwrap_or(text));
    let kept_well = match std::str::from_utf8(kept) {
        Ok(kept) => text == Some(kept) && letter["value_base64"].is_null(),
        Err(_) => letter["value"].is_null() && letter["value_base64"].is_string(),
    };
    if !kept_well || letter["message"].as_str().is_none_or(str::is_empty) || !letter["time"].is_null() {
        return Some(format!("is {letter:.300}"));
    }
    let said = letter["length"].as_u64().unwrap() as usize;
    (said != length && said != line.len()).then(|| format!("has length {said}, want {length}"))
}
