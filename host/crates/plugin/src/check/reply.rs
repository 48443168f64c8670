//! Whole replies.

use std::sync::Arc;

use clickmill_columns::{Column, Data, Field, Kind, Values};
use clickmill_tasks::env::{Derived, Enriched, Parsed, Reject};

use super::{
    Ignored, TIMESTAMP,
    column::{Ground, column},
    message,
};
use crate::contract::{RawColumn, RawDerived, RawEnriched, RawParsed, RawReject, RawValues};

/// The instants of the years 0000 to 9999.
const FIRST_INSTANT: i64 = -62_167_219_200_000;
const LAST_INSTANT: i64 = 253_402_300_799_999;

/// The name of the column that says whether a derived row is given or taken back.
const WEIGHT: &str = "weight";

/// What a parser made of `payloads`; `wanted` are the fields that it was asked for.
pub fn parsed(raw: RawParsed, payloads: &Arc<Values>, wanted: &[Field]) -> Result<Parsed, String> {
    let rows = payloads.len();
    let mut ignored = Ignored::default();
    let rejects = self::rejects(raw.rejects, rows, &mut ignored)?;
    for reject in &rejects {
        let length = payloads.get(reject.row as usize).len();
        if let Some(at) = reject.at.filter(|&at| at as usize > length) {
            return Err(format!("reject of row {}: at byte {at} of a payload of {length}", reject.row));
        }
    }
    let mut before = None;
    for &row in &raw.skipped {
        rising(row, before, rows).map_err(|what| format!("skipped rows: {what}"))?;
        if ignored.contains(row as usize) {
            return Err(format!("row {row} is both rejected and skipped"));
        }
        before = Some(row);
    }
    for &row in &raw.skipped {
        ignored.add(row, rows);
    }
    let events = rows - rejects.len() - raw.skipped.len();
    if raw.unusable.len() != wanted.len() {
        return Err(format!("{} counts of unusable values for {} columns", raw.unusable.len(), wanted.len()));
    }
    if let Some(count) = raw.unusable.iter().find(|&&count| count as usize > events) {
        return Err(format!("{count} unusable values in a column of {events} events"));
    }
    let ground = Ground::new(payloads.clone(), raw.made);
    let columns = columns_of(raw.columns, wanted, rows, &ignored, Some(&ground))?;
    Ok(Parsed { columns, rejects, skipped: raw.skipped, unusable: raw.unusable })
}

/// What an enricher made of `rows` rows; `wanted` are the fields that it was asked for.
pub fn enriched(raw: RawEnriched, rows: usize, wanted: &[Field]) -> Result<Enriched, String> {
    let mut ignored = Ignored::default();
    let rejects = rejects(raw.rejects, rows, &mut ignored)?;
    let columns = columns_of(raw.columns, wanted, rows, &ignored, None)?;
    Ok(Enriched { columns, rejects })
}

/// The rows that an operator derived; `outputs` are the fields that it declared.
pub fn derived(raw: RawDerived, outputs: &[Field]) -> Result<Derived, String> {
    let rows = raw.times.len();
    if raw.origins.len() != rows {
        return Err(format!("{rows} times, but {} origins", raw.origins.len()));
    }
    let columns = columns_of(raw.columns, outputs, rows, &Ignored::default(), None)?;
    if let Some(weight) = outputs.iter().position(|output| output.name == WEIGHT) {
        let weight = &columns[weight];
        for row in 0..rows {
            if !matches!(weight.integer(row), Some(1 | -1)) {
                return Err(format!("column `{WEIGHT}`: row {row} is neither 1 nor -1"));
            }
        }
    }
    Ok(Derived { times: raw.times, origins: raw.origins, columns })
}

