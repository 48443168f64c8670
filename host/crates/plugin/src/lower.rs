//! Columns on their way to a guest. What lies in memory as the contract wants it is borrowed; only booleans and places are made
//! anew, and only where they occur.

use std::borrow::Cow;

use clickmill_columns::{Column, Data, Values};

use crate::contract::{SentCoded, SentColumn, SentData, SentValues};

/// A datum as the contract packs it.
enum Packed<'a> {
    Integers(&'a [i64]),
    Unsigned(&'a [u64]),
    Reals(&'a [f64]),
    Booleans(Vec<u8>),
    Text(Cow<'a, Values>),
    Coded { distinct: &'a Values, codes: &'a [u32] },
}

/// Columns whose borrowed form can be had as long as this lives.
pub struct Lowered<'a>(Vec<(Packed<'a>, &'a [u8])>);

impl<'a> Lowered<'a> {
    pub fn new(columns: &'a [Column]) -> Lowered<'a> {
        Lowered(columns.iter().map(|column| (pack(column), column.valid.bits())).collect())
    }

    pub fn columns(&self) -> Vec<SentColumn<'_>> {
        self.0.iter().map(|(packed, valid)| SentColumn { data: packed.sent(), valid }).collect()
    }
}

fn pack(column: &Column) -> Packed<'_> {
    match &column.data {
        Data::Integers(values) => Packed::Integers(values),
        Data::Unsigned(values) => Packed::Unsigned(values),
        Data::Reals(values) => Packed::Reals(values),
        Data::Booleans(values) => Packed::Booleans(values.iter().map(|&value| u8::from(value)).collect()),
        Data::Text(values) => Packed::Text(Cow::Borrowed(values)),
        Data::Places { starts, .. } => {
            let text = (0..starts.len()).map(|row| column.text(row).unwrap_or_default()).collect();
            Packed::Text(Cow::Owned(text))
        }
        Data::Coded { distinct, codes } => Packed::Coded { distinct, codes },
    }
}

impl Packed<'_> {
    fn sent(&self) -> SentData<'_> {
        match self {
            Packed::Integers(values) => SentData::Integers(values),
            Packed::Unsigned(values) => SentData::Unsigned(values),
            Packed::Reals(values) => SentData::Reals(values),
            Packed::Booleans(values) => SentData::Booleans(values),
            Packed::Text(text) => SentData::Text(values(text)),
            Packed::Coded { distinct, codes } => {
                SentData::Coded(SentCoded { distinct: values(distinct), codes })
            }
        }
    }
}

/// Byte strings, as they are.
pub fn values(values: &Values) -> SentValues<'_> {
    SentValues { bytes: values.bytes(), ends: values.ends() }
}
