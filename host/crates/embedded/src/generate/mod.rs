//! Made-up traffic as a source: the same settings make the same records, and each record is a function of its partition and
//! offset alone, so that a position needs nothing but its offset.

mod tables;
mod traffic;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clickmill_columns::Values;
use clickmill_settings::Generate;
use clickmill_tasks::{
    batch::{RawBatch, fingerprint},
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};

use crate::feed::{Feed, Feeder, feed};
pub use traffic::Traffic;

/// Records and bytes of a batch at most.
const RECORDS: u64 = 4096;
const BYTES: usize = 1_000_000;
/// How often records are handed over where they come at a rate.
const BEAT: Duration = Duration::from_millis(50);

/// All records of the settings, each a line without its end, in an order that mixes the partitions; without end where the
/// settings give none.
pub fn lines(settings: &Generate) -> impl Iterator<Item = Vec<u8>> + use<> {
    let traffic = Traffic::new(settings);
    let partitions = u64::from(traffic.partitions());
    let all = traffic.records();
    (0..).take_while(move |number| all.is_none_or(|all| *number < all)).map(move |number| {
        let mut line = Vec::with_capacity(512);
        traffic.write((number % partitions) as u32, number / partitions, &mut line);
        line
    })
}

/// Made-up traffic as a source.
#[derive(Clone)]
pub struct GenerateSource {
    traffic: Arc<Traffic>,
    /// Records a second of each partition.
    rate: Option<f64>,
}

impl GenerateSource {
    pub fn new(settings: &Generate) -> GenerateSource {
        let rate = settings.rate.map(|rate| rate as f64 / f64::from(settings.partitions.max(1)));
        GenerateSource { traffic: Arc::new(Traffic::new(settings)), rate }
    }

    pub fn partitions(&self) -> Vec<u32> {
        (0..self.traffic.partitions()).collect()
    }
}

impl Source for GenerateSource {
    type Reader = GenerateReader;

    async fn open(&self, partition: PartitionId, position: &Position) -> Result<GenerateReader, Trouble> {
        let PartitionId { partition: number, .. } = partition;
        if number >= self.traffic.partitions() {
            return Err(Trouble::Final(format!("the made-up traffic has no partition {number}")));
        }
        if let Some((offset, expected)) = position.last {
            let mut record = Vec::new();
            self.traffic.write(number, offset.max(0) as u64, &mut record);
            if fingerprint(&record) != expected {
                return Err(Trouble::Final(format!(
                    "the made-up traffic is another one than before offset {} of partition {number}: its settings have \
                     changed. Put them back, use another store, or say where to go on: `run --resume-at new-log`",
                    position.next
                )));
            }
        }
        let (feeder, feed) = feed();
        let (traffic, rate, from) = (self.traffic.clone(), self.rate, position.next.max(0) as u64);
        let spawned = thread::Builder::new()
            .name(format!("generate {partition}"))
            .spawn(move || generate(&traffic, number, from, rate, feeder));
        spawned.map_err(|error| Trouble::Final(format!("cannot start a thread: {error}")))?;
        Ok(GenerateReader(feed))
    }
}

fn generate(traffic: &Traffic, partition: u32, from: u64, rate: Option<f64>, feeder: Feeder) {
    let begun = Instant::now();
    let source: Arc<str> = "generate".into();
    let all = traffic.records_of(partition).unwrap_or(u64::MAX);
    let mut next = from;
    while next < all {
        let due = rate.map_or(u64::MAX, |rate| from + (begun.elapsed().as_secs_f64() * rate) as u64);
        let until = all.min(due).min(next + RECORDS);
        if until <= next {
            if !feeder.rest(BEAT) {
                return;
            }
            continue;
        }
        let first = next;
        let mut payloads = Values::with_capacity((until - next) as usize, BYTES + 1024);
        while next < until && payloads.bytes().len() < BYTES {
            payloads.push_with(|bytes| traffic.write(partition, next, bytes));
            next += 1;
        }
        let batch = RawBatch {
            source: source.clone(),
            payloads: Arc::new(payloads),
            offsets: (first as i64..next as i64).collect(),
            next: next as i64,
            ..RawBatch::default()
        };
        if !feeder.push(batch) {
            return;
        }
    }
    feeder.end(Ok(()));
}

/// Reads a partition of made-up traffic.
pub struct GenerateReader(Feed);

impl Reader for GenerateReader {
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        self.0.next(wait).await
    }

    fn committed(&mut self, _next: i64) {}
}
