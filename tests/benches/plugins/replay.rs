//! The calls that the tasks make of each plugin in a whole run, recorded, to be made again of plugins of either sort.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use clickmill_columns::{Column, Data, Values, hash64};
use clickmill_tasks::env::{
    CallError, Derived, Descriptions, Enriched, Enricher, Extent, Metric, Operator, Parsed, Parser, Plugins,
};

use super::support::native::take_copying;

/// A plugin of the pipeline, by its number among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Parser,
    Enricher(usize),
    Operator(usize),
    Metric(usize),
}

/// A call, with all that it was given.
#[derive(Clone)]
enum Call {
    Parse(Arc<Values>),
    Enrich(Vec<Column>),
    Process { times: Vec<i64>, origins: Vec<u64>, inputs: Vec<Column>, slots: Vec<u32>, horizon: i64 },
    SaveKeys { slots: Vec<u32>, horizon: i64, extent: Extent },
    Restore { slots: Vec<u32>, states: Values, version: u32 },
    Update { inputs: Vec<Column>, slots: Vec<u32> },
    Merge { slots: Vec<u32>, states: Values, version: u32 },
    Save(Vec<u32>),
    Evaluate(Vec<u32>),
    Clear(Vec<u32>),
    Reset,
}

/// The calls of one instance, in their order. Of the parser, all of its calls.
struct Trace {
    which: Which,
    wanted: Vec<usize>,
    calls: Vec<Call>,
}

#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<Trace>>>);

impl Traces {
    fn lock(&self) -> MutexGuard<'_, Vec<Trace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, which: Which, wanted: &[usize]) -> Pen {
        let mut traces = self.lock();
        traces.push(Trace { which, wanted: wanted.to_vec(), calls: Vec::new() });
        Pen { traces: self.clone(), number: traces.len() - 1 }
    }
}

/// Writes one trace.
#[derive(Clone)]
struct Pen {
    traces: Traces,
    number: usize,
}

impl Pen {
    fn note(&self, call: Call) {
        self.traces.lock()[self.number].calls.push(call);
    }
}

/// Plugins whose calls are recorded.
pub struct Recorder<P> {
    plugins: Arc<P>,
    traces: Traces,
}

impl<P> Recorder<P> {
    pub fn new(plugins: Arc<P>) -> Recorder<P> {
        Recorder { plugins, traces: Traces::default() }
    }

    /// What was recorded so far.
    pub fn recording(&self) -> Recording {
        Recording(std::mem::take(&mut *self.traces.lock()))
    }
}

impl<P: Plugins> Plugins for Recorder<P> {
    type Parser = Recorded<P::Parser>;
    type Enricher = Recorded<P::Enricher>;
    type Operator = Recorded<P::Operator>;
    type Metric = Recorded<P::Metric>;

    fn descriptions(&self) -> &Descriptions {
        self.plugins.descriptions()
    }

    fn parser(&self, wanted: &[usize]) -> Result<Self::Parser, CallError> {
        let inner = self.plugins.parser(wanted)?;
        Ok(Recorded { inner, pen: self.traces.begin(Which::Parser, wanted) })
    }

    fn enricher(&self, enricher: usize, wanted: &[usize]) -> Result<Self::Enricher, CallError> {
        let inner = self.plugins.enricher(enricher, wanted)?;
        Ok(Recorded { inner, pen: self.traces.begin(Which::Enricher(enricher), wanted) })
    }

    fn operator(&self, operator: usize) -> Result<Self::Operator, CallError> {
        let inner = self.plugins.operator(operator)?;
        Ok(Recorded { inner, pen: self.traces.begin(Which::Operator(operator), &[]) })
    }

    fn metric(&self, metric: usize) -> Result<Self::Metric, CallError> {
        let inner = self.plugins.metric(metric)?;
        Ok(Recorded { inner, pen: self.traces.begin(Which::Metric(metric), &[]) })
    }
}

/// An instance whose calls are recorded.
#[derive(Clone)]
pub struct Recorded<I> {
    inner: I,
    pen: Pen,
}

impl<I: Parser> Parser for Recorded<I> {
    fn parse(
        &self,
        payloads: Arc<Values>,
        patient: bool,
    ) -> impl Future<Output = Result<Parsed, CallError>> + use<I> {
        self.pen.note(Call::Parse(payloads.clone()));
        self.inner.parse(payloads, patient)
    }
}

