//! The tasks that make the answer, and the protocol by which they commit: a partition task for each source partition, a shard
//! task for each share of the groups. Knows no implementation of the traits in [`env`]; the simulation drives exactly this.

pub mod batch;
mod blocks;
mod cold;
mod context;
mod enrich;
pub mod env;
mod exchange;
mod fault;
mod frame;
mod groups;
mod horizon;
mod judge;
mod keys;
pub mod meta;
pub mod name;
mod origins;
mod owner;
mod parse;
mod partition;
mod partition_state;
mod plan;
mod progress;
pub mod quiet;
pub mod read;
pub mod refused;
mod reposition;
pub mod row;
mod shard;
mod shard_state;
mod supervise;
mod tuples;
mod weights;
mod work;

pub use context::{Bounds, Context, Ended};
pub use exchange::{Delta, Exchange};
pub use fault::{Fault, Planted};
pub use judge::LARGEST;
pub use plan::{Plan, PlanError, RollupSpec};
pub use progress::{Left, Progress};
pub use reposition::reposition;
pub use shard::reindex;
pub use supervise::{run_partition, run_shard};
