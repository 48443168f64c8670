//! The hostile guest, built once a test binary, and pipelines around it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

#[path = "../../../../build/wasm.rs"]
mod wasm;

use std::{
    env, fs,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use clickmill_columns::{Column, Values};
use clickmill_plugin::{Engine, LoadError, Loader, WasmPlugins};
use clickmill_settings::{Limits, Pipeline, PluginRef, PluginUse};
use clickmill_tasks::env::{CallError, Enriched, Parsed, Parser, Plugins};

/// The engine of all tests of one binary.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());

/// The bytes of the hostile guest.
pub static HOSTILE: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(&built(&["guest-hostile"])[0]).unwrap());

/// Compiled components of earlier tests.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// Builds packages as components.
pub fn built(packages: &[&str]) -> Vec<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("components");
    let program = |name: &str| env::var_os(name.to_uppercase()).unwrap_or_else(|| name.into());
    wasm::components(program("cargo"), program("rustc"), workspace, &target, packages)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What building answers where this program stands for rustc.
pub fn built_with_rustc(rustc: &str) -> Result<Vec<PathBuf>, wasm::BuildError> {
    let here = Path::new(".");
    wasm::components("cargo".into(), rustc.into(), here, here, &[])
}

/// A new, empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A use of the hostile guest: which call misbehaves, and how.
pub fn misdeed(at: &str, what: &str) -> PluginUse {
    PluginUse {
        name: "guest".into(),
        plugin: PluginRef::Shipped("hostile".into()),
        params: format!("{{\"at\":\"{at}\",\"do\":\"{what}\"}}"),
        files: Default::default(),
        limits: Limits { call: Duration::from_secs(10), memory: 64 << 20, reply: 1 << 20 },
    }
}

/// The guest, behaving well.
pub fn good() -> PluginUse {
    misdeed("", "")
}

/// A pipeline of one guest of each kind.
pub struct Guests {
    pub parser: PluginUse,
    pub enricher: PluginUse,
    pub operator: PluginUse,
    pub metric: PluginUse,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests { parser: good(), enricher: good(), operator: good(), metric: good() }
    }
}

impl Guests {
    pub fn load(self) -> Result<WasmPlugins, Vec<LoadError>> {
        self.load_component(&HOSTILE)
    }

    /// With these bytes in place of the guest.
    pub fn load_component(self, component: &[u8]) -> Result<WasmPlugins, Vec<LoadError>> {
        let folder = cache();
        let loader = Loader { engine: &ENGINE, shipped: &[("hostile", component)], cache: Some(&folder) };
        let pipeline = Pipeline {
            parser: self.parser,
            enrichers: vec![self.enricher],
            operators: vec![self.operator],
            metrics: vec![self.metric],
            rollups: vec![],
        };
        WasmPlugins::load(loader, &pipeline)
    }
}

/// The guest's five outputs.
pub const ALL: [usize; 5] = [0, 1, 2, 3, 4];

/// What a parser with this misdeed answers for these payloads.
pub fn parse(what: &str, payloads: &[&str]) -> Result<Parsed, CallError> {
    let plugins = Guests { parser: misdeed("parse", what), ..Guests::default() }.load().unwrap();
    let parser = plugins.parser(&ALL).unwrap();
    wait(parser.parse(payload(payloads), false))
}

pub fn payload(payloads: &[&str]) -> Arc<Values> {
    Arc::new(payloads.iter().map(|payload| payload.as_bytes()).collect())
}

pub fn words(words: &[&str]) -> Column {
    Column::new(clickmill_columns::Data::Text(words.iter().map(|word| word.as_bytes()).collect()))
}

/// The text of each row.
pub fn texts(column: &Column) -> Vec<String> {
    (0..column.rows())
        .map(|row| String::from_utf8(column.text(row).unwrap_or(b"-").to_vec()).unwrap())
        .collect()
}

pub fn text_of(enriched: Enriched) -> Vec<String> {
    texts(&enriched.columns[0])
}

/// The text of a call's error, and the kind of error that it is.
pub fn error<T>(result: Result<T, CallError>) -> String {
    match result {
        Ok(_) => "no error".into(),
        Err(CallError::Row(row, text)) => format!("row {row}: {text}"),
        Err(CallError::Call(text)) => text,
        Err(CallError::TimedOut(text)) => format!("timed out: {text}"),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
