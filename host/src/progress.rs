//! What a person sees while `run` works: one line that changes on a terminal, plain log lines elsewhere.

use std::{
    io::IsTerminal,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clickmill_tasks::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often the line changes, and how often a log line is written elsewhere.
const DRAW: Duration = Duration::from_millis(200);
const LOG: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Shared {
    ended: Mutex<bool>,
    wake: Condvar,
}

pub struct Display {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    pub fn start(progress: Arc<Progress>) -> Display {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        // Without its thread nothing is shown, and nothing else is lost.
        let thread =
            std::thread::Builder::new().name("display".into()).spawn(move || show(&own, &progress)).ok();
        Display { shared, thread }
    }

    pub fn stop(mut self) {
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn show(shared: &Shared, progress: &Progress) {
    let terminal = std::io::stderr().is_terminal();
    let bar = terminal.then(|| {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar
    });
    let (mut before, mut at) = (0, Instant::now());
    let mut logged = Instant::now();
    let mut ended = shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
    while !*ended {
        (ended, _) = shared.wake.wait_timeout(ended, DRAW).unwrap_or_else(PoisonError::into_inner);
        let events = Progress::get(&progress.read);
        let rate = (events - before) as f64 / at.elapsed().as_secs_f64().max(1e-6);
        match &bar {
            Some(bar) => {
                bar.set_message(line(progress, rate));
                bar.tick();
                (before, at) = (events, Instant::now());
            }
            None if logged.elapsed() >= LOG => {
                tracing::info!("{}", line(progress, rate));
                (before, at, logged) = (events, Instant::now(), Instant::now());
            }
            None => {}
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn line(progress: &Progress, rate: f64) -> String {
    format!(
        "{} records, {}/s, {} read, {} documents ({} waiting), {} dead letters, {} memory",
        output::number(Progress::get(&progress.read)),
        output::number(rate as u64),
        output::size(Progress::get(&progress.bytes)),
        output::number(Progress::get(&progress.documents)),
        output::number(Progress::get(&progress.waiting)),
        output::number(Progress::get(&progress.dead_letters)),
        output::size(memory()),
    )
}

/// Resident memory of this process in bytes; 0 where the system does not say.
pub fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}
