//! Builds packages of this workspace as WebAssembly components, by a cargo of its own in a target folder of its own. Used by the
//! build script of the host, and by tests that need guests.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The target that rustc makes components for.
const TARGET: &str = "wasm32-wasip2";

/// Why there are no components.
#[derive(Debug)]
pub enum BuildError {
    /// The standard library for the target is not installed.
    MissingTarget,
    /// Cargo could not be run, or said why it failed.
    Failed(String),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BuildError::MissingTarget => {
                write!(
                    f,
                    "the plugins are built for {TARGET}, which is not installed; type: rustup target add {TARGET}"
                )
            }
            BuildError::Failed(text) => f.write_str(text),
        }
    }
}

/// Builds the packages; the components are in the order of the packages. `cargo` and `rustc` are the programs to run,
/// `workspace` is the folder of the workspace, `target` the folder to build in.
pub fn components(
    cargo: OsString,
    rustc: OsString,
    workspace: &Path,
    target: &Path,
    packages: &[&str],
) -> Result<Vec<PathBuf>, BuildError> {
    require_target(&rustc, workspace)?;
    let mut command = Command::new(cargo);
    command.current_dir(workspace).arg("build");
    command
        .args(["--lib", "--locked", "--profile", "component", "--target", TARGET, "--target-dir"])
        .arg(target);
    for package in packages {
        command.args(["--package", package]);
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(leaks) {
            command.env_remove(name);
        }
    }
    command.env("RUSTC", rustc).env("CARGO_ENCODED_RUSTFLAGS", flags(workspace));
    let output =
        command.output().map_err(|error| BuildError::Failed(format!("cargo cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(BuildError::Failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let folder = target.join(TARGET).join("component");
    Ok(packages.iter().map(|package| folder.join(format!("{}.wasm", package.replace('-', "_")))).collect())
}

fn require_target(rustc: &OsString, workspace: &Path) -> Result<(), BuildError> {
    let output = Command::new(rustc)
        .current_dir(workspace)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| BuildError::Failed(format!("rustc cannot be run: {error}")))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        Ok(())
    } else {
        Err(BuildError::MissingTarget)
    }
}

/// SIMD, and no path of this machine in the components: equal sources give equal bytes.
fn flags(workspace: &Path) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    for (path, shown) in [(home, "cargo"), (Some(workspace.to_owned()), "clickmill")] {
        if let Some(path) = path {
            flags.push("\u{1f}--remap-path-prefix=");
            flags.push(path);
            flags.push(format!("=/{shown}"));
        }
    }
    flags
}

/// Whether a variable that cargo gives to build scripts and tests, or that configures it, would change what is built.
fn leaks(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "TARGET",
    ];
    const PREFIXES: [&str; 8] = [
        "CARGO_BIN_",
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
