//! Documents, the indices that they go into, and a server of the tests' own.

#![allow(dead_code, reason = "no test uses all of it")]

pub mod server;

use std::{rc::Rc, sync::Arc};

use clickmill_columns::{Column, Data, Family, Field, Kind, Validity, Values};
use clickmill_elasticsearch::{ElasticsearchIndex, IndexSpec, Missing};
use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed, Trouble},
};
use futures_executor::block_on;

pub const STORE: u128 = 77;
pub const HOUR: i64 = 3_600_000;

pub fn index(settings: &Elasticsearch) -> ElasticsearchIndex {
    ElasticsearchIndex::new(settings).unwrap()
}

pub fn prepared(settings: &Elasticsearch) -> ElasticsearchIndex {
    let index = index(settings);
    block_on(index.prepare(STORE, &[spec("1h", FIELDS), spec("1d", FIELDS)], Missing::Create)).unwrap();
    index
}

pub const FIELDS: &[(&str, Kind)] = &[
    ("clicks", Kind::Unsigned),
    ("avg_time_seconds", Kind::Real),
    ("last", Kind::Instant),
    ("top", Kind::Json),
];

pub fn fields(fields: &[(&str, Kind)]) -> Vec<Arc<Field>> {
    let field = |(name, kind): &(&str, Kind)| {
        let (unit, doc) = (String::new(), String::new());
        Arc::new(Field { name: (*name).into(), kind: *kind, unit, family: Family::ClickData, doc })
    };
    fields.iter().map(field).collect()
}

pub fn spec(window: &str, of: &[(&str, Kind)]) -> IndexSpec {
    IndexSpec {
        rollup: "url-country".into(),
        window: window.into(),
        window_millis: if window == "1h" { HOUR } else { 24 * HOUR },
        by: vec!["url".into(), "country".into()],
        fields: fields(of),
    }
}

/// A document for each URL, with these clicks; the average is null for every second one.
pub fn batch(version: u64, urls: &[String], clicks: u64, start: i64) -> DocumentBatch {
    let rows = urls.len();
    let text = |values: Values| Column::new(Data::Text(values));
    let averages =
        Column { data: Data::Reals(vec![34.5; rows]), valid: Validity::from_fn(rows, |row| row % 2 == 0) };
    let columns = [
        Column::new(Data::Unsigned(vec![clicks; rows])),
        averages,
        Column::new(Data::Integers(vec![1; rows])),
        text(std::iter::repeat_n(&b"{\"a\":[1,\n2]}"[..], rows).collect()),
    ];
    DocumentBatch {
        shard: 0,
        rollup: "url-country".into(),
        window: "1h".into(),
        window_millis: HOUR,
        version,
        starts: vec![start; rows],
        by: vec![
            ("url".into(), text(urls.iter().map(String::as_bytes).collect())),
            ("country".into(), text(std::iter::repeat_n(&b"DE"[..], rows).collect())),
        ],
        fields: fields(FIELDS).into_iter().zip(columns).collect(),
    }
}

pub fn urls(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("http://site-{}/{n}", n % 2)).collect()
}

pub fn put(index: &ElasticsearchIndex, batch: DocumentBatch) -> Result<Vec<Indexed>, Trouble> {
    block_on(index.put(Rc::new(batch)))
}

/// The text of a trouble, which passes or does not.
pub fn trouble<T: std::fmt::Debug>(result: Result<T, Trouble>) -> (bool, String) {
    match result {
        Err(Trouble::Passing(text)) => (true, text),
        Err(Trouble::Final(text)) => (false, text),
        Ok(value) => panic!("{value:?}"),
    }
}
