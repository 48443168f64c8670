//! What `wit-bindgen` makes of the world `parser-plugin`, and on wasm the component's exports.

#![allow(unsafe_code, missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]

wit_bindgen::generate!({
    path: "../../wit/v0",
    world: "parser-plugin",
    additional_derives: [PartialEq],
});

#[cfg(target_arch = "wasm32")]
use crate::Component;
#[cfg(target_arch = "wasm32")]
export!(Component with_types_in self);
