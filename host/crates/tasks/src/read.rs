//! What readers beside the running host get: stored events, dead letters and documents, as they are committed.

use std::sync::Arc;

use crate::name::PartitionId;

/// An event that is true: its cell bears the fence under which its offset was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    pub partition: PartitionId,
    pub offset: i64,
    /// Each stored column by name, in the order of the pipeline; text as the contract writes it, none where absent.
    pub cells: Vec<(Arc<str>, Option<String>)>,
}

/// A field of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Unsigned(u64),
    Real(f64),
    Boolean(bool),
    Text(String),
    /// Text that is JSON.
    Json(String),
}

/// The newest version of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    pub rollup: Arc<str>,
    pub window: Arc<str>,
    /// Milliseconds.
    pub start: i64,
    pub window_millis: i64,
    pub by: Vec<(Arc<str>, Option<String>)>,
    pub fields: Vec<(Arc<str>, Value)>,
    pub version: u64,
}

/// Which documents are wanted; what is none is not asked for.
#[derive(Clone, Debug, Default)]
pub struct DocumentFilter {
    pub rollup: Option<String>,
    pub window: Option<String>,
    /// Window starts in `from..to`, milliseconds.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Grouping columns that must equal a value.
    pub equal: Vec<(String, String)>,
    /// Grouping columns that must begin with a text.
    pub prefix: Vec<(String, String)>,
}

impl DocumentFilter {
    pub fn time(&self, start: i64) -> bool {
        self.from.is_none_or(|from| start >= from) && self.to.is_none_or(|to| start < to)
    }

    pub fn group(&self, column: &str, value: Option<&str>) -> bool {
        let equal = self.equal.iter().filter(|(name, _)| name == column).all(|(_, want)| value == Some(want));
        let begins = |want: &str| value.is_some_and(|value| value.starts_with(want));
        equal && self.prefix.iter().filter(|(name, _)| name == column).all(|(_, want)| begins(want))
    }
}
