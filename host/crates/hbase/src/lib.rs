//! HBase as the store, through the Thrift gateway. Promises what [`clickmill_tasks::env::Store`] demands: what is answered with
//! `Ok` is in the write-ahead log; a row changes by compare-and-set of its one cell; events and dead letters bear their fence
//! as timestamp. Knows what is true only as far as a reader is told the fences ([`Reader`]).
//!
//! Several gateways serve one HBase: whichever is asked, a row is compared and set by the region server that has it, and a call
//! that one of them did not answer may still be carried out after another was asked (see `round.rs`).
//!
//! The gateway's client is blocking and belongs to one thread: a small pool of threads, a connection each, does the calls;
//! the futures work under any executor. Nothing is retried here: an answer is not the truth, the row is, and the tasks know
//! what to do with a [`Trouble::Passing`](clickmill_tasks::env::Trouble).

mod answers;
mod cells;
mod connection;
mod events;
mod keys;
mod message;
mod mutations;
mod opening;
mod parts;
mod pool;
mod read;
mod round;
mod store;
mod tables;
mod trouble;

pub use opening::Absent;
pub use read::{DeadLetters, Events, Reader};
pub use store::HbaseStore;
pub use tables::Region;
