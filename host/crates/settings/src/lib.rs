//! The configuration file as read becomes the configuration as validated.
//!
//! It promises: [`parse`] is pure (text in, value out, nothing else is read); a [`Config`] is sound as far as that can be
//! known without the world; what is wrong with a file is reported all at once, each [`Fault`] with its place and with what
//! would be right; a key that nobody reads is a fault. The binary and the tasks build on the values; nothing here knows how
//! a source, a store or a plugin works.

mod config;
mod definition;
mod fault;
mod pipeline;
mod quantity;
mod read;
mod retarget;
pub mod schema;

pub use config::*;
pub use definition::*;
pub use fault::{Fault, alternatives, nearest};
pub use pipeline::*;
pub use quantity::{QuantityError, parse_duration, parse_size, show_duration, show_size};
pub use read::{NamedComponent, Origin, Part, decode, parse, refused_setting};
pub use retarget::{renamed, retarget};
