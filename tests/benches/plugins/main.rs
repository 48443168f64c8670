//! Each default plugin as a component against the same code compiled natively. The calls are those that the tasks make of it in a
//! whole run of generated traffic, in batches of about 1 MB, recorded once; both answer all of them in turns, and must answer the
//! same.
//!
//! - *WASM* is everything between the task and the component: columns copied in, the call, the reply copied out and checked. For
//!   the parser it is the way to its thread and back, too, on both sides.
//! - *Native* is the plugin's function alone: no copies, no checks, no limits.
//!
//! Instances are new for each turn; their making, and growing their memory to what the calls need, does not count on either side.
//! The ratio is the native time by that of WASM: 1 would be equally fast. Beside it stands the ratio with native code that copies
//! its inputs, as the signatures of the plugins' functions ask of a host that only lends them.

mod replay;
#[path = "../support/mod.rs"]
mod support;

use std::{path::Path, sync::Arc, time::Duration};

use clickmill_plugin::WasmPlugins;
use clickmill_tasks::env::{CallError, Plugins};
use criterion::{Criterion, Throughput};
use futures_executor::block_on;
use replay::{Recorder, Recording, Which};
use support::{Failed, components, host, is_measured, median, native::NativePlugins};

/// Each plugin is to be at least so fast as a component, measured by its native form.
const FLOOR: f64 = 0.5;

/// Time of one turn of each.
#[derive(Clone, Copy)]
struct Turn {
    wasm: Duration,
    native: Duration,
    /// What native code would copy beside.
    copies: Duration,
}

impl Turn {
    fn ratio(self) -> f64 {
        self.native.as_secs_f64() / self.wasm.as_secs_f64()
    }

    fn of_wasm(self) -> Duration {
        self.wasm
    }

    fn of_native(self) -> Duration {
        self.native
    }

    fn ratio_with_copies(self) -> f64 {
        (self.native + self.copies).as_secs_f64() / self.wasm.as_secs_f64()
    }
}

struct Rivals {
    wasm: Arc<WasmPlugins>,
    native: NativePlugins,
    recording: Recording,
    turns: usize,
}

impl Rivals {
    fn must_agree(&self, which: Which) -> Result<(), Failed> {
        let wasm = block_on(self.recording.digest(&*self.wasm, which))?;
        let native = block_on(self.recording.digest(&self.native, which))?;
        if wasm == native { Ok(()) } else { Err(format!("{which:?}: the replies differ").into()) }
    }

    /// One after the other; who begins changes.
    fn turn(&mut self, which: Which) -> Result<Turn, CallError> {
        let Rivals { wasm, native, recording, turns } = self;
        let wasm = || block_on(recording.replay(&**wasm, which));
        let native = || block_on(recording.replay(native, which));
        *turns += 1;
        if turns.is_multiple_of(2) {
            let (wasm, _) = wasm()?;
            let (native, copies) = native()?;
            Ok(Turn { wasm, native, copies })
        } else {
            let (native, copies) = native()?;
            let (wasm, _) = wasm()?;
            Ok(Turn { wasm, native, copies })
        }
    }
}

fn main() -> Result<(), Failed> {
    let events: u64 = if is_measured() { 200_000 } else { 2_000 };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-plugins");
    let wasm = Arc::new(components::load()?);
    let recorder = Arc::new(Recorder::new(wasm.clone()));
    host::run(&recorder, &host::stream(&folder, events)?, events, &folder.join("store"))?;
    let descriptions = wasm.descriptions().clone();
    let mut rivals = Rivals {
        native: NativePlugins::new(descriptions.clone()),
        recording: recorder.recording(),
        wasm,
        turns: 0,
    };
    let mut plugins = vec![(descriptions.parser.name, Which::Parser)];
    let names = |which: fn(usize) -> Which| move |(number, name)| (name, which(number));
    plugins
        .extend(descriptions.enrichers.into_iter().map(|it| it.name).enumerate().map(names(Which::Enricher)));
    plugins
        .extend(descriptions.operators.into_iter().map(|it| it.name).enumerate().map(names(Which::Operator)));
    plugins.extend(descriptions.metrics.into_iter().map(|it| it.name).enumerate().map(names(Which::Metric)));

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut table = Vec::new();
    for (name, which) in plugins {
        rivals.must_agree(which)?;
        let mut turns: Vec<Turn> = Vec::new();
        let mut group = criterion.benchmark_group(&name);
        group.throughput(Throughput::Elements(events));
        let sides = [("wasm", Turn::of_wasm as fn(Turn) -> Duration), ("native", Turn::of_native)];
        for (side, time) in sides {
            group.bench_function(side, |bencher| {
                bencher.iter_custom(|times| {
                    let turn = |_| {
                        let turn = rivals.turn(which).unwrap();
                        turns.push(turn);
                        time(turn)
                    };
                    (0..times).map(turn).sum()
                });
            });
        }
        group.finish();
        if !turns.is_empty() {
            table.push((name, turns));
        }
    }
    criterion.final_summary();
    std::fs::remove_dir_all(&folder)?;
    show(events, &table);
    Ok(())
}

fn show(events: u64, table: &[(String, Vec<Turn>)]) {
    println!("\nnative time / WASM time of the calls of a run of {events} events, floor {FLOOR}");
    let each = |time: Duration| time.as_secs_f64() * 1e9 / events as f64;
    let mut sum = (0.0, 0.0);
    for (name, turns) in table {
        let wasm = median(turns.iter().map(|turn| each(turn.wasm))).0;
        let native = median(turns.iter().map(|turn| each(turn.native))).0;
        let (ratio, least, most) = median(turns.iter().map(|turn| turn.ratio()));
        let with_copies = median(turns.iter().map(|turn| turn.ratio_with_copies())).0;
        println!(
            "  {name:<14} native {native:>6.1} ns, WASM {wasm:>6.1} ns an event  ratio {ratio:.2} ({least:.2} to {most:.2}), \
             with copies {with_copies:.2}"
        );
        sum = (sum.0 + native, sum.1 + wasm);
    }
    println!(
        "  {:<14} native {:>6.1} ns, WASM {:>6.1} ns an event  ratio {:.2}",
        "all",
        sum.0,
        sum.1,
        sum.0 / sum.1
    );
}
