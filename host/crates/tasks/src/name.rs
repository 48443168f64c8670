//! Names of tasks, blocks and their parts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition of the source and the number of its log: 0, until another log was chosen for the same partition
/// (`--resume-at new-log`), whose records have offsets of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    pub partition: u32,
    pub log: u32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.partition)?;
        if self.log > 0 { write!(f, " (log {})", self.log) } else { Ok(()) }
    }
}

/// Who owns a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskId {
    /// The row of the store itself.
    Meta,
    Partition(PartitionId),
    Shard(u32),
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskId::Meta => write!(f, "meta"),
            TaskId::Partition(partition) => write!(f, "partition {partition}"),
            TaskId::Shard(shard) => write!(f, "shard {shard}"),
        }
    }
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockKind {
    /// The dirty slots of a commit.
    Change,
    /// A bucket's whole content.
    Base,
    /// What a commit of a partition adds to the groups, for all shards.
    Delta,
    /// The files of a file log.
    Log,
    /// Documents that the index refused for good.
    Refused,
    /// The older part of a partition's fence history.
    Fences,
}

/// A block: written once, under a name that nobody else uses, because the fence is the owner's alone and the number counts up
/// for as long as the fence lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockName {
    pub task: TaskId,
    pub fence: u64,
    pub commit: u64,
    pub kind: BlockKind,
    pub number: u32,
}

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockName { task, fence, commit, kind, number } = self;
        write!(f, "{kind:?} block {fence}.{commit}.{number} of {task}")
    }
}

/// A part of a block; none is longer than the store's size of a part, by default [`PART`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartName {
    pub block: BlockName,
    pub part: u32,
}

/// Bytes of a part at most: what the services keep in one cell without strain.
pub const PART: usize = 1 << 20;
