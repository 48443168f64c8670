//! What a person sees while `run` works: one line that changes on a terminal, plain log lines elsewhere.

use std::{
    convert::Infallible,
    io::IsTerminal,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clickmill_tasks::{Left, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{output, world::AnySource};

/// How often the line changes, and how often a log line is written elsewhere.
const DRAW: Duration = Duration::from_millis(200);
const LOG: Duration = Duration::from_secs(10);

/// How often a broker is asked how much is left.
const ASK: Duration = Duration::from_secs(2);

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
    let (mut logged, mut failed) = (Instant::now(), 0);
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
                let (troubles, last) = progress.troubles();
                if let Some(last) = last.filter(|_| troubles > failed) {
                    tracing::warn!("{} tries have failed meanwhile, the last one: {last}", troubles - failed);
                }
                failed = troubles;
                (before, at, logged) = (events, Instant::now(), Instant::now());
            }
            None => {}
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Keeps what is left to read up to date.
pub async fn watch(source: &AnySource, progress: &Progress) -> Infallible {
    let pause = if matches!(source, AnySource::Kafka(_)) { ASK } else { DRAW };
    loop {
        progress.set_left(source.left().await);
        tokio::time::sleep(pause).await;
    }
}

fn line(progress: &Progress, rate: f64) -> String {
    let left = match progress.left() {
        Some(Left::Bytes(bytes)) => format!("{} left", output::size(bytes)),
        Some(Left::Records(records)) => format!("{} behind", output::number(records)),
        None => format!("{} read", output::size(Progress::get(&progress.bytes))),
    };
    let waiting = match progress.waiting() {
        0 => String::new(),
        waiting => format!(" ({} waiting)", output::number(waiting)),
    };
    format!(
        "{} records, {}/s, {left}, {} documents{waiting}, {} dead letters, {} memory",
        output::number(Progress::get(&progress.read)),
        output::number(rate as u64),
        output::number(Progress::get(&progress.documents)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_left() {
        let progress = Progress::default();
        Progress::add(&progress.read, 12_345);
        Progress::add(&progress.bytes, 3 << 20);
        let shown = |left| {
            progress.set_left(left);
            let line = line(&progress, 1_000.4);
            line.split_once(", 0 documents").map(|(begin, _)| begin.to_owned())
        };
        assert_eq!(shown(None).as_deref(), Some("12,345 records, 1,000/s, 3 MiB read"));
        assert_eq!(shown(Some(Left::Bytes(2048))).as_deref(), Some("12,345 records, 1,000/s, 2 KiB left"));
        assert_eq!(
            shown(Some(Left::Records(7_000))).as_deref(),
            Some("12,345 records, 1,000/s, 7,000 behind")
        );
    }
}
