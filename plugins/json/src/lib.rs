//! The default parser: one JSON object a payload becomes one event, by the fields and rules of the contract.
//!
//! It promises that a payload's answer depends on that payload and the parameters alone, that exactly what RFC 8259 calls
//! JSON is accepted, also in fields that nobody asked for, and that every refusal says what was wrong and where.
//!
//! The way of a payload: [`find`] walks it once, checking every byte and noting the values that [`settings`] ask for;
//! [`parse`] judges the three required ones and builds the wanted columns; [`reject`] words what was wrong. On wasm the crate
//! is a component of the world `parser-plugin`; elsewhere [`component`] offers the same types to be called directly.
//!
//! It lacks on purpose: canonical URLs, addresses looked up, browsers told from user agents (enrichers do that), and any
//! use of clock, files or log.

mod address;
mod block;
mod cells;
mod columns;
mod country;
mod decimal;
mod fields;
mod find;
mod instant;
mod json;
mod locate;
mod params;
mod parse;
mod plan;
mod reject;
mod scan;
mod settings;
mod text;

pub mod bindings;
pub mod component;

pub use component::{Component, Instance};