impl<I: Enricher> Enricher for Recorded<I> {
    async fn enrich(&mut self, inputs: &[Column], patient: bool) -> Result<Enriched, CallError> {
        self.pen.note(Call::Enrich(inputs.to_vec()));
        self.inner.enrich(inputs, patient).await
    }
}

impl<I: Operator> Operator for Recorded<I> {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, CallError> {
        self.pen.note(Call::Process {
            times: times.to_vec(),
            origins: origins.to_vec(),
            inputs: inputs.to_vec(),
            slots: slots.to_vec(),
            horizon,
        });
        self.inner.process(times, origins, inputs, slots, horizon, patient).await
    }

    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError> {
        self.pen.note(Call::SaveKeys { slots: slots.to_vec(), horizon, extent });
        self.inner.save(slots, horizon, extent).await
    }

    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.pen.note(Call::Restore { slots: slots.to_vec(), states: states.clone(), version });
        self.inner.restore(slots, states, version).await
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.pen.note(Call::Clear(slots.to_vec()));
        self.inner.clear(slots).await
    }
}

impl<I: Metric> Metric for Recorded<I> {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], patient: bool) -> Result<(), CallError> {
        self.pen.note(Call::Update { inputs: inputs.to_vec(), slots: slots.to_vec() });
        self.inner.update(inputs, slots, patient).await
    }

    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.pen.note(Call::Merge { slots: slots.to_vec(), states: states.clone(), version });
        self.inner.merge(slots, states, version).await
    }

    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError> {
        self.pen.note(Call::Save(slots.to_vec()));
        self.inner.save(slots).await
    }

    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError> {
        self.pen.note(Call::Evaluate(slots.to_vec()));
        self.inner.evaluate(slots).await
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.pen.note(Call::Clear(slots.to_vec()));
        self.inner.clear(slots).await
    }

    async fn reset(&mut self) -> Result<(), CallError> {
        self.pen.note(Call::Reset);
        self.inner.reset().await
    }
}

/// All calls of a run.
pub struct Recording(Vec<Trace>);

impl Recording {
    /// Makes every call of a plugin again; how long the calls took, one after another. The instances are new, have answered all
    /// of it once and were emptied then, so that their memory is there, as it is in all but the first commits of a host.
    /// Answers the time without copies of inputs of native plugins, and the time of these.
    pub async fn replay<P: Plugins>(
        &self,
        plugins: &P,
        which: Which,
    ) -> Result<(Duration, Duration), CallError> {
        let (mut took, mut copies) = (Duration::ZERO, Duration::ZERO);
        self.each_reply(plugins, which, |time, _| {
            let copied = take_copying();
            copies += copied;
            took += time.saturating_sub(copied);
        })
        .await?;
        Ok((took, copies))
    }

    /// What is in all replies, as one number.
    pub async fn digest<P: Plugins>(&self, plugins: &P, which: Which) -> Result<u64, CallError> {
        let mut digest = 0;
        self.each_reply(plugins, which, |_, reply| {
            digest = hash64(&[digest, reply.digest()].map(u64::to_le_bytes).concat())
        })
        .await?;
        Ok(digest)
    }

    async fn each_reply<P: Plugins>(
        &self,
        plugins: &P,
        which: Which,
        mut each: impl FnMut(Duration, &Reply),
    ) -> Result<(), CallError> {
        for trace in self.0.iter().filter(|trace| trace.which == which) {
            let mut instance = Instance::start(plugins, trace)?;
            for call in &trace.calls {
                instance.call(call).await?;
            }
            instance.empty(trace).await?;
            for call in &trace.calls {
                take_copying();
                let began = Instant::now();
                let reply = instance.call(call).await?;
                each(began.elapsed(), &reply);
            }
        }
        Ok(())
    }
}

enum Instance<P: Plugins> {
    Parser(P::Parser),
    Enricher(P::Enricher),
    Operator(P::Operator),
    Metric(P::Metric),
}

impl<P: Plugins> Instance<P> {
    fn start(plugins: &P, Trace { which, wanted, .. }: &Trace) -> Result<Instance<P>, CallError> {
        Ok(match *which {
            Which::Parser => Instance::Parser(plugins.parser(wanted)?),
            Which::Enricher(number) => Instance::Enricher(plugins.enricher(number, wanted)?),
            Which::Operator(number) => Instance::Operator(plugins.operator(number)?),
            Which::Metric(number) => Instance::Metric(plugins.metric(number)?),
        })
    }

