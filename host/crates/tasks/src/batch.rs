//! What goes in and what comes out of the tasks, in batches.

use std::sync::Arc;

use clickmill_columns::{Column, Field, Values};

use crate::name::PartitionId;

/// Records as a source reads them, in the order of their log.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// The topic or the path, for dead letters.
    pub source: Arc<str>,
    /// The first MiB of each record. May end in a line feed.
    pub payloads: Arc<Values>,
    /// The offset of each record; they rise, perhaps with holes.
    pub offsets: Vec<i64>,
    /// The record's own time in milliseconds, -1 where it has none. Empty: no record has one.
    pub times: Vec<i64>,
    /// Records over 1 MiB: row and length in bytes. Rows rise.
    pub too_large: Vec<(u32, u64)>,
    /// Records that are none by the source's own rules (tombstones). Rows rise.
    pub skipped: Vec<u32>,
    /// Where the source stands after each record (for files: the byte in the file); empty where offsets say it all.
    pub marks: Vec<u64>,
    /// What else the source must know to go on after this batch (for files: the log's segments); none: as before.
    pub log: Option<Arc<[u8]>>,
    /// The position after this batch: at least the last offset + 1. A batch without records may still move it.
    pub next: i64,
}

/// A column of stored events.
#[derive(Clone, Debug)]
pub struct StoredColumn {
    pub field: Arc<Field>,
    pub column: Column,
}

/// Event rows of one partition, for the store.
#[derive(Clone, Debug)]
pub struct EventBatch {
    pub partition: PartitionId,
    pub fence: u64,
    /// Of each event; rising.
    pub offsets: Vec<i64>,
    /// Which row of the columns holds each event.
    pub rows: Vec<u32>,
    pub columns: Vec<StoredColumn>,
}

/// A record that is no event, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub partition: PartitionId,
    pub fence: u64,
    pub offset: i64,
    /// Topic or path.
    pub source: Arc<str>,
    /// The record's own time in milliseconds, where it has one.
    pub time: Option<i64>,
    pub reason: String,
    pub message: String,
    /// The byte of the payload, or of the value that an enricher refused, where it went wrong.
    pub at: Option<u32>,
    /// The plugin that refused it, by its name in the settings; empty: the host.
    pub plugin: String,
    pub digest: String,
    /// Of the whole record, in bytes.
    pub length: u64,
    /// The first MiB of the record.
    pub value: Vec<u8>,
}

/// Documents of one rollup and window, evaluated from committed state.
#[derive(Clone, Debug)]
pub struct DocumentBatch {
    pub shard: u32,
    pub rollup: Arc<str>,
    /// The window as the settings write it, and its length in milliseconds.
    pub window: Arc<str>,
    pub window_millis: i64,
    /// External version of every document in the batch: the shard's commit.
    pub version: u64,
    /// Start of each document's window, milliseconds.
    pub starts: Vec<i64>,
    /// The grouping columns: name, and a text column.
    pub by: Vec<(Arc<str>, Column)>,
    /// The metrics' outputs.
    pub fields: Vec<(Arc<Field>, Column)>,
}

/// What a position remembers of the last record before it: XXH3 of its first MiB, a line feed at the end not counted.
pub fn fingerprint(payload: &[u8]) -> u64 {
    clickmill_columns::hash64(payload.strip_suffix(b"\n").unwrap_or(payload))
}
