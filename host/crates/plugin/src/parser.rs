//! Parsing on all cores. A parser has no state, so one pool of threads serves every partition: each thread has an instance of its
//! own, makes it when it first needs it and makes it anew after a failure. A batch is sent when `parse` is called, not when its
//! future is polled, so batches are parsed ahead of those who wait.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use clickmill_columns::{Field, ParserInfo, Values};
use clickmill_tasks::env::{CallError, Parsed, Parser};
use futures_channel::oneshot;
use wasmtime::component::{ComponentExportIndex, Func, ResourceAny};

use crate::{
    check,
    contract::{RawFailure, RawParsed, RawParserInfo, SentValues},
    error::Fault,
    guest::{Guest, Plugin},
    lower,
};

type Parse<'a> = (ResourceAny, SentValues<'a>, &'a [&'a str]);
type ParseAnswer = (Result<RawParsed, RawFailure>,);

/// A parser that was found to be one.
pub struct ParserPlugin {
    plugin: Arc<Plugin>,
    parse: ComponentExportIndex,
}

impl ParserPlugin {
    pub fn load(plugin: Arc<Plugin>) -> Result<(ParserPlugin, ParserInfo), Fault> {
        let parse = plugin.method("parse")?;
        let info = check::parser(plugin.describe::<RawParserInfo>()?).map_err(Fault::Description)?;
        let parser = ParserPlugin { plugin, parse };
        let mut instance = parser.instance().map_err(|error| Fault::Start(error.to_string()))?;
        let fits = instance.guest.typecheck::<Parse, ParseAnswer>(instance.parse);
        fits.map_err(|error| Fault::Mismatch(format!("`parse`: {error}")))?;
        Ok((parser, info))
    }

    fn instance(&self) -> Result<Instance, CallError> {
        let mut guest = Guest::start(&self.plugin)?;
        Ok(Instance { parse: guest.func(&self.parse)?, guest })
    }
}

struct Instance {
    guest: Guest,
    parse: Func,
}

impl Instance {
    fn parse(
        &mut self,
        payloads: &Arc<Values>,
        wanted: &[Field],
        patient: bool,
    ) -> Result<Parsed, CallError> {
        let names: Vec<&str> = wanted.iter().map(|field| field.name.as_str()).collect();
        let handle = self.guest.handle()?;
        let (answer,) = self.guest.call::<Parse, ParseAnswer>(
            self.parse,
            "parse",
            patient,
            (handle, lower::values(payloads), &names),
        )?;
        let raw = self.guest.succeed("parse", payloads.len(), answer)?;
        check::parsed(raw, payloads, wanted).map_err(|what| self.guest.refuse("parse", &what))
    }
}

/// A batch on its way to a thread, and where its answer goes.
struct Job {
    payloads: Arc<Values>,
    wanted: Arc<[Field]>,
    patient: bool,
    answer: oneshot::Sender<Result<Parsed, CallError>>,
}

/// Threads that parse. They end when the last sender of jobs is dropped.
pub struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// A thread a core.
    pub fn start(parser: Arc<ParserPlugin>) -> io::Result<Pool> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (parser, queue) = (parser.clone(), queue.clone());
            thread::Builder::new().name(format!("parser-{number}")).spawn(move || work(&parser, &queue))?;
        }
        Ok(Pool { jobs })
    }
}

fn work(parser: &ParserPlugin, queue: &Mutex<Receiver<Job>>) {
    let mut instance: Option<Instance> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { break };
        // Nobody waits for it any more: its task was dropped.
        if job.answer.is_canceled() {
            continue;
        }
        let made = match instance.take() {
            Some(instance) => Ok(instance),
            None => parser.instance(),
        };
        let result = made.and_then(|mut made| {
            let result = made.parse(&job.payloads, &job.wanted, job.patient);
            // A refused row leaves the instance as it was; anything else has spoilt it.
            if matches!(result, Ok(_) | Err(CallError::Row(..))) {
                instance = Some(made);
            }
            result
        });
        // The one who waited may have gone.
        let _ = job.answer.send(result);
    }
}

/// A handle to the parser, for some of its outputs.
#[derive(Clone)]
pub struct WasmParser {
    pool: Arc<Pool>,
    wanted: Arc<[Field]>,
}

impl WasmParser {
    pub(crate) fn new(pool: Arc<Pool>, wanted: Arc<[Field]>) -> WasmParser {
        WasmParser { pool, wanted }
    }
}

impl Parser for WasmParser {
    fn parse(
        &self,
        payloads: Arc<Values>,
        patient: bool,
    ) -> impl Future<Output = Result<Parsed, CallError>> + use<> {
        let (answer, waiting) = oneshot::channel();
        // Where no thread is left, dropping the job says so to the one who waits.
        let _ = self.pool.jobs.send(Job { payloads, wanted: self.wanted.clone(), patient, answer });
        async {
            waiting.await.unwrap_or_else(|_| Err(CallError::Call("the parser's threads have ended".into())))
        }
    }
}
