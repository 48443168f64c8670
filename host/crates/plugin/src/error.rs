//! Why a plugin cannot be used, said so that its user or its author knows what to do.

use clickmill_settings::Kind;
use thiserror::Error;

use crate::contract::VERSION;

/// A plugin that cannot be used: which, and why.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("plugin `{plugin}` ({file}): {fault}")]
pub struct LoadError {
    /// Its name in the settings.
    pub plugin: String,
    /// The path of its component, or the name of a shipped one.
    pub file: String,
    pub fault: Fault,
}

/// What is wrong with a plugin.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    #[error("its file cannot be read: {0}")]
    Unreadable(String),
    #[error("no plugin of this name is shipped; there are {0}")]
    NotShipped(String),
    #[error("its granted file `{name}` ({path}) cannot be read: {error}")]
    GrantUnreadable { name: String, path: String, error: String },
    #[error("it is no WebAssembly component: {0}")]
    NoComponent(&'static str),
    #[error("it cannot be compiled, it is damaged or uses what is switched off here: {0}")]
    Damaged(String),
    #[error("it is {} `{found}`, where the settings want {} `{wanted}`", article(*.found), article(*.wanted))]
    OtherKind { found: Kind, wanted: Kind },
    #[error(
        "it was made for another version of the contract: it exports `{export}`, this host speaks version {VERSION}"
    )]
    OtherVersion { export: String },
    #[error("it is a component, but no plugin: it exports {}", list(.exports))]
    NoPlugin { exports: Vec<String> },
    #[error("it imports `{import}`, which plugins are not given")]
    UnknownImport { import: String },
    #[error("it does not fit version {VERSION} of the contract: {0}")]
    Mismatch(String),
    /// What the plugin says: a line for each parameter.
    #[error("it refuses its parameters: {}", .0.replace('\n', "\n  "))]
    Params(String),
    #[error("what it says of itself cannot be: {0}")]
    Description(String),
    #[error("it cannot be started: {0}")]
    Start(String),
}

impl Fault {
    /// What to do about it; empty where the fault says that itself.
    pub fn help(&self) -> String {
        match self {
            Fault::Unreadable(_) | Fault::GrantUnreadable { .. } => {
                "name a file that is there and may be read; relative paths begin at the folder of the settings".into()
            }
            Fault::NoComponent(_) | Fault::Damaged(_) => {
                "build the plugin for the target wasm32-wasip2, and name what comes out".into()
            }
            Fault::OtherKind { found: Kind::Parser, .. } => "give it in `[parser]`".into(),
            Fault::OtherKind { found, .. } => format!("give it in `[[{found}]]`"),
            Fault::OtherVersion { .. } | Fault::Mismatch(_) => {
                format!("build the plugin against version {VERSION} of the contract")
            }
            Fault::NoPlugin { .. } => {
                "a plugin exports the interface of one of the contract's four worlds: see wit/v0".into()
            }
            Fault::UnknownImport { .. } => "build the plugin without what needs it".into(),
            Fault::Start(_) => "give it more with `limits`, or mend the plugin".into(),
            Fault::NotShipped(_) | Fault::Params(_) | Fault::Description(_) => String::new(),
        }
    }
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Enricher | Kind::Operator => "an",
        Kind::Parser | Kind::Metric => "a",
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

/// What the bytes of a file are, where they are no component.
pub fn no_component(bytes: &[u8]) -> Option<Fault> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    let what = if bytes.starts_with(COMPONENT) {
        return None;
    } else if bytes.is_empty() {
        "the file is empty"
    } else if bytes.starts_with(MODULE) {
        "it is a core module; build it for the target wasm32-wasip2, or turn it into a component with `wasm-tools component new`"
    } else if bytes.starts_with(b"\0asm") {
        "it is WebAssembly of a version that this host does not know"
    } else if bytes.trim_ascii_start().starts_with(b"(") {
        "it is WebAssembly as text; `wasm-tools parse` makes a component of it"
    } else {
        "it does not begin as WebAssembly does"
    };
    Some(Fault::NoComponent(what))
}
