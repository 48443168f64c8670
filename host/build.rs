//! Builds the default plugins, so that the binary carries them: `src/components.rs` includes what this leaves in `OUT_DIR`.

#[path = "build/wasm.rs"]
mod wasm;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use wasm::BuildError;

/// The packages of the default plugins, each `plugin-` and the plugin's name.
const PACKAGES: [&str; 6] = [
    "plugin-json",
    "plugin-url",
    "plugin-sessions",
    "plugin-clicks",
    "plugin-unique-users",
    "plugin-time-on-page",
];

fn main() {
    match build() {
        Ok(()) => {}
        // Cargo shows this as one line.
        Err(error @ BuildError::MissingTarget) => println!("cargo::error={error}"),
        Err(BuildError::Failed(text)) => {
            eprintln!("the default plugins cannot be built:\n{text}");
            process::exit(1);
        }
    }
}

fn build() -> Result<(), BuildError> {
    let host = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = host.parent().unwrap_or(&host);
    for input in ["plugins", "wit", "Cargo.toml", "Cargo.lock", "host/build.rs", "host/build"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = target_folder(&out).join("components");
    let built = wasm::components(variable("CARGO")?, variable("RUSTC")?, workspace, &target, &PACKAGES)?;
    for (package, component) in PACKAGES.iter().zip(built) {
        let copy = out.join(format!("{}.wasm", package.trim_start_matches("plugin-")));
        fs::copy(&component, &copy).map_err(|error| {
            BuildError::Failed(format!(
                "{} cannot be copied to {}: {error}",
                component.display(),
                copy.display()
            ))
        })?;
    }
    Ok(())
}

fn variable(name: &str) -> Result<std::ffi::OsString, BuildError> {
    env::var_os(name).ok_or_else(|| BuildError::Failed(format!("cargo has not set {name}")))
}

/// The target folder of this build: the parent of the profile's folder, in which `build/<package>/out` lies.
fn target_folder(out: &Path) -> &Path {
    out.ancestors().nth(4).unwrap_or(out)
}
