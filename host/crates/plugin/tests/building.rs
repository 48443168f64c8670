//! Components come out of one function, for the host's build script and for tests: without the target it says what to type, and
//! what it builds are plugins.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;

use clickmill_plugin::{Loader, WasmPlugins};
use clickmill_settings::{Pipeline, SHIPPED};
use clickmill_tasks::env::Plugins;
use support::{ENGINE, built, built_with_rustc, cache};

#[test]
fn a_missing_target_is_one_line_that_says_what_to_type() {
    let error = built_with_rustc("false").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plugins are built for wasm32-wasip2, which is not installed; type: rustup target add wasm32-wasip2"
    );
}

#[test]
fn the_default_plugins_load() {
    let packages: Vec<String> = SHIPPED.iter().map(|(name, _)| format!("plugin-{name}")).collect();
    let paths = built(&packages.iter().map(String::as_str).collect::<Vec<_>>());
    let bytes: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let shipped: Vec<(&str, &[u8])> =
        SHIPPED.iter().zip(&bytes).map(|((name, _), bytes)| (*name, &bytes[..])).collect();
    let folder = cache();
    let loader = Loader { engine: &ENGINE, shipped: &shipped, cache: Some(&folder) };
    let plugins = WasmPlugins::load(loader, &Pipeline::default()).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| format!("{error}\n")).collect::<String>())
    });
    let seen = plugins.descriptions();
    assert_eq!((seen.enrichers.len(), seen.operators.len(), seen.metrics.len()), (1, 1, 3));
    for (bytes, (name, _)) in bytes.iter().zip(SHIPPED) {
        let here = bytes.windows(5).any(|window| window == b"/root" || window == b"/home");
        assert!(!here, "{name} bears a path of the machine that built it");
    }
}
