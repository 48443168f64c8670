//! One column of a reply.

use std::sync::Arc;

use clickmill_columns::{Buffer, Column, Data, Field, Kind, Validity, Values};
use serde::de::IgnoredAny;

use super::{
    Ignored,
    text::{Encoding, text},
};
use crate::contract::{RawColumn, RawData, RawValues};

/// What places may point into, and what is known of it.
pub struct Ground {
    buffer: Arc<Buffer>,
    payloads: Encoding,
    made: Encoding,
}

impl Ground {
    pub fn new(payloads: Arc<Values>, made: Vec<u8>) -> Ground {
        let (payload_text, made_text) = (Encoding::of(payloads.bytes()), Encoding::of(&made));
        Ground { buffer: Arc::new(Buffer::new(payloads, made)), payloads: payload_text, made: made_text }
    }

    /// Whether this place lies within the payloads or within the made text, and is UTF-8.
    #[inline]
    fn judge(&self, start: u32, length: u32) -> Result<(), &'static str> {
        let border = self.buffer.border();
        let end = start as usize + length as usize;
        if end > self.buffer.len() {
            return Err("lies outside");
        }
        let (encoding, last) = if (start as usize) < border {
            if end > border {
                return Err("crosses the border between payloads and made text");
            }
            (self.payloads, border)
        } else {
            (self.made, self.buffer.len())
        };
        if encoding == Encoding::Ascii {
            return Ok(());
        }
        let value = self.buffer.get(start, length).unwrap_or_default();
        let next = if end < last { self.byte(end) } else { None };
        if encoding.is_text(value, next) { Ok(()) } else { Err("is not UTF-8") }
    }

    /// Whether all places are well, where that can be told without a look at the text and without a decision for each.
    fn are_plainly_well(&self, starts: &[u32], lengths: &[u32]) -> bool {
        let (border, length) = (self.buffer.border() as u64, self.buffer.len() as u64);
        let is_wrong = |(&start, &of): (&u32, &u32)| {
            let (start, end) = (u64::from(start), u64::from(start) + u64::from(of));
            (end > length) | (start < border) & (end > border)
        };
        let is_ascii = self.payloads == Encoding::Ascii && self.made == Encoding::Ascii;
        is_ascii && !starts.iter().zip(lengths).map(is_wrong).fold(false, |any, wrong| any | wrong)
    }

    fn byte(&self, at: usize) -> Option<&u8> {
        self.buffer.get(u32::try_from(at).ok()?, 1)?.first()
    }
}

/// Makes a column of what a guest gave for `field`. Places are allowed where there is a ground for them.
pub fn column(
    raw: RawColumn,
    field: &Field,
    rows: usize,
    ignored: &Ignored,
    ground: Option<&Ground>,
) -> Result<Column, String> {
    checked(raw, field.kind, rows, ignored, ground).map_err(|what| format!("column `{}`: {what}", field.name))
}

fn checked(
    raw: RawColumn,
    kind: Kind,
    rows: usize,
    ignored: &Ignored,
    ground: Option<&Ground>,
) -> Result<Column, String> {
    let valid = validity(raw.valid, rows)?;
    let counts = |row: usize| valid.get(row) && !ignored.contains(row);
    let of_rows = |length: usize| {
        if length == rows { Ok(()) } else { Err(format!("{length} rows, where there are {rows}")) }
    };
    let data = match (kind, raw.data) {
        (Kind::Instant | Kind::Duration | Kind::Integer, RawData::Integers(values)) => {
            of_rows(values.len())?;
            Data::Integers(values)
        }
        (Kind::Unsigned, RawData::Unsigned(values)) => {
            of_rows(values.len())?;
            Data::Unsigned(values)
        }
        (Kind::Real, RawData::Reals(values)) => {
            of_rows(values.len())?;
            Data::Reals(values)
        }
        (Kind::Boolean, RawData::Booleans(values)) => {
            of_rows(values.len())?;
            Data::Booleans(booleans(&values, counts)?)
        }
        (Kind::Text | Kind::Json, RawData::Text(values)) => {
            of_rows(values.ends.len())?;
            Data::Text(text(structure(values)?, counts)?)
        }
        (Kind::Text | Kind::Json, RawData::Coded(coded)) => {
            of_rows(coded.codes.len())?;
            let distinct = structure(coded.distinct)
                .and_then(|values| text(values, |_| true))
                .map_err(|what| format!("distinct values: {what}"))?;
            self::coded(distinct, coded.codes, counts)?
        }
        (Kind::Text | Kind::Json, RawData::Places(places)) => {
            let ground = ground.ok_or("places, which only parsers may give")?;
            of_rows(places.starts.len())?;
            of_rows(places.lengths.len())?;
            self::places(ground, places.starts, places.lengths, counts)?
        }
        (kind, other) => {
            return Err(format!("{} are not how a column of kind {} is given", data_name(&other), kind));
        }
    };
    let column = Column { data, valid };
    if kind == Kind::Json {
        json(&column, rows, ignored)?;
    }
    Ok(column)
}

