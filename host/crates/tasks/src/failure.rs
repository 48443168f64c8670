//! Why a partition's plugins could not work on rows.

use crate::{
    context::{Ended, blameless},
    env::CallError,
};

/// Why rows could not be worked on. The slots are void.
pub(crate) enum Failure {
    /// A plugin (by name and digest) cannot take this row of the batch.
    Row {
        row: u32,
        plugin: (String, String),
        message: String,
    },
    /// A plugin failed in a call with these rows.
    Call {
        plugin: (String, String),
        message: String,
        timed_out: bool,
    },
    Ended(Ended),
}

impl Failure {
    /// What an error of a plugin (by name and digest) means for the rows that it was given; without rows it is the plugin's own.
    pub fn of(name: &str, digest: &str, error: CallError, rows: &[u32]) -> Failure {
        if rows.is_empty() {
            return blameless(name, error).into();
        }
        let plugin = (name.to_owned(), digest.to_owned());
        match error {
            CallError::Row(row, message) => match rows.get(row as usize) {
                Some(&row) => Failure::Row { row, plugin, message },
                None => Failure::Call { plugin, message, timed_out: false },
            },
            CallError::TimedOut(message) => Failure::Call { plugin, message, timed_out: true },
            CallError::Call(message) => Failure::Call { plugin, message, timed_out: false },
        }
    }

    /// What the task ends with where no record is to blame, and `why` none is.
    pub fn blameless(self, why: &str) -> Ended {
        match self {
            Failure::Ended(ended) => ended,
            Failure::Row { plugin, message, .. } | Failure::Call { plugin, message, .. } => {
                Ended::Plugin(format!("plugin `{}`: {message}; {why}", plugin.0))
            }
        }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Failure {
        Failure::Ended(ended)
    }
}
