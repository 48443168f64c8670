//! Parsing ahead as with components: a thread a core, each with a parser of its own.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use clickmill_columns::{Buffer, Values};
use clickmill_tasks::env::{CallError, Parsed, Parser};
use futures_channel::oneshot;
use plugin_json::{Instance, bindings::exports::clickmill::plugin::parser::GuestInstance};

use super::{bridge::json as bridge, copied};

struct Job {
    payloads: Arc<Values>,
    wanted: Arc<[String]>,
    answer: oneshot::Sender<Result<Parsed, CallError>>,
}

/// Threads that parse. They end when the last sender of jobs is dropped.
pub struct Pool(Sender<Job>);

impl Pool {
    pub fn start() -> Pool {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let queue = queue.clone();
            thread::spawn(move || work(&queue));
        }
        Pool(jobs)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let instance = Instance::new(String::new());
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { break };
        // The one who waited may have gone.
        let _ = job.answer.send(parse(&instance, &job.payloads, &job.wanted));
    }
}

fn parse(instance: &Instance, payloads: &Arc<Values>, wanted: &[String]) -> Result<Parsed, CallError> {
    let (given, wanted) = copied(|| (bridge::copy_values(payloads), wanted.to_vec()));
    let parsed = instance.parse(given, wanted).map_err(bridge::error)?;
    let ground = Arc::new(Buffer::new(payloads.clone(), parsed.made));
    Ok(Parsed {
        columns: bridge::columns(parsed.columns, Some(&ground))?,
        rejects: bridge::rejects(parsed.rejects),
        skipped: parsed.skipped,
        unusable: parsed.unusable,
    })
}

/// A handle to the parser `json`, for some of its outputs.
#[derive(Clone)]
pub struct NativeParser {
    pool: Arc<Pool>,
    wanted: Arc<[String]>,
}

impl NativeParser {
    pub fn new(pool: Arc<Pool>, wanted: Vec<String>) -> NativeParser {
        NativeParser { pool, wanted: wanted.into() }
    }
}

impl Parser for NativeParser {
    fn parse(
        &self,
        payloads: Arc<Values>,
        _patient: bool,
    ) -> impl Future<Output = Result<Parsed, CallError>> + use<> {
        let (answer, waiting) = oneshot::channel();
        // Where no thread is left, dropping the job says so to the one who waits.
        let _ = self.pool.0.send(Job { payloads, wanted: self.wanted.clone(), answer });
        async {
            waiting.await.unwrap_or_else(|_| Err(CallError::Call("the parser's threads have ended".into())))
        }
    }
}