/// The values that a metric gave for `rows` slots; `outputs` are the fields that it declared. Columns of kind json become
/// objects of documents.
pub fn columns(raw: Vec<RawColumn>, rows: usize, outputs: &[Field]) -> Result<Vec<Column>, String> {
    let columns = columns_of(raw, outputs, rows, &Ignored::default(), None)?;
    for (column, field) in columns.iter().zip(outputs).filter(|(_, field)| field.kind == Kind::Json) {
        let object = |text: &[u8]| text.trim_ascii_start().starts_with(b"{");
        if let Some(row) = (0..rows).find(|&row| column.text(row).is_some_and(|text| !object(text))) {
            return Err(format!("column `{}`: row {row} is no JSON object", field.name));
        }
    }
    Ok(columns)
}

/// Saved states, one a slot.
pub fn values(raw: RawValues, slots: usize) -> Result<Values, String> {
    if raw.ends.len() != slots {
        return Err(format!("{} states for {slots} slots", raw.ends.len()));
    }
    Values::from_parts(raw.bytes, raw.ends)
}

fn columns_of(
    raw: Vec<RawColumn>,
    fields: &[Field],
    rows: usize,
    ignored: &Ignored,
    ground: Option<&Ground>,
) -> Result<Vec<Column>, String> {
    if raw.len() != fields.len() {
        return Err(format!("{} columns, where {} were wanted", raw.len(), fields.len()));
    }
    let mut columns = Vec::with_capacity(fields.len());
    for (raw, field) in raw.into_iter().zip(fields) {
        let column = column(raw, field, rows, ignored, ground)?;
        if field.name == TIMESTAMP {
            timestamps(&column, rows, ignored)?;
        }
        columns.push(column);
    }
    Ok(columns)
}

fn timestamps(column: &Column, rows: usize, ignored: &Ignored) -> Result<(), String> {
    let Data::Integers(instants) = &column.data else { return Ok(()) };
    let bad = |row: usize| !(FIRST_INSTANT..=LAST_INSTANT).contains(&instants[row]) || !column.valid.get(row);
    match (0..rows).find(|&row| bad(row) && !ignored.contains(row)) {
        None => Ok(()),
        Some(row) if column.valid.get(row) => Err(format!(
            "column `{TIMESTAMP}`: row {row}, {} ms, lies outside the years 0000 to 9999",
            instants[row]
        )),
        Some(row) => Err(format!("column `{TIMESTAMP}`: row {row} is an event, but null")),
    }
}

fn rejects(raw: Vec<RawReject>, rows: usize, ignored: &mut Ignored) -> Result<Vec<Reject>, String> {
    let mut before = None;
    let mut all = Vec::with_capacity(raw.len());
    for reject in raw {
        rising(reject.row, before, rows).map_err(|what| format!("rejects: {what}"))?;
        if !is_reason(&reject.reason) {
            return Err(format!(
                "reject of row {}: {:?} is no reason",
                reject.row,
                crate::log::cut(&reject.reason, 64)
            ));
        }
        before = Some(reject.row);
        ignored.add(reject.row, rows);
        let RawReject { row, reason, message: text, at } = reject;
        all.push(Reject { row, reason, message: message(text), at });
    }
    Ok(all)
}

fn rising(row: u32, before: Option<u32>, rows: usize) -> Result<(), String> {
    if row as usize >= rows {
        return Err(format!("row {row} of {rows}"));
    }
    match before {
        Some(before) if row <= before => Err(format!("row {row} comes after row {before}")),
        _ => Ok(()),
    }
}