    /// Every slot as it was before the first call.
    async fn empty(&mut self, trace: &Trace) -> Result<(), CallError> {
        match self {
            Instance::Parser(_) | Instance::Enricher(_) => Ok(()),
            Instance::Operator(operator) => {
                let slots = trace.calls.iter().flat_map(|call| match call {
                    Call::Process { slots, .. } | Call::Restore { slots, .. } => &slots[..],
                    _ => &[],
                });
                let used = BTreeSet::from_iter(slots.copied());
                operator.clear(&Vec::from_iter(used)).await
            }
            Instance::Metric(metric) => metric.reset().await,
        }
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        Ok(match (self, call) {
            (Instance::Parser(parser), Call::Parse(payloads)) => {
                Reply::Parsed(parser.parse(payloads.clone(), false).await?)
            }
            (Instance::Enricher(enricher), Call::Enrich(inputs)) => {
                Reply::Enriched(enricher.enrich(inputs, false).await?)
            }
            (Instance::Operator(operator), Call::Process { times, origins, inputs, slots, horizon }) => {
                Reply::Derived(operator.process(times, origins, inputs, slots, *horizon, false).await?)
            }
            (Instance::Operator(operator), Call::SaveKeys { slots, horizon, extent }) => {
                Reply::States(operator.save(slots, *horizon, *extent).await?)
            }
            (Instance::Operator(operator), Call::Restore { slots, states, version }) => {
                Reply::nothing(operator.restore(slots, states, *version).await)?
            }
            (Instance::Operator(operator), Call::Clear(slots)) => {
                Reply::nothing(operator.clear(slots).await)?
            }
            (Instance::Metric(metric), Call::Update { inputs, slots }) => {
                Reply::nothing(metric.update(inputs, slots, false).await)?
            }
            (Instance::Metric(metric), Call::Merge { slots, states, version }) => {
                Reply::nothing(metric.merge(slots, states, *version).await)?
            }
            (Instance::Metric(metric), Call::Save(slots)) => Reply::States(metric.save(slots).await?),
            (Instance::Metric(metric), Call::Evaluate(slots)) => {
                Reply::Columns(metric.evaluate(slots).await?)
            }
            (Instance::Metric(metric), Call::Clear(slots)) => Reply::nothing(metric.clear(slots).await)?,
            (Instance::Metric(metric), Call::Reset) => Reply::nothing(metric.reset().await)?,
            _ => return Err(CallError::Call("this kind of plugin has no such call".into())),
        })
    }
}

enum Reply {
    Parsed(Parsed),
    Enriched(Enriched),
    Derived(Derived),
    States(Values),
    Columns(Vec<Column>),
    Nothing,
}

impl Reply {
    fn nothing(answer: Result<(), CallError>) -> Result<Reply, CallError> {
        answer.map(|()| Reply::Nothing)
    }

    fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        match self {
            Reply::Parsed(Parsed { columns, rejects, skipped, unusable }) => {
                columns.iter().for_each(|column| write_column(column, &mut bytes));
                bytes.extend_from_slice(format!("{rejects:?} {skipped:?} {unusable:?}").as_bytes());
            }
            Reply::Enriched(Enriched { columns, rejects }) => {
                columns.iter().for_each(|column| write_column(column, &mut bytes));
                bytes.extend_from_slice(format!("{rejects:?}").as_bytes());
            }
            Reply::Derived(Derived { times, origins, columns }) => {
                bytes.extend_from_slice(format!("{times:?} {origins:?}").as_bytes());
                columns.iter().for_each(|column| write_column(column, &mut bytes));
            }
            Reply::States(states) => {
                states.ends().iter().for_each(|end| bytes.extend_from_slice(&end.to_le_bytes()));
                bytes.extend_from_slice(states.bytes());
            }
            Reply::Columns(columns) => columns.iter().for_each(|column| write_column(column, &mut bytes)),
            Reply::Nothing => {}
        }
        hash64(&bytes)
    }
}

/// Appends each value, a null as none.
fn write_column(column: &Column, bytes: &mut Vec<u8>) {
    for row in 0..column.rows() {
        bytes.push(u8::from(column.valid.get(row)));
        match &column.data {
            _ if !column.valid.get(row) => {}
            Data::Integers(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
            Data::Unsigned(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
            Data::Reals(values) => bytes.extend_from_slice(&values[row].to_le_bytes()),
            Data::Booleans(values) => bytes.push(values[row].into()),
            Data::Text(_) | Data::Places { .. } | Data::Coded { .. } => {
                let text = column.text(row).unwrap_or_default();
                bytes.extend_from_slice(&text.len().to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
    }
}
