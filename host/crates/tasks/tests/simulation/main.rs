//! The commit protocol under attack: a deterministic simulation of hosts, source, store and index that drives the crate itself.
//!
//! A seed decides everything: who runs next, what becomes of each request, when hosts crash, stand still or lose what was assigned to
//! them, and how the plugins fail. What must hold is checked after every change (`invariants.rs`). Then every rule of the protocol is
//! broken on purpose, one by one, and must be seen to be: a simulation that notices nothing proves nothing.
//!
//! By hand, with `cargo test --release -p clickmill-tasks --features faults --test simulation`:
//! - `SEEDS=100000 FROM=5000` runs as many histories as asked, from a seed on; without planted faults.
//! - `SEED=17` replays one history, and says what happens.
//! - `FAULT=Gap` plants one fault only (with `SEED`, in that history).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is a test, though not under the harness")]

mod chaos;
mod env;
mod executor;
mod faults;
mod hosts;
mod invariants;
mod log;
mod metrics;
mod oracle;
mod plugins;
mod random;
mod scenes;
mod sessions;
mod setup;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{chaos::history, faults::FAULTS, setup::Broken, world::Counts};

/// Histories in the test suite.
const HISTORIES: u64 = 2000;

/// Histories in which a planted fault must show; few take more than some hundred.
const PLANTED: u64 = 20_000;

/// What must have happened in them.
const MUST_HAPPEN: [&str; 46] = [
    "requests",
    "commits",
    "take-overs",
    "crashes",
    "zombies",
    "hosts stopped",
    "rebalances",
    "lost requests",
    "lost answers",
    "late requests",
    "doubled requests",
    "requests served in part",
    "version conflicts",
    "documents",
    "documents changed by a foreign hand",
    "documents with a failed metric",
    "documents refused",
    "shards indexed anew",
    "new epochs",
    "tasks that failed for good",
    "partitions that fail for good while the others go on",
    "crashes that lost writes",
    "writes made durable by a row",
    "dead letters: too-far-ahead",
    "groups frozen",
    "groups that came back",
    "keys frozen",
    "keys that came back",
    "commits that freeze groups before the horizon",
    "pages of cells with more to come",
    "fences moved into a block",
    "fences moved to others in a block",
    "bases rewritten",
    "blocks in several parts",
    "failures: parser",
    "failures: enricher",
    "failures: operator",
    "failures: metric",
    "failures: save",
    "failures of a metric in a shard",
    "events",
    "records skipped",
    "dead letters: bad",
    "dead letters: refused",
    "dead letters: too-late",
    "dead letters: plugin-failure",
];

fn main() -> ExitCode {
    // A panic is a failure of its history; its text is shown there.
    std::panic::set_hook(Box::new(|_| {}));
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let fault = std::env::var("FAULT").ok();
    let planted: Vec<_> =
        FAULTS.iter().filter(|fault_| fault.as_deref().is_none_or(|name| name == fault_.name())).collect();
    if let Some(seed) = number("SEED") {
        let broken = fault.and_then(|_| planted.first()).map(|fault| fault.broken);
        let (broken, _) = attempt(seed, broken, true);
        println!("seed {seed}: {}", broken.as_deref().unwrap_or("clean"));
        return if broken.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let (from, by_hand) = (number("FROM").unwrap_or(0), number("SEEDS"));
    let mut well = true;
    if fault.is_none() {
        well &= clean(from, by_hand.unwrap_or(HISTORIES), by_hand.is_none());
    }
    if fault.is_none() && by_hand.is_none() {
        // One seed is one history, whatever runs beside it.
        for seed in 0..40 {
            if attempt(seed, None, false).1.0 != attempt(seed, None, false).1.0 {
                println!("seed {seed} does not replay");
                well = false;
            }
        }
        let scenes = |seed| [scenes::rivals(seed), scenes::guilty(seed)];
        let longer = (0..30).flat_map(|seed| [scenes::outage(seed), scenes::busy(seed)]);
        for broken in (0..200).flat_map(scenes).chain(longer).flatten() {
            println!("{broken}");
            well = false;
        }
    }
    if by_hand.is_none() || fault.is_some() {
        well &= faults::all_are_caught(&planted, by_hand.unwrap_or(PLANTED));
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One history; a panic in it is a failure like others.
pub fn attempt(seed: u64, fault: Option<Broken>, verbose: bool) -> (Option<String>, Counts) {
    catch_unwind(AssertUnwindSafe(|| history(seed, fault, verbose))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        (Some(format!("panic: {}", text.unwrap_or_default())), Counts::default())
    })
}

/// Runs `work` for numbers from 0 on, below `count`, on all cores, until it says no.
pub fn on_all_cores(count: u64, work: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= count || !work(number) {
                        break;
                    }
                }
            });
        }
    });
}

/// Histories in which no rule is broken.
fn clean(from: u64, count: u64, must_happen: bool) -> bool {
    let began = Instant::now();
    let all: Mutex<(Counts, Vec<(u64, String)>)> = Mutex::default();
    on_all_cores(count, |number| {
        let (broken, counts) = attempt(from + number, None, false);
        let mut all = all.lock().unwrap();
        all.0.merge(counts);
        if let Some(broken) = broken {
            all.1.push((from + number, broken));
        }
        all.1.len() < 20
    });
    let (counts, mut broken) = all.into_inner().unwrap();
    broken.sort();
    for (what, count) in &counts.0 {
        println!("{count:>12} {what}");
    }
    println!("{:>12.1} seconds", began.elapsed().as_secs_f64());
    for (seed, what) in &broken {
        println!("seed {seed}: {what}");
    }
    let mut well = broken.is_empty();
    for what in MUST_HAPPEN.iter().filter(|what| must_happen && counts.get(what) == 0) {
        println!("nothing of this kind happened: {what}");
        well = false;
    }
    well
}
