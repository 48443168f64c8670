//! Calls the parser as a host would, and reads its replies as plain rows.

#![allow(dead_code, clippy::unwrap_used)]

use plugin_json::bindings::clickmill::plugin::columns::{Column, Data, Values};
use plugin_json::bindings::exports::clickmill::plugin::parser::{Guest, GuestInstance, Parsed};
use plugin_json::{Component, Instance};

/// All that the parser makes of one payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The wanted columns as text; nulls are none.
    Event(Vec<Option<String>>),
    Reject {
        reason: String,
        message: String,
        at: Option<u32>,
    },
}

impl Answer {
    pub fn reason(&self) -> &str {
        match self {
            Self::Event(_) => "event",
            Self::Reject { reason, .. } => reason,
        }
    }
}

pub struct Reply {
    pub answers: Vec<Answer>,
    pub unusable: Vec<u32>,
}

/// The names of all outputs.
pub fn outputs(params: &str) -> Vec<String> {
    Component::describe(params.to_owned()).unwrap().outputs.into_iter().map(|field| field.name).collect()
}

pub fn instance(params: &str) -> Instance {
    Component::describe(params.to_owned()).unwrap();
    Instance::new(params.to_owned())
}

/// What an instance answers to a batch, checked as a host would check it.
pub fn call<P: AsRef<[u8]>>(instance: &Instance, payloads: &[P], wanted: &[String]) -> Reply {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for payload in payloads {
        bytes.extend_from_slice(payload.as_ref());
        ends.push(bytes.len() as u32);
    }
    let parsed = instance.parse(Values { bytes: bytes.clone(), ends }, wanted.to_vec()).unwrap();
    read(&bytes, payloads.len(), wanted.len(), parsed)
}

fn read(batch: &[u8], rows: usize, wanted: usize, parsed: Parsed) -> Reply {
    assert_eq!(parsed.columns.len(), wanted);
    assert_eq!(parsed.unusable.len(), wanted);
    assert!(parsed.skipped.is_empty());
    assert!(parsed.rejects.is_sorted_by(|one, other| one.row < other.row));
    let columns: Vec<Vec<Option<String>>> =
        parsed.columns.iter().map(|column| texts(batch, &parsed.made, rows, column)).collect();
    let mut rejects = parsed.rejects.into_iter().peekable();
    let answers = (0..rows).map(|row| match rejects.next_if(|reject| reject.row as usize == row) {
        Some(reject) => {
            assert!(reject.message.len() <= 1024, "{}", reject.message);
            Answer::Reject { reason: reject.reason, message: reject.message, at: reject.at }
        }
        None => Answer::Event(columns.iter().map(|column| column[row].clone()).collect()),
    });
    let answers = answers.collect();
    assert!(rejects.next().is_none());
    Reply { answers, unusable: parsed.unusable }
}

fn texts(batch: &[u8], made: &[u8], rows: usize, column: &Column) -> Vec<Option<String>> {
    if !column.valid.is_empty() {
        assert_eq!(column.valid.len(), rows.div_ceil(8));
        for row in rows..column.valid.len() * 8 {
            assert_eq!(column.valid[row / 8] >> (row % 8) & 1, 0, "bits beyond the last row are 0");
        }
        assert!((0..rows).any(|row| column.valid[row / 8] >> (row % 8) & 1 == 0));
    }
    let data: Vec<String> = match &column.data {
        Data::Integers(data) => data.iter().map(i64::to_string).collect(),
        Data::Unsigned(data) => data.iter().map(u64::to_string).collect(),
        Data::Reals(data) => {
            data.iter().inspect(|real| assert!(real.is_finite())).map(f64::to_string).collect()
        }
        Data::Booleans(data) => {
            data.iter().map(|byte| ["false", "true"][usize::from(*byte)].to_owned()).collect()
        }
        Data::Places(places) => {
            assert_eq!(places.starts.len(), places.lengths.len());
            places
                .starts
                .iter()
                .zip(&places.lengths)
                .map(|(start, length)| {
                    let (start, end) = (*start as usize, (*start + *length) as usize);
                    let text = if end <= batch.len() {
                        &batch[start..end]
                    } else {
                        &made[start - batch.len()..end - batch.len()]
                    };
                    std::str::from_utf8(text).unwrap().to_owned()
                })
                .collect()
        }
        other => panic!("a parser has no use for {other:?}"),
    };
    assert_eq!(data.len(), rows);
    let valid = |row: usize| column.valid.get(row / 8).is_none_or(|byte| byte >> (row % 8) & 1 == 1);
    data.into_iter().enumerate().map(|(row, text)| valid(row).then_some(text)).collect()
}

/// The answer to one payload, all columns wanted.
pub fn answer(params: &str, payload: impl AsRef<[u8]>) -> Answer {
    let wanted = outputs(params);
    call(&instance(params), &[payload], &wanted).answers.remove(0)
}

/// One column of one event.
pub fn column(params: &str, payload: impl AsRef<[u8]>, name: &str) -> Option<String> {
    let (found, _) = column_and_unusable(params, payload, name);
    found
}

/// One column of one event, and how often its value could not be used.
pub fn column_and_unusable(params: &str, payload: impl AsRef<[u8]>, name: &str) -> (Option<String>, u32) {
    let shown = String::from_utf8_lossy(payload.as_ref()).into_owned();
    let reply = call(&instance(params), &[payload], &[name.to_owned()]);
    match &reply.answers[0] {
        Answer::Event(columns) => (columns[0].clone(), reply.unusable[0]),
        reject => panic!("{shown}: {reject:?}"),
    }
}

/// A payload that is an event, with some more members.
pub fn event(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"user_id":"u","timestamp":0,"url":"http://a/"{comma}{members}}}"#)
}
