//! The contract's types, of all four worlds at once: one component can be asked to be any of them.
#![allow(unsafe_code, clippy::all, missing_docs)]

wit_bindgen::generate!({
    path: "../../../wit/v0",
    inline: "
        package clickmill:guest;

        world other {
            import clickmill:plugin/files@0.1.0;
            import clickmill:plugin/log@0.1.0;
            export clickmill:plugin/parser@0.1.0;
            export clickmill:plugin/enricher@0.1.0;
            export clickmill:plugin/operator@0.1.0;
            export clickmill:plugin/metric@0.1.0;
        }
    ",
    world: "clickmill:guest/other",
    generate_all,
});

#[cfg(target_arch = "wasm32")]
use super::Other;
#[cfg(target_arch = "wasm32")]
export!(Other with_types_in self);
