//! How long it takes from a record in the topic to its document in the answer of a search, beside steady traffic.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickmill_elasticsearch::ElasticsearchIndex;
use clickmill_kafka::Producer;
use serde_json::{Value, json};

use super::{
    PARTITIONS, quantile,
    target::Target,
    traffic::{Steady, probe},
};
use crate::{error::Error, load, output, output::say, reading};

const PROBES: usize = 200;
/// Between two probes, and between two questions.
const PAUSE: Duration = Duration::from_millis(100);
const ASK: Duration = Duration::from_millis(20);
/// Traffic goes on for so long before the first probe.
const WARM: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

pub fn bench(target: &Target, rate: f64) -> Result<Value, Error> {
    let plan = load::pipeline(&target.config)?.plan;
    let by_url = |spec: &clickmill_elasticsearch::IndexSpec| spec.by.iter().any(|column| &**column == "url");
    let spec = reading::specs(&plan).into_iter().find(by_url);
    let spec = spec.ok_or_else(|| Error::Usage("--cluster needs a rollup by `url`".into()))?;
    target.make_topic(PARTITIONS)?;
    let index = ElasticsearchIndex::new(&target.elasticsearch)?;
    let producer = Producer::new(target.kafka())?;
    let traffic = Steady::start(target.kafka(), rate)?;
    let host = target.host()?;
    std::thread::sleep(WARM);
    let (mut waiting, mut times) = (BTreeMap::new(), Vec::new());
    let (began, mut sent) = (Instant::now(), 0);
    while times.len() < PROBES {
        if began.elapsed() > PATIENCE {
            return Err(Error::Other(format!("the bench: {} probes were never found", waiting.len())));
        }
        if sent < PROBES && began.elapsed() >= PAUSE * sent as u32 {
            let url = format!("https://probe.example/{sent}");
            probe(&producer, &url, sent)?;
            waiting.insert(url, Instant::now());
            sent += 1;
        }
        let urls: Vec<String> = waiting.keys().cloned().collect();
        if !urls.is_empty() {
            for url in index.searchable(&spec, "url", &urls)? {
                times.extend(waiting.remove(&url).map(|at: Instant| at.elapsed().as_secs_f64()));
            }
        }
        std::thread::sleep(ASK);
    }
    host.stop()?;
    traffic.stop()?;
    let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    say(format_args!(
        "  searchable    {half:.2} s after the record was acknowledged, p99 {most:.2} s, at {} records/s",
        output::number(rate as u64)
    ))?;
    Ok(json!({"p50_seconds": half, "p99_seconds": most, "records_per_second": rate}))
}
