//! Columns, honest and lying.

use crate::bindings::clickmill::plugin::columns::{Coded, Column, Data, Places, Values};

/// The values as text, without line ends.
pub fn lines(values: &Values) -> Vec<String> {
    let mut start = 0;
    let mut lines = Vec::new();
    for &end in &values.ends {
        let value = &values.bytes[start..end as usize];
        lines.push(String::from_utf8_lossy(value).trim_end().to_owned());
        start = end as usize;
    }
    lines
}

/// The rows of a text column, as they were given.
pub fn words(column: &Column) -> Vec<String> {
    match &column.data {
        Data::Text(values) => lines(values),
        Data::Coded(coded) => {
            let distinct = lines(&coded.distinct);
            coded.codes.iter().map(|&code| distinct[code as usize].clone()).collect()
        }
        Data::Unsigned(hashes) => hashes.iter().map(u64::to_string).collect(),
        Data::Booleans(flags) => flags.iter().map(u8::to_string).collect(),
        _ => Vec::new(),
    }
}

pub fn values(all: Vec<String>) -> Values {
    let mut values = Values { bytes: Vec::new(), ends: Vec::new() };
    for value in all {
        values.bytes.extend_from_slice(value.as_bytes());
        values.ends.push(values.bytes.len() as u32);
    }
    values
}

pub fn text(all: Vec<String>) -> Data {
    Data::Text(values(all))
}

/// Each line as a place in the payloads.
pub fn places(payloads: &Values) -> Data {
    let lengths = lines(payloads).iter().map(|line| line.len() as u32).collect();
    let mut starts = vec![0];
    starts.extend(&payloads.ends);
    starts.truncate(payloads.ends.len());
    Data::Places(Places { starts, lengths })
}

pub fn codes(lines: &[String]) -> Data {
    let codes = lines.iter().map(|line| u32::from(line.starts_with("reject"))).collect();
    Data::Coded(Coded { distinct: values(vec!["kept".into(), "unwelcome".into()]), codes })
}

/// The column, with the lie that `what` asks for if it is one about the column of this name.
pub fn lying(data: Data, what: &str, name: &str, rows: usize) -> Column {
    let mut column = Column { data, valid: Vec::new() };
    let Some(what) = what.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')) else { return column };
    match (what, &mut column.data) {
        ("short", Data::Integers(values)) => {
            values.pop();
        }
        ("short", Data::Unsigned(values)) => {
            values.pop();
        }
        ("short", Data::Text(values)) => {
            values.ends.pop();
        }
        ("short", Data::Places(places)) => {
            places.lengths.pop();
        }
        ("kind", data) => *data = Data::Reals(vec![0.5; rows]),
        ("null", _) => column.valid = vec![0; rows.div_ceil(8)],
        ("far", Data::Integers(values)) => values.fill(i64::MAX),
        ("outside", Data::Places(places)) => places.starts.fill(u32::MAX),
        ("long", Data::Places(places)) => places.lengths.fill(u32::MAX),
        ("border", Data::Places(places)) => {
            if let (Some(&start), Some(length)) = (places.starts.last(), places.lengths.last_mut()) {
                *length += 3;
                let _ = start;
            }
        }
        ("cut", Data::Places(places)) => places.lengths.iter_mut().for_each(|length| *length -= 1),
        ("made", Data::Places(places)) => {
            // "gemacht ä" lies behind the payloads.
            let border: u32 = places.starts.last().map_or(0, |start| start + places.lengths[rows - 1] + 1);
            places.starts.fill(border);
            places.lengths.fill(9);
        }
        ("bytes", data) => {
            *data = Data::Text(Values { bytes: vec![0xff; rows], ends: (1..=rows as u32).collect() })
        }
        ("ends-fall", Data::Text(values)) => values.ends.reverse(),
        ("ends-short", Data::Text(values)) => values.bytes.push(b'x'),
        ("places", data) => *data = Data::Places(Places { starts: vec![0; rows], lengths: vec![0; rows] }),
        ("code", Data::Coded(coded)) => coded.codes.fill(7),
        ("distinct", Data::Coded(coded)) => coded.distinct.bytes.fill(0xff),
        ("two", Data::Booleans(flags)) => flags.fill(2),
        ("valid-length", _) => column.valid = vec![255; rows.div_ceil(8) + 1],
        ("valid-beyond", _) => column.valid = vec![255; rows.div_ceil(8)],
        ("not-json", Data::Text(texts)) => texts.bytes.fill(b'{'),
        (other, _) => panic!("there is no lie {other}"),
    }
    column
}
