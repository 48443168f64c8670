//! A plugin that is ready to run, and one running instance of it, behind its limits. Whatever goes wrong in a call is told apart
//! here: the plugin's own refusal of a row, a call that took too long, everything else. After the latter two the instance and
//! its memory are gone, and further calls say so.

use std::{sync::Arc, time::Duration};

use clickmill_settings::{Kind, Limits, show_duration, show_size};
use clickmill_tasks::env::CallError;
use wasmtime::{
    Store, Trap,
    component::{
        Component, ComponentExportIndex, ComponentNamedList, Func, InstancePre, Lift, Lower, ResourceAny,
    },
};

use crate::{
    check::message,
    contract::RawFailure,
    engine::ticks,
    error::Fault,
    state::{Files, State},
    world,
};

/// A patient call may take this many times the limit: a host that is busy is no reason to blame a record.
const PATIENCE: u32 = 10;

/// What a description may have, whatever the limit of a reply is.
const DESCRIPTION_BYTES: u64 = 1 << 20;

/// A component that is linked, checked for its kind, and has its parameters, files and limits.
pub struct Plugin {
    pub kind: Kind,
    /// Its name in the settings.
    pub name: Arc<str>,
    pub params: String,
    pub limits: Limits,
    files: Arc<Files>,
    pre: InstancePre<State>,
    describe: ComponentExportIndex,
    constructor: ComponentExportIndex,
    interface: String,
}

impl Plugin {
    pub fn new(
        component: &Component,
        kind: Kind,
        name: &str,
        params: &str,
        limits: Limits,
        files: Files,
    ) -> Result<Plugin, Fault> {
        let names = world::Names::of(component);
        let interface = names.expect(kind)?.to_owned();
        Ok(Plugin {
            kind,
            name: name.into(),
            params: params.into(),
            limits,
            files: Arc::new(files),
            pre: world::link(component)?,
            describe: world::function(component, &interface, "describe")?,
            constructor: world::function(component, &interface, &format!("[constructor]{}", resource(kind)))?,
            interface,
        })
    }

    /// The method of this name of the kind's resource.
    pub fn method(&self, method: &str) -> Result<ComponentExportIndex, Fault> {
        let name = format!("[method]{}.{method}", resource(self.kind));
        world::function(self.pre.component(), &self.interface, &name)
    }

    /// What the plugin says of itself.
    pub fn describe<I>(self: &Arc<Plugin>) -> Result<I, Fault>
    where
        (Result<I, String>,): ComponentNamedList + Lift,
        I: 'static,
    {
        let mut run = Run::start(self).map_err(Fault::Start)?;
        let describe = run.func(&self.describe).map_err(Fault::Mismatch)?;
        run.allow_reply(self.limits.reply.max(DESCRIPTION_BYTES));
        let typed = describe.typed::<(&str,), (Result<I, String>,)>(&run.store);
        let typed = typed.map_err(|error| Fault::Mismatch(format!("`describe`: {error:#}")))?;
        match typed.call(&mut run.store, (&self.params,)) {
            Ok((Ok(info),)) => Ok(info),
            Ok((Err(reason),)) => Err(Fault::Params(message(reason))),
            Err(error) => Err(Fault::Description(format!("describe {}", run.explain(&error, 1).text()))),
        }
    }

    fn says(&self, call: &str, what: &str) -> String {
        format!("{} `{}`, {call}: {what}", self.kind, self.name)
    }
}

/// The resource of the contract that has the calls of this kind.
fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Parser | Kind::Enricher => "instance",
        Kind::Operator | Kind::Metric => "slots",
    }
}

/// Why a call gave no result.
enum Broken {
    TimedOut(String),
    Otherwise(String),
}

impl Broken {
    fn text(self) -> String {
        match self {
            Broken::TimedOut(text) | Broken::Otherwise(text) => text,
        }
    }
}

/// A component at work, in a memory of its own.
struct Run {
    store: Store<State>,
    instance: wasmtime::component::Instance,
    limits: Limits,
}

