//! How many documents a second a real Elasticsearch takes from 16 shards of 3 windows each, at `ELASTICSEARCH_URL`. A measurement,
//! which nothing asserts: `cargo test --release … --test rate -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    rc::Rc,
    sync::{Arc, Barrier},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clickmill_columns::{Column, Data, Family, Field, Kind};
use clickmill_elasticsearch::{ElasticsearchIndex, IndexSpec, Missing};
use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed},
};
use futures_executor::block_on;
use futures_util::future::join_all;

const SHARDS: u32 = 16;
const WINDOWS: [(&str, i64); 3] = [("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000)];

fn field(name: &str, kind: Kind) -> Arc<Field> {
    let (unit, doc) = (String::new(), String::new());
    Arc::new(Field { name: name.into(), kind, unit, family: Family::ClickData, doc })
}

fn fields() -> Vec<Arc<Field>> {
    vec![
        field("clicks", Kind::Unsigned),
        field("unique_users", Kind::Unsigned),
        field("avg_time_seconds", Kind::Real),
        field("total_time_seconds", Kind::Real),
        field("time_samples", Kind::Unsigned),
    ]
}

fn batch(shard: u32, window: usize, version: u64, rows: usize) -> DocumentBatch {
    let urls: Vec<String> = (0..rows).map(|row| format!("https://site-{shard}.example/page/{row}")).collect();
    let numbers = || Column::new(Data::Unsigned((0..rows as u64).map(|row| row * 31 % 977).collect()));
    let reals = || Column::new(Data::Reals((0..rows).map(|row| row as f64 * 0.37).collect()));
    let columns = [numbers(), numbers(), reals(), reals(), numbers()];
    DocumentBatch {
        shard,
        rollup: "url-country".into(),
        window: WINDOWS[window].0.into(),
        window_millis: WINDOWS[window].1,
        version,
        starts: vec![1_772_359_200_000; rows],
        by: vec![
            ("url".into(), Column::new(Data::Text(urls.iter().map(String::as_bytes).collect()))),
            ("country".into(), Column::new(Data::Text(std::iter::repeat_n(&b"DE"[..], rows).collect()))),
        ],
        fields: fields().into_iter().zip(columns).collect(),
    }
}

#[test]
#[ignore = "a measurement"]
fn documents_a_second() {
    for (rows, commits) in [(10, 40), (100, 20), (1000, 6), (10_000, 1)] {
        let url = std::env::var("ELASTICSEARCH_URL").expect("ELASTICSEARCH_URL");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let settings = Elasticsearch { url, name: format!("rate_{now}"), ..Elasticsearch::default() };
        let index = ElasticsearchIndex::new(&settings).unwrap();
        let spec = |(window, window_millis): &(&str, i64)| IndexSpec {
            rollup: "url-country".into(),
            window: (*window).into(),
            window_millis: *window_millis,
            by: vec!["url".into(), "country".into()],
            fields: fields(),
        };
        let specs: Vec<_> = WINDOWS.iter().map(spec).collect();
        block_on(index.prepare(1, &specs, Missing::Create)).unwrap();
        let ready = Arc::new(Barrier::new(SHARDS as usize + 1));
        let shards: Vec<_> = (0..SHARDS)
            .map(|shard| {
                let (ready, index) = (ready.clone(), index.clone());
                thread::spawn(move || {
                    ready.wait();
                    for commit in 1..=commits {
                        let puts =
                            (0..3).map(|window| index.put(Rc::new(batch(shard, window, commit, rows))));
                        for verdicts in block_on(join_all(puts)) {
                            assert_eq!(verdicts, Ok(vec![Indexed::Acknowledged; rows]));
                        }
                    }
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        shards.into_iter().for_each(|shard| shard.join().unwrap());
        let (took, documents) = (start.elapsed(), rows * commits as usize * 3 * SHARDS as usize);
        let rate = documents as f64 / took.as_secs_f64();
        println!("{rows:6} documents a put, {documents:7} in all: {took:?}, {rate:.0} documents/s");
    }
}
