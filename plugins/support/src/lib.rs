//! What the default plugins share: plain data structures and encodings, without any type of the plugin
//! contract.
//!
//! Each plugin generates the contract's types for its own world, so nothing here names one: helpers take and
//! give slices and vectors. Nothing here panics on what a caller outside the plugin hands in.

pub mod blobs;
pub mod blocks;
pub mod laws;
pub mod params;
pub mod segments;
pub mod valid;
pub mod varint;
