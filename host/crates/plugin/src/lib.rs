//! Plugins as WebAssembly components, behind the traits of `clickmill_tasks::env`: engine, compiled components kept in files,
//! limits of memory, time and size of replies, a WASI without a world, and a check of everything that a guest returns.
//!
//! A guest is never trusted: whatever it does costs the call it was in, and its instance. What it is given is what `wit/v0` says
//! and nothing else. It deliberately knows nothing of what a pipeline does with plugins, nor of any plugin by name.

mod cache;
mod check;
mod contract;
mod engine;
mod enricher;
mod error;
mod guest;
mod inspect;
mod limits;
mod log;
mod lower;
mod metric;
mod operator;
mod parser;
mod plugins;
mod random;
mod state;
mod wasi;
mod world;

pub use engine::{Engine, EngineError};
pub use enricher::WasmEnricher;
pub use error::{Fault, LoadError};
pub use inspect::{Info, Inspection, inspect};
pub use metric::WasmMetric;
pub use operator::WasmOperator;
pub use parser::WasmParser;
pub use plugins::{Loader, Shipped, WasmPlugins};