fn validity(bits: Vec<u8>, rows: usize) -> Result<Validity, String> {
    if let Some(last) = bits.last()
        && !rows.is_multiple_of(8)
        && last >> (rows % 8) != 0
        && bits.len() == rows.div_ceil(8)
    {
        return Err("validity bits beyond the last row".into());
    }
    Validity::from_bits(bits, rows)
}

fn structure(raw: RawValues) -> Result<Values, String> {
    Values::from_parts(raw.bytes, raw.ends)
}

fn booleans(bytes: &[u8], counts: impl Fn(usize) -> bool) -> Result<Vec<bool>, String> {
    match bytes.iter().enumerate().find(|&(row, &byte)| byte > 1 && counts(row)) {
        Some((row, byte)) => Err(format!("row {row} is {byte}, where booleans are 0 or 1")),
        None => Ok(bytes.iter().map(|&byte| byte == 1).collect()),
    }
}

fn coded(mut distinct: Values, mut codes: Vec<u32>, counts: impl Fn(usize) -> bool) -> Result<Data, String> {
    let number = distinct.len();
    if codes.iter().any(|&code| code as usize >= number) {
        for (row, code) in codes.iter_mut().enumerate().filter(|(_, code)| **code as usize >= number) {
            if counts(row) {
                return Err(format!("row {row} has code {code}, where there are {number} distinct values"));
            }
            *code = 0;
        }
        if distinct.is_empty() {
            distinct.push(b"");
        }
    }
    Ok(Data::Coded { distinct: Arc::new(distinct), codes })
}

fn places(
    ground: &Ground,
    mut starts: Vec<u32>,
    mut lengths: Vec<u32>,
    counts: impl Fn(usize) -> bool,
) -> Result<Data, String> {
    if ground.are_plainly_well(&starts, &lengths) {
        return Ok(Data::Places { buffer: ground.buffer.clone(), starts, lengths });
    }
    for (row, (start, length)) in starts.iter_mut().zip(&mut lengths).enumerate() {
        if let Err(what) = ground.judge(*start, *length) {
            if counts(row) {
                let (payloads, made) = (ground.buffer.border(), ground.buffer.len() - ground.buffer.border());
                return Err(format!(
                    "row {row}, {length} bytes from {start} on, {what} (payloads: {payloads} bytes, made text: {made})"
                ));
            }
            (*start, *length) = (0, 0);
        }
    }
    Ok(Data::Places { buffer: ground.buffer.clone(), starts, lengths })
}

fn json(column: &Column, rows: usize, ignored: &Ignored) -> Result<(), String> {
    for row in (0..rows).filter(|&row| !ignored.contains(row)) {
        if let Some(text) = column.text(row)
            && let Err(error) = serde_json::from_slice::<IgnoredAny>(text)
        {
            return Err(format!("row {row} is not JSON: {error}"));
        }
    }
    Ok(())
}

fn data_name(data: &RawData) -> &'static str {
    match data {
        RawData::Integers(_) => "integers",
        RawData::Unsigned(_) => "unsigned",
        RawData::Reals(_) => "reals",
        RawData::Booleans(_) => "booleans",
        RawData::Text(_) => "text values",
        RawData::Places(_) => "places",
        RawData::Coded(_) => "codes",
    }
}
