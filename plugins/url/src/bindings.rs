//! The contract's types for this plugin, generated from `wit/v0`.
#![allow(unsafe_code, clippy::all, missing_docs)]

wit_bindgen::generate!({ path: "../../wit/v0", world: "enricher-plugin" });

#[cfg(target_arch = "wasm32")]
use super::Plugin;
#[cfg(target_arch = "wasm32")]
export!(Plugin);