impl Run {
    fn start(plugin: &Plugin) -> Result<Run, String> {
        let limits = plugin.limits.clone();
        let state = State::new(plugin.name.clone(), limits.memory, plugin.files.clone());
        let mut store = Store::new(plugin.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_epoch_deadline(ticks(limits.call));
        match plugin.pre.instantiate(&mut store) {
            Ok(instance) => {
                let mut run = Run { store, instance, limits };
                run.allow_time(1);
                run.allow_reply(run.limits.reply);
                Ok(run)
            }
            Err(error) => Err(explain(&mut store, &limits, &error, 1).text()),
        }
    }

    fn func(&mut self, index: &ComponentExportIndex) -> Result<Func, String> {
        self.instance.get_func(&mut self.store, index).ok_or_else(|| "an export is no function".into())
    }

    fn allow_time(&mut self, times: u32) {
        self.store.set_epoch_deadline(ticks(self.limits.call.saturating_mul(times)));
    }

    /// The engine counts the bytes that it takes from a guest for each call of its own.
    fn allow_reply(&mut self, bytes: u64) {
        self.store.set_hostcall_fuel(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn explain(&mut self, error: &wasmtime::Error, times: u32) -> Broken {
        explain(&mut self.store, &self.limits, error, times)
    }
}

/// What went wrong, in words for who wrote the plugin.
fn explain(store: &mut Store<State>, limits: &Limits, error: &wasmtime::Error, times: u32) -> Broken {
    let printed = store.data_mut().log.take_printed();
    let refused = store.data_mut().limiter.take_refused();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        let limit: Duration = limits.call.saturating_mul(times);
        return Broken::TimedOut(format!("took longer than {}", show_duration(limit)));
    }
    let root = error.root_cause().to_string();
    let mut text = match trap {
        _ if refused => format!("needed more memory than its limit, {}", show_size(limits.memory)),
        Some(trap) => format!("trapped: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        // The engine has no type for this error.
        None if root.contains("fuel allocated for hostcalls") => {
            format!("handed over more than the limit of a reply, {}", show_size(limits.reply))
        }
        None => format!("failed: {root}"),
    };
    if !printed.is_empty() {
        text = format!("{text}; it printed: {printed}");
    }
    Broken::Otherwise(text)
}

/// An instance of a plugin's resource.
pub struct Guest {
    plugin: Arc<Plugin>,
    /// None once it is spoilt.
    running: Option<(Run, ResourceAny)>,
}

impl Guest {
    /// A new instance, with the plugin's parameters.
    pub fn start(plugin: &Arc<Plugin>) -> Result<Guest, CallError> {
        let start = |what: &str| CallError::Call(plugin.says("start", what));
        let mut run = Run::start(plugin).map_err(|text| start(&text))?;
        let constructor = run.func(&plugin.constructor).map_err(|text| start(&text))?;
        let typed = constructor.typed::<(&str,), (ResourceAny,)>(&run.store);
        let made = typed.and_then(|typed| typed.call(&mut run.store, (&plugin.params,)));
        match made {
            Ok((handle,)) => Ok(Guest { plugin: plugin.clone(), running: Some((run, handle)) }),
            Err(error) => match run.explain(&error, 1) {
                Broken::TimedOut(text) => Err(CallError::TimedOut(plugin.says("start", &text))),
                Broken::Otherwise(text) => Err(start(&text)),
            },
        }
    }

    /// The function behind an export, for calls.
    pub fn func(&mut self, index: &ComponentExportIndex) -> Result<Func, CallError> {
        let Guest { plugin, running } = self;
        let (run, _) = running.as_mut().ok_or_else(|| spoilt(plugin))?;
        run.func(index).map_err(|text| CallError::Call(plugin.says("start", &text)))
    }

    /// That the function has the type that is called here.
    pub fn typecheck<P, R>(&mut self, func: Func) -> Result<(), String>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        match &self.running {
            Some((run, _)) => func.typed::<P, R>(&run.store).map(drop).map_err(|error| format!("{error:#}")),
            None => Ok(()),
        }
    }

    pub fn handle(&self) -> Result<ResourceAny, CallError> {
        self.running.as_ref().map(|(_, handle)| *handle).ok_or_else(|| spoilt(&self.plugin))
    }

    /// Calls and gives back what the guest answered, unchecked.
    pub fn call<P, R>(&mut self, func: Func, name: &str, patient: bool, params: P) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let Guest { plugin, running } = self;
        let (run, _) = running.as_mut().ok_or_else(|| spoilt(plugin))?;
        let times = if patient { PATIENCE } else { 1 };
        run.allow_time(times);
        let answer = func.typed::<P, R>(&run.store).and_then(|typed| typed.call(&mut run.store, params));
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => match run.explain(&error, times) {
                Broken::TimedOut(text) => CallError::TimedOut(plugin.says(name, &text)),
                Broken::Otherwise(text) => CallError::Call(plugin.says(name, &text)),
            },
        };
        self.running = None;
        Err(error)
    }

    /// The result of a call that had `rows` rows, or what its failure means.
    pub fn succeed<T>(
        &mut self,
        name: &str,
        rows: usize,
        answer: Result<T, RawFailure>,
    ) -> Result<T, CallError> {
        match answer {
            Ok(result) => Ok(result),
            Err(RawFailure::Row((row, text))) if (row as usize) < rows => {
                Err(CallError::Row(row, message(text)))
            }
            Err(RawFailure::Row((row, _))) => {
                Err(self.refuse(name, &format!("cannot take row {row} of {rows}")))
            }
            Err(RawFailure::Call(text)) => Err(self.spoil(name, &format!("gave up: {}", message(text)))),
        }
    }

    /// The error for a reply that failed its check.
    pub fn refuse(&mut self, name: &str, what: &str) -> CallError {
        self.spoil(name, &format!("its reply is wrong: {what}"))
    }

    fn spoil(&mut self, name: &str, what: &str) -> CallError {
        self.running = None;
        CallError::Call(self.plugin.says(name, what))
    }
}

fn spoilt(plugin: &Plugin) -> CallError {
    CallError::Call(plugin.says("call", "it failed before, a new instance is needed"))
}
