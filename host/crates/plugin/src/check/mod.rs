//! Whatever a guest returns is checked here before anybody uses it: what comes out keeps every promise of the host's own types,
//! whatever went in. Errors say what was wrong, in the words of the contract, for the author of the plugin.
//!
//! Rows that are rejected, skipped or null may hold anything. Where what they hold would break a promise it is replaced by
//! something empty, so that nobody who reads a column has to know about them.

mod column;
mod describe;
mod reply;
mod text;

pub use describe::{enricher, metric, operator, parser};
pub use reply::{columns, derived, enriched, parsed, values};

use crate::log::cut;

/// Longest message of a reject or a failure, in bytes; what is longer is cut.
const MAX_MESSAGE: usize = 1024;

/// The name of the time of an event.
const TIMESTAMP: &str = "timestamp";

/// A message for people, at most as long as the contract allows.
pub fn message(text: String) -> String {
    if text.len() <= MAX_MESSAGE { text } else { cut(&text, MAX_MESSAGE).to_owned() }
}

/// Which rows of a reply mean nothing.
#[derive(Default)]
pub struct Ignored(Vec<bool>);

impl Ignored {
    fn add(&mut self, row: u32, rows: usize) {
        if self.0.is_empty() {
            self.0 = vec![false; rows];
        }
        self.0[row as usize] = true;
    }

    fn contains(&self, row: usize) -> bool {
        !self.0.is_empty() && self.0[row]
    }
}
