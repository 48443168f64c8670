//! How documents lie in Parquet: the columns of a file, and what a row of it says.

use std::collections::HashMap;

use clickmill_columns::{Column, Data, Kind, Tuple};
use clickmill_tasks::batch::DocumentBatch;
use serde::{Deserialize, Serialize};

use crate::table::{Rows, Spec};

pub const ROLLUP: &str = "rollup";
pub const WINDOW: &str = "window";
pub const START: &str = "@timestamp";
pub const END: &str = "window_end";
pub const VERSION: &str = "_version";
pub const SHARD: &str = "_shard";

/// What the files of one rollup have beside the columns that all have. Files are merged only where it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub by: Vec<String>,
    pub fields: Vec<(String, Kind)>,
}

impl Layout {
    pub fn of(batch: &DocumentBatch) -> Layout {
        let fields = batch.fields.iter().map(|(field, _)| (field.name.clone(), field.kind));
        Layout { by: batch.by.iter().map(|(name, _)| name.to_string()).collect(), fields: fields.collect() }
    }

    pub fn parse(json: &str) -> Option<Layout> {
        serde_json::from_str(json).ok()
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn specs(&self) -> Vec<Spec> {
        let head = [(ROLLUP, Kind::Text), (WINDOW, Kind::Text), (START, Kind::Instant), (END, Kind::Instant)];
        let tail = [(VERSION, Kind::Unsigned), (SHARD, Kind::Integer)];
        let fixed = |(name, kind): (&str, Kind)| Spec::new(name, kind, false);
        let by = self.by.iter().map(|name| Spec::new(name, Kind::Text, true));
        let fields = self.fields.iter().map(|(name, kind)| Spec::new(name, *kind, true));
        head.map(fixed).into_iter().chain(by).chain(fields).chain(tail.map(fixed)).collect()
    }
}

/// Rows of a file, by name.
pub struct Documents<'a> {
    columns: HashMap<&'a str, &'a Column>,
    layout: &'a Layout,
    pub rows: usize,
}

impl<'a> Documents<'a> {
    pub fn new(specs: &'a [Spec], rows: &'a Rows, layout: &'a Layout) -> Documents<'a> {
        let columns = specs.iter().map(|spec| &*spec.name).zip(&rows.columns).collect();
        Documents { columns, layout, rows: rows.rows }
    }

    pub fn column(&self, name: &str) -> Option<&'a Column> {
        self.columns.get(name).copied()
    }

    pub fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        self.column(name)?.text(row).and_then(|text| std::str::from_utf8(text).ok())
    }

    pub fn integer(&self, name: &str, row: usize) -> i64 {
        self.column(name).and_then(|column| column.integer(row)).unwrap_or_default()
    }

    pub fn version(&self, row: usize) -> u64 {
        match self.column(VERSION).map(|column| &column.data) {
            Some(Data::Unsigned(versions)) => versions[row],
            _ => 0,
        }
    }

    /// What tells a document of one rollup from all others.
    pub fn key(&self, row: usize) -> Tuple {
        let start = self.integer(START, row).to_le_bytes();
        let window = self.column(WINDOW).and_then(|column| column.text(row));
        let by = self.layout.by.iter().map(|name| self.column(name).and_then(|column| column.text(row)));
        Tuple::new([window, Some(&start[..])].into_iter().chain(by))
    }
}
