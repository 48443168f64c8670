//! One engine a process: it compiles, and its epoch is the clock by which calls are cut off. The epoch advances as long as an
//! engine lives, by one thread that ends with it.

use std::{io, thread, time::Duration};

use thiserror::Error;
use wasmtime::{Config, OptLevel, WasmFeatures};

/// How exactly the time of a call is measured. A limit is kept to within one such period.
const TICK: Duration = Duration::from_millis(10);

/// Stack of a guest's call. Worker threads have 2 MiB, of which the host's own frames need some.
const MAX_STACK: usize = 1 << 20;

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum EngineError {
    #[error("the WebAssembly engine cannot be set up on this machine: {0:#}")]
    Setup(wasmtime::Error),
    #[error("the thread that measures the time of calls cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Compiles and runs plugins. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine(wasmtime::Engine);

impl Engine {
    pub fn new() -> Result<Engine, EngineError> {
        let engine = wasmtime::Engine::new(&config()).map_err(EngineError::Setup)?;
        let weak = engine.weak();
        thread::Builder::new().name("epoch".into()).spawn(move || {
            loop {
                thread::sleep(TICK);
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })?;
        Ok(Engine(engine))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0
    }
}

/// How many ticks from now on a call of this length must have seen: one more than fit, for one may be due at once.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).saturating_add(1)
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .parallel_compilation(true)
        .epoch_interruption(true)
        .max_wasm_stack(MAX_STACK)
        .wasm_backtrace_max_frames(None);
    // What differs from machine to machine, and what no compiler emits unasked.
    for feature in [
        WasmFeatures::RELAXED_SIMD,
        WasmFeatures::THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::MULTI_MEMORY,
        WasmFeatures::TAIL_CALL,
    ] {
        config.wasm_features(feature, false);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_at_least_its_time() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(10)), 2);
        assert_eq!(ticks(Duration::from_millis(11)), 3);
        assert_eq!(ticks(Duration::from_secs(10)), 1001);
    }

    #[test]
    fn the_engine_ends_with_its_last_clone() {
        let engine = Engine::new().unwrap();
        let weak = engine.wasmtime().weak();
        drop(engine.clone());
        assert!(weak.upgrade().is_some());
        drop(engine);
        // The ticker may hold it for a moment.
        for _ in 0..100 {
            if weak.upgrade().is_none() {
                return;
            }
            thread::sleep(TICK);
        }
        panic!("the engine is still there");
    }
}
