//! The whole embedded run of a generated stream, from the file until every event, document and commit is stored, with the default
//! plugins as components and with the same code compiled natively, in turns in one process.
//!
//!     cargo bench -p clickmill-benches --bench whole -- --events 1000000 --rounds 5
//!
//! Everything but the plugins is the same: source, tasks, threads, store, index. Natively there is no copy and no check of
//! replies and no limit; the copies of inputs, which are in the native runs, are shown apart. Loading the plugins is in neither.
//! The ratio is the native time by that of WASM: 1 would be equally fast.

mod support;

use std::{path::Path, sync::Arc, time::Duration};

use clickmill_tasks::env::Plugins;
use support::{
    Failed, components,
    host::{self, Run},
    is_measured, median,
    native::{NativePlugins, take_copying},
};

/// The whole run is to be at least so fast with components, measured by the run with native plugins.
const FLOOR: f64 = 0.75;

/// The number behind this argument.
fn argument(name: &str) -> Result<Option<u64>, Failed> {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1);
    Ok(value.map(|value| value.parse().map_err(|error| format!("{name} {value}: {error}"))).transpose()?)
}

fn main() -> Result<(), Failed> {
    let (events, rounds) = if is_measured() { (1_000_000, 5) } else { (2_000, 1) };
    let (events, rounds) = (argument("--events")?.unwrap_or(events), argument("--rounds")?.unwrap_or(rounds));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-whole");
    let wasm = Arc::new(components::load()?);
    let native = Arc::new(NativePlugins::new(wasm.descriptions().clone()));
    let (file, store) = (host::stream(&folder, events)?, folder.join("store"));
    let (mut wasm_runs, mut native_runs, mut control) = (Vec::new(), Vec::new(), Vec::new());
    let mut copying = Duration::ZERO;
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        wasm_runs.push(host::run(&wasm, &file, events, &store)?);
        take_copying();
        native_runs.push(host::run(&native, &file, events, &store)?);
        copying += take_copying();
        control.push(host::run(&wasm, &file, events, &store)?);
    }
    println!("{events} events, {rounds} rounds, everything stored; floor {FLOOR}");
    for (name, runs) in [("WASM", &wasm_runs), ("native", &native_runs), ("WASM again (control)", &control)] {
        show(name, events, runs, &wasm_runs);
    }
    let copying = copying.as_secs_f64() * 1e9 / (events * rounds.max(1)) as f64;
    println!("  the native runs copied inputs for {copying:.0} ns an event");
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn show(name: &str, events: u64, runs: &[Run], wasm: &[Run]) {
    let each = |seconds: f64| seconds * 1e9 / events as f64;
    let wall = |run: &Run| run.wall.as_secs_f64();
    let ratio = |of: fn(&Run) -> f64| median(runs.iter().zip(wasm).map(|(run, wasm)| of(run) / of(wasm)));
    let (cpu_ratio, cpu_least, cpu_most) = ratio(|run| run.cpu);
    let (wall_ratio, wall_least, wall_most) = ratio(|run| run.wall.as_secs_f64());
    println!(
        "  {name:<21} {:>5.0} ns of CPU an event, ratio {cpu_ratio:.2} ({cpu_least:.2} to {cpu_most:.2})  {:>5.0} ns by the \
         clock, ratio {wall_ratio:.2} ({wall_least:.2} to {wall_most:.2})",
        each(median(runs.iter().map(|run| run.cpu)).0),
        each(median(runs.iter().map(wall)).0),
    );
}
