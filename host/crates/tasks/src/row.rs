//! The row of a task: the whole truth about it. It changes by compare-and-set of its whole value, is one cell, and is never
//! deleted. Everything else is written once under a name that nobody else uses, or ordered by a number that a row hands out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::name::{BlockName, PartName, PartitionId};

/// The first byte of every row: a greater one means that a newer clickmill wrote it, a smaller one that an older one did. It rises
/// as well where what rows list is written in another way.
const FORMAT: u8 = 3;

/// Buckets of a task's state.
pub const BUCKETS: usize = 64;
/// Commits in an outbox before the task stops reading.
pub const OUTBOX: usize = 256;
/// Change blocks before bases are rewritten to drop the oldest.
pub const CHANGES: usize = 128;
/// Entries of the fence history in a row before the older half goes into a block.
pub const FENCES: usize = 256;
/// The event that sets the horizon is this many from the greatest.
pub const GREATEST: usize = 100;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RowError {
    #[error("the store was written by a newer version (row format {0}); use that version or another store")]
    Newer(u8),
    #[error(
        "the store was written by an older version (row format {0}), which this one does not read; use that version or another store"
    )]
    Older(u8),
    #[error("the row of {0} is damaged: {1}")]
    Damaged(String, String),
}

/// What every row begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Rises at each take-over.
    pub fence: u64,
    /// Rises by one at each change of the row, take-overs included.
    pub commit: u64,
    /// Random, new at each take-over: two take-overs never write equal rows.
    pub owner: u64,
    /// Of the pipeline's definition.
    pub epoch: u32,
}

/// A block that a row lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    pub name: BlockName,
    /// Length of the whole block, in bytes; with the store's size of a part it gives the number of parts.
    pub length: u64,
    /// XXH3, 64 bits, of the whole block.
    pub hash: u64,
}

impl BlockRef {
    /// Its parts, of at most `size` bytes each; an empty block has one.
    pub fn parts(&self, size: usize) -> impl Iterator<Item = PartName> + use<> {
        let block = self.name;
        let parts = (self.length as usize).div_ceil(size).max(1) as u32;
        (0..parts).map(move |part| PartName { block, part })
    }

    /// Its content, as a reader finds it who asks for one part after the other; none where one is gone.
    pub fn content<T>(
        &self,
        size: usize,
        mut part: impl FnMut(PartName) -> Result<Option<Vec<u8>>, T>,
    ) -> Result<Option<Vec<u8>>, T> {
        let mut content = Vec::new();
        for name in self.parts(size) {
            let Some(bytes) = part(name)? else { return Ok(None) };
            content.extend_from_slice(&bytes);
        }
        Ok(Some(content))
    }
}

/// A set of buckets.
pub type BucketSet = u64;

/// State in blocks: each bucket is its base and the changes after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBlocks {
    /// For each bucket that has one: the block, and the commit as of which it is the whole content.
    pub bases: BTreeMap<u8, (BlockRef, u64)>,
    /// In the order of their commits.
    pub changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub commit: u64,
    pub block: BlockRef,
    /// The buckets that it touches.
    pub buckets: BucketSet,
}

impl StateBlocks {
    /// The commit as of which a bucket's base is whole; 0 where it has none.
    pub fn as_of(&self, bucket: usize) -> u64 {
        self.bases.get(&(bucket as u8)).map_or(0, |(_, commit)| *commit)
    }

    /// The commit that changed a bucket last, 0 if none did.
    pub fn touched(&self, bucket: usize) -> u64 {
        let changed = self.changes.iter().rev().find(|change| change.buckets >> bucket & 1 == 1);
        changed.map_or(0, |change| change.commit).max(self.as_of(bucket))
    }

    pub fn listed(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.bases.values().map(|(block, _)| *block).chain(self.changes.iter().map(|change| change.block))
    }
}

/// Where a partition stands in its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The next offset.
    pub next: i64,
    /// The last record before `next`: its offset and fingerprint (XXH3, 64 bits, of its bytes as read).
    pub last: Option<(i64, u64)>,
    /// The source's mark after the last record.
    pub mark: u64,
    /// What else the source must know, in a block.
    pub log: Option<BlockRef>,
    /// The content of that block; not part of the row, loaded with it.
    #[serde(skip)]
    pub log_content: Option<std::sync::Arc<[u8]>>,
}

