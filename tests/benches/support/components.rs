//! The default plugins as the binary has them: components, built by the function that builds them for the binary.

#[path = "../../../host/build/wasm.rs"]
mod wasm;

use std::{env, fs, path::Path};

use clickmill_plugin::{Engine, Loader, WasmPlugins};
use clickmill_settings::{Pipeline, SHIPPED};

use super::Failed;

pub fn load() -> Result<WasmPlugins, Failed> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("components");
    let packages: Vec<String> = SHIPPED.iter().map(|(name, _)| format!("plugin-{name}")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let program = |name: &str| env::var_os(name.to_uppercase()).unwrap_or_else(|| name.into());
    let workspace = here.ancestors().nth(2).unwrap_or(here);
    let built = wasm::components(program("cargo"), program("rustc"), workspace, &target, &packages);
    let bytes = built.map_err(|error| error.to_string())?.into_iter().map(fs::read);
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    let shipped: Vec<(&str, &[u8])> =
        SHIPPED.iter().zip(&bytes).map(|((name, _), bytes)| (*name, &bytes[..])).collect();
    let loader = Loader { engine: &Engine::new()?, shipped: &shipped, cache: None };
    let plugins = WasmPlugins::load(loader, &Pipeline::default());
    plugins.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into())
}
