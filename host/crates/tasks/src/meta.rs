//! The row of the store itself: to which log, group and definition it belongs. Made by compare-and-set from absent; another one is
//! a clear error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    context::Pause,
    env::{Env, Store, Trouble},
    name::TaskId,
};

/// What a store belongs to, from the day it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub format: u32,
    /// Random; an index bears it too.
    pub identity: String,
    /// What is read: a topic, a file log, generated traffic.
    pub source: String,
    pub group: String,
    pub shards: u32,
    pub buckets: u32,
    /// Where the partitions begin that existed when the store was made; later ones begin at 0.
    pub beginnings: BTreeMap<u32, i64>,
    /// The definition of the pipeline, as the settings crate writes it.
    pub definition: serde_json::Value,
}

/// The format of the store that this version writes.
pub const FORMAT: u32 = 1;

#[derive(Debug, Error)]
pub enum MetaError {
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error(
        "the store was written by a newer version (format {0}, this one knows {FORMAT}); use that version or another store"
    )]
    Newer(u32),
    #[error("the store's own row is damaged: {0}; restore the store from a copy")]
    Damaged(String),
    #[error("the store belongs to {theirs}, but the settings say {ours}; use another store for it")]
    Other { theirs: String, ours: String },
}

/// The store's row; where there is none, `new` becomes it. Who loses the race to make it takes what the winner made.
pub async fn open<E: Env>(env: &E, new: &Meta) -> Result<Meta, MetaError> {
    let bytes = serde_json::to_vec(new).map_err(|error| MetaError::Damaged(error.to_string()))?;
    let mut pause = Pause::default();
    for attempt in 0.. {
        let answer = match env.store().read_row(TaskId::Meta).await {
            Ok(Some(row)) => return known(&row, new),
            Ok(None) => env.store().swap_row(TaskId::Meta, None, &bytes).await.map(|_| ()),
            Err(trouble) => Err(trouble),
        };
        match answer {
            Err(Trouble::Passing(_)) if attempt < ATTEMPTS => pause.rest(env).await,
            Err(trouble) => return Err(trouble.into()),
            Ok(()) => {}
        }
    }
    Err(MetaError::Damaged("it cannot be made".into()))
}

/// How often a store that does not answer is asked before the host says so and ends.
const ATTEMPTS: u32 = 12;

/// The row as it stands in a store.
pub fn decode(row: &[u8]) -> Result<Meta, MetaError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |error: serde_json::Error| MetaError::Damaged(error.to_string());
    let Format { format } = serde_json::from_slice(row).map_err(damaged)?;
    if format > FORMAT {
        return Err(MetaError::Newer(format));
    }
    serde_json::from_slice(row).map_err(damaged)
}

fn known(row: &[u8], ours: &Meta) -> Result<Meta, MetaError> {
    let meta = decode(row)?;
    let show = |meta: &Meta| match meta.group.is_empty() {
        true => meta.source.clone(),
        false => format!("{} and the group `{}`", meta.source, meta.group),
    };
    if (&meta.source, &meta.group) != (&ours.source, &ours.group) {
        return Err(MetaError::Other { theirs: show(&meta), ours: show(ours) });
    }
    Ok(meta)
}
