//! What the host keeps for one instance, and the two interfaces that it gives: `files` and `log`.

use std::{collections::BTreeMap, sync::Arc};

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance},
};

use crate::{
    limits::Limiter,
    log::{Level, Log},
    random::Random,
};

/// Files granted to a plugin, by the name under which it asks for them. Read when the plugin is loaded, so that they are the
/// same for as long as any instance lives.
pub type Files = BTreeMap<String, Arc<[u8]>>;

pub struct State {
    pub limiter: Limiter,
    pub log: Log,
    pub random: Random,
    files: Arc<Files>,
}

impl State {
    pub fn new(plugin: Arc<str>, memory: u64, files: Arc<Files>) -> State {
        State { limiter: Limiter::new(memory), log: Log::new(plugin), random: Random::new(), files }
    }
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "only lifting makes them")]
enum LogLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub fn link_files(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    linker.func_wrap("size", |store: StoreContextMut<'_, State>, (name,): (String,)| {
        Ok((store.data().files.get(&name).map(|bytes| bytes.len() as u64),))
    })?;
    linker.func_wrap(
        "read",
        |store: StoreContextMut<'_, State>, (name, offset, length): (String, u64, u32)| {
            let bytes = store.data().files.get(&name).map_or(&[][..], |bytes| bytes);
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let end = start.saturating_add(length as usize).min(bytes.len());
            Ok((bytes[start..end].to_vec(),))
        },
    )
}

pub fn link_log(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, State>, (level, message): (LogLevel, String)| {
            let level = match level {
                LogLevel::Debug => Level::Debug,
                LogLevel::Info => Level::Info,
                LogLevel::Warn => Level::Warn,
                LogLevel::Error => Level::Error,
            };
            store.data_mut().log.write(level, &message);
            Ok(())
        },
    )
}