fn is_reason(reason: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&reason.len()) && reason.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use std::str;

    use clickmill_columns::Family;
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::contract::{RawCoded, RawData, RawPlaces};

    const ROWS: usize = 2;

    fn raw_values(rows: impl Strategy<Value = usize>) -> impl Strategy<Value = RawValues> {
        let value = vec(select(b"a\xc3\xa4\xff{}".to_vec()), 0..3);
        let honest = rows.prop_flat_map(move |rows| vec(value.clone(), rows)).prop_map(|values| {
            let (bytes, ends) = values.iter().map(Vec::as_slice).collect::<Values>().into_parts();
            RawValues { bytes, ends }
        });
        let wild =
            (vec(any::<u8>(), 0..6), vec(0u32..8, 0..4)).prop_map(|(bytes, ends)| RawValues { bytes, ends });
        prop_oneof![3 => honest, 1 => wild]
    }

    /// Mostly as many rows as there are.
    fn rows<T: Strategy + Clone>(row: T) -> impl Strategy<Value = Vec<T::Value>> {
        prop_oneof![9 => vec(row.clone(), ROWS), 1 => vec(row, 0..4)]
    }

    fn raw_column() -> impl Strategy<Value = RawColumn> {
        let number = || rows(prop_oneof![9 => 0u32..6, 1 => any::<u32>()]);
        let data = prop_oneof![
            rows(any::<i64>()).prop_map(RawData::Integers),
            rows(any::<u64>()).prop_map(RawData::Unsigned),
            rows(0u8..3).prop_map(RawData::Booleans),
            raw_values(Just(ROWS)).prop_map(RawData::Text),
            (number(), number()).prop_map(|(starts, lengths)| RawData::Places(RawPlaces { starts, lengths })),
            (raw_values(0..3usize), number())
                .prop_map(|(distinct, codes)| RawData::Coded(RawCoded { distinct, codes })),
        ];
        (data, vec(0u8..5, 0..2)).prop_map(|(data, valid)| RawColumn { data, valid })
    }

    fn field() -> impl Strategy<Value = Field> {
        let kinds = vec![Kind::Text, Kind::Text, Kind::Json, Kind::Instant, Kind::Boolean, Kind::Unsigned];
        (select(vec![TIMESTAMP, WEIGHT, "word"]), select(kinds)).prop_map(|(name, kind)| Field {
            name: name.into(),
            kind,
            unit: String::new(),
            family: Family::ClickData,
            doc: String::new(),
        })
    }

    fn raw_rejects() -> impl Strategy<Value = Vec<RawReject>> {
        let reject =
            (0u32..4, select(vec!["x", "X"]), proptest::option::of(0u32..4)).prop_map(|(row, reason, at)| {
                RawReject { row, reason: reason.into(), message: "ä".repeat(600), at }
            });
        vec(reject, 0..2)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever a parser says: no panic, and where it is taken, every row of every column can be read by anybody.
        #[test]
        fn what_is_taken_keeps_its_promises(
            payloads in vec(select(vec!["a", "ä", "", "{}"]), ROWS),
            columns in vec((raw_column(), field()), 1),
            made in vec(select(b"a\xc3\xa4\xff".to_vec()), 0..4),
            rejects in raw_rejects(),
            skipped in vec(0u32..4, 0..2),
            unusable in vec(0u32..2, 1),
        ) {
            let payloads: Arc<Values> = Arc::new(payloads.iter().map(|text| text.as_bytes()).collect());
            let rows = payloads.len();
            let (columns, wanted): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            let Ok(parsed) = parsed(RawParsed { columns, made, rejects, skipped, unusable }, &payloads, &wanted) else {
                return Ok(());
            };
            prop_assert_eq!(parsed.columns.len(), wanted.len());
            prop_assert!(parsed.rejects.iter().all(|reject| (reject.row as usize) < rows && reject.message.len() <= 1024));
            prop_assert!(parsed.skipped.iter().all(|row| (*row as usize) < rows));
            for mut column in parsed.columns {
                prop_assert_eq!(column.rows(), rows);
                // Also where a row means nothing.
                column.valid = clickmill_columns::Validity::all();
                for row in 0..rows {
                    if matches!(column.data, Data::Text(_) | Data::Places { .. } | Data::Coded { .. }) {
                        let text = column.text(row);
                        prop_assert!(text.is_some_and(|text| str::from_utf8(text).is_ok()), "{:?}", text);
                    }
                }
            }
        }
    }
}