/// Cumulative, over the life of the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub records: u64,
    pub events: u64,
    pub skipped: u64,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Counters {
    pub fn dead(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    pub fn balanced(&self) -> bool {
        self.records == self.events + self.dead() + self.skipped
    }
}

/// A commit whose delta some shard has not merged yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    pub commit: u64,
    pub epoch: u32,
    pub block: BlockRef,
    /// The shards that it has something for, each with the commit before it that had something for that shard.
    pub shards: Vec<(u32, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRow {
    pub head: Head,
    pub position: Position,
    pub state: StateBlocks,
    pub outbox: Vec<Outgoing>,
    /// For each shard, the last commit that had a delta for it.
    pub last: Vec<u64>,
    /// The newest part of the fence history: each fence that committed an offset, and the first offset that it did or may commit;
    /// both rise. At most [`FENCES`] after a commit, and one more after a take-over; see [`crate::Fences`] for the whole.
    pub fences: Vec<(u64, i64)>,
    /// The part of the fence history before that, in a block.
    pub older_fences: Option<BlockRef>,
    pub counters: Counters,
    /// The greatest times of events, rising; at most [`GREATEST`].
    pub greatest: Vec<i64>,
    /// No event before it is taken any more; never falls. The least value where there is none.
    pub horizon: i64,
    /// The number of the next origin.
    pub origins: u64,
    /// Operators, by number, of which some key went into a cell of its own: one that is not known may lie there.
    pub cold: BTreeSet<u32>,
    /// The input has ended and all of it is committed.
    pub ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRow {
    pub head: Head,
    /// For each partition, the number of the last commit merged.
    pub merged: BTreeMap<PartitionId, u64>,
    pub state: StateBlocks,
    /// For each bucket, the commit up to which the index has every document.
    pub indexed: Vec<u64>,
    /// For each rollup and window by number, where one of its groups went into a cell of its own: the latest end of such a
    /// window. An unknown group that ends no later may lie in a cell.
    pub cold: BTreeMap<(u32, u32), i64>,
    /// While the documents of groups in cells are to be sent anew.
    pub anew: Option<Anew>,
    /// How often the index refused a document for good.
    pub refused: u64,
    /// The newest refusal of each such document, unless a later version was taken since; see [`crate::refused`].
    pub refusals: Option<BlockRef>,
    /// Metrics (by their names in the settings) that failed here and wait for another version.
    pub failed: Vec<String>,
}

/// How far a shard has come that sends the documents of all groups in cells anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// The commit from which on documents are new: a cell with a later timestamp is of a group whose document was sent since.
    pub since: u64,
    /// Where the next page of cells begins.
    pub from: Vec<u8>,
}

/// The head of a task's row, for who keeps rows and need not know the rest; none where the bytes are no row.
pub fn peek(bytes: &[u8]) -> Option<Head> {
    let rest = bytes.strip_prefix(&[FORMAT])?;
    postcard::take_from_bytes(rest).ok().map(|(head, _)| head)
}

/// A row as a task keeps it: what all rows can do.
pub trait Row: Clone + PartialEq + Serialize + DeserializeOwned + Default {
    fn head(&self) -> &Head;
    fn head_mut(&mut self) -> &mut Head;
    /// All blocks that it lists.
    fn listed(&self) -> Vec<BlockRef>;

    fn encode(&self) -> Vec<u8> {
        // A row is plain data; postcard fails only where a writer does, and a vector does not.
        postcard::to_extend(self, vec![FORMAT]).unwrap_or_default()
    }

    fn decode(task: impl std::fmt::Display, bytes: &[u8]) -> Result<Self, RowError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest)
                .map_err(|error| RowError::Damaged(task.to_string(), error.to_string())),
            Some((&format, _)) if format > FORMAT => Err(RowError::Newer(format)),
            Some((&format, _)) if format > 0 => Err(RowError::Older(format)),
            _ => Err(RowError::Damaged(task.to_string(), "it has no format".into())),
        }
    }
}

impl Row for PartitionRow {
    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn listed(&self) -> Vec<BlockRef> {
        let outbox = self.outbox.iter().map(|outgoing| outgoing.block);
        self.state.listed().chain(outbox).chain(self.position.log).chain(self.older_fences).collect()
    }
}

impl Row for ShardRow {
    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn listed(&self) -> Vec<BlockRef> {
        self.state.listed().chain(self.refusals).collect()
    }
}
