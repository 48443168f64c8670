//! Kafka as the source. Promises what [`clickmill_tasks::env::Source`] demands: committed records only, in the order of their
//! offsets, none left out; a position that the topic does not have any more is a final trouble, never a silent jump. Offsets
//! rise with holes, and the end of a partition is what the broker says.
//!
//! Two clients: a *member* of the consumer group, which learns who reads which partition ([`Change`]) and commits offsets as a
//! courtesy, and reads nothing; and a *reading* client that is told its partitions and offsets. So neither back-pressure nor a
//! slow task costs the membership, and no rebalance moves a position. Blocking calls are made on threads of their own; the
//! futures work under any executor.

mod batch;
mod client;
mod heard;
mod kept;
mod member;
mod offsets;
mod produce;
mod reader;
mod secret;
mod shared;
mod source;
mod topic;
mod trouble;

pub use kept::Kept;
pub use member::{Change, Revoked};
pub use offsets::Partition;
pub use produce::Producer;
pub use reader::KafkaReader;
pub use source::KafkaSource;
pub use topic::create_topic;
