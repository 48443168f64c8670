//! The default plugins as a host would have them that is compiled together with them: the plain Rust that the components are made
//! of, called directly, in this process's own memory.
//!
//! There is no copy of replies, no check of them, and no limit of time, memory or size: such a host would trust its own code. The
//! plugins' functions own what they are given, so inputs, which the tasks only lend, are copied; what that takes is counted apart
//! ([`take_copying`]), for a host of that kind could hand them over.
//!
//! The parser is the one whose native form differs in its source: where a component has vectors of 128 bits, `block.rs` has two
//! words of 64.

mod bridge;
mod enricher;
mod metric;
mod operator;
mod parser;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use clickmill_tasks::env::{CallError, Descriptions, Plugins};

pub use enricher::NativeEnricher;
pub use metric::NativeMetric;
pub use operator::NativeOperator;
pub use parser::NativeParser;
use parser::Pool;

/// The default plugins without parameters.
pub struct NativePlugins {
    descriptions: Descriptions,
    pool: OnceLock<Arc<Pool>>,
}

impl NativePlugins {
    /// `descriptions` are those of the components of the same sources.
    pub fn new(descriptions: Descriptions) -> NativePlugins {
        NativePlugins { descriptions, pool: OnceLock::new() }
    }
}

impl Plugins for NativePlugins {
    type Parser = NativeParser;
    type Enricher = NativeEnricher;
    type Operator = NativeOperator;
    type Metric = NativeMetric;

    fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    fn parser(&self, wanted: &[usize]) -> Result<NativeParser, CallError> {
        let outputs = &self.descriptions.parser.info.outputs;
        let wanted: Vec<String> = wanted.iter().map(|&output| outputs[output].name.clone()).collect();
        Ok(NativeParser::new(self.pool.get_or_init(|| Arc::new(Pool::start())).clone(), wanted))
    }

    fn enricher(&self, enricher: usize, wanted: &[usize]) -> Result<NativeEnricher, CallError> {
        let Descriptions { enrichers, .. } = &self.descriptions;
        let outputs = &enrichers[enricher].info.outputs;
        let wanted = wanted.iter().map(|&output| outputs[output].name.clone()).collect();
        NativeEnricher::new(&enrichers[enricher].name, wanted)
    }

    fn operator(&self, operator: usize) -> Result<NativeOperator, CallError> {
        NativeOperator::new(&self.descriptions.operators[operator].name)
    }

    fn metric(&self, metric: usize) -> Result<NativeMetric, CallError> {
        NativeMetric::new(&self.descriptions.metrics[metric].name)
    }
}

fn unknown<T>(name: &str) -> Result<T, CallError> {
    Err(CallError::Call(format!("`{name}` has no native form here")))
}

static COPYING: AtomicU64 = AtomicU64::new(0);

/// Makes an owned copy of what a plugin's function is to be given.
fn copied<T>(copy: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let made = copy();
    COPYING.fetch_add(began.elapsed().as_nanos() as u64, Relaxed);
    made
}

/// The time that all threads have spent on copies of inputs since this was last asked.
pub fn take_copying() -> Duration {
    Duration::from_nanos(COPYING.swap(0, Relaxed))
}
