//! The index on a real Elasticsearch, at `ELASTICSEARCH_URL` (tests/services/services.sh up elasticsearch).

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod tls;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clickmill_columns::{Column, Data, Kind};
use clickmill_elasticsearch::{ElasticsearchIndex, IndexSpec, Missing};
use clickmill_settings::{Credentials, Elasticsearch, Secret};
use clickmill_tasks::{
    env::{Indexed, Trouble},
    read::{DocumentFilter, StoredDocument, Value},
};
use elasticsearch::http::{
    Method,
    headers::HeaderMap,
    transport::{SingleNodeConnectionPool, TransportBuilder},
};
use futures_executor::block_on;
use support::{FIELDS, HOUR, STORE, batch, index, prepared, put, spec, urls};

/// Indices that no other test uses.
fn settings() -> Elasticsearch {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("ELASTICSEARCH_URL")
        .expect("ELASTICSEARCH_URL: start it with tests/services/services.sh up elasticsearch");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let name = format!("test_{now}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    // For a cluster that asks who comes; those tests that need another hand fail there.
    let credentials = match std::env::var("ELASTICSEARCH_API_KEY") {
        Ok(key) => Credentials::ApiKey(Secret::Text(key)),
        Err(_) => Credentials::None,
    };
    Elasticsearch { url, name, credentials, ..Elasticsearch::default() }
}

fn read(index: &ElasticsearchIndex, filter: &DocumentFilter) -> Vec<StoredDocument> {
    let specs = [spec("1h", FIELDS), spec("1d", FIELDS)];
    let mut all: Vec<_> = index.documents(&specs, filter).map(|document| document.unwrap()).collect();
    all.sort_by(|a, b| a.by.cmp(&b.by));
    all
}

/// By a hand other than the connector's.
fn request(
    settings: &Elasticsearch,
    method: Method,
    path: &str,
    body: Option<&str>,
) -> (u16, serde_json::Value) {
    let pool = SingleNodeConnectionPool::new(settings.url.parse().unwrap());
    let transport = TransportBuilder::new(pool).disable_proxy().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sent = transport.send(method, path, HeaderMap::new(), None::<&()>, body.map(str::to_owned), None);
    runtime.block_on(async {
        let answer = sent.await.unwrap();
        let status = answer.status_code().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    })
}

#[test]
fn documents_come_back_as_they_were_put() {
    let index = prepared(&settings());
    let start = 1_772_359_200_000;
    assert_eq!(put(&index, batch(3, &urls(2), 12, start)), Ok(vec![Indexed::Acknowledged; 2]));
    let read = read(&index, &DocumentFilter::default());
    let expected = StoredDocument {
        rollup: "url-country".into(),
        window: "1h".into(),
        start,
        window_millis: HOUR,
        by: vec![("url".into(), Some("http://site-0/0".into())), ("country".into(), Some("DE".into()))],
        fields: vec![
            ("clicks".into(), Value::Unsigned(12)),
            ("avg_time_seconds".into(), Value::Real(34.5)),
            ("last".into(), Value::Text("1970-01-01T00:00:00.001Z".into())),
            ("top".into(), Value::Json("{\"a\":[1,2]}".into())),
        ],
        version: 3,
    };
    assert_eq!(read[0], expected);
    assert_eq!(read[1].fields[1].1, Value::Null);
    assert_eq!(read.len(), 2);
}

#[test]
fn an_older_version_never_replaces_a_newer_one() {
    let index = prepared(&settings());
    for (version, clicks) in [(5, 50), (4, 40), (5, 51), (6, 60), (1, 10)] {
        assert_eq!(put(&index, batch(version, &urls(1), clicks, 0)), Ok(vec![Indexed::Acknowledged]));
    }
    let read = read(&index, &DocumentFilter::default());
    assert_eq!((read[0].version, &read[0].fields[0].1), (6, &Value::Unsigned(60)));
}

#[test]
fn only_the_document_at_fault_is_refused() {
    let index = prepared(&settings());
    let mut bad = batch(1, &urls(3), 1, 0);
    // No long holds this.
    bad.fields[0].1 = Column::new(Data::Unsigned(vec![1, u64::MAX, 3]));
    let verdicts = put(&index, bad).unwrap();
    assert!(matches!(&verdicts[1], Indexed::Refused(reason) if reason.starts_with("400 ")), "{verdicts:?}");
    assert_eq!([&verdicts[0], &verdicts[2]], [&Indexed::Acknowledged; 2]);
    assert_eq!(read(&index, &DocumentFilter::default()).len(), 2);
}

#[test]
fn every_instant_of_the_contract_and_the_longest_url_are_taken() {
    let index = prepared(&settings());
    let long = vec![format!("http://x/{}", "ü".repeat(4091))];
    for start in [-62_167_219_200_000, 253_402_297_200_000] {
        assert_eq!(put(&index, batch(1, &long, 1, start)), Ok(vec![Indexed::Acknowledged]));
    }
    let filter = DocumentFilter { equal: vec![("url".into(), long[0].clone())], ..DocumentFilter::default() };
    assert_eq!(read(&index, &filter).len(), 2);
}

#[test]
fn a_filter_is_asked_of_the_index() {
    let index = prepared(&settings());
    for hour in 0..3 {
        put(&index, batch(1, &urls(4), 1, hour * HOUR)).unwrap();
    }
    let count = |filter: DocumentFilter| read(&index, &filter).len();
    let none = DocumentFilter::default;
    assert_eq!(count(none()), 12);
    assert_eq!(count(DocumentFilter { from: Some(HOUR), ..none() }), 8);
    assert_eq!(count(DocumentFilter { from: Some(HOUR), to: Some(2 * HOUR), ..none() }), 4);
    assert_eq!(count(DocumentFilter { window: Some("1d".into()), ..none() }), 0);
    assert_eq!(count(DocumentFilter { window: Some("5m".into()), ..none() }), 0);
    assert_eq!(count(DocumentFilter { rollup: Some("url-country".into()), ..none() }), 12);
    assert_eq!(count(DocumentFilter { prefix: vec![("url".into(), "http://site-1/".into())], ..none() }), 6);
    assert_eq!(count(DocumentFilter { equal: vec![("country".into(), "FR".into())], ..none() }), 0);
}

#[test]
fn an_index_of_another_store_is_a_clear_error() {
    let settings = settings();
    prepared(&settings);
    let again =
        |store, specs: &[IndexSpec], missing| block_on(index(&settings).prepare(store, specs, missing));
    assert_eq!(again(STORE, &[spec("1h", FIELDS)], Missing::Refuse), Ok(()));
    let Err(Trouble::Final(text)) = again(STORE + 1, &[spec("1h", FIELDS)], Missing::Create) else {
        panic!()
    };
    assert!(text.contains("it belongs to another store (0000000000000000000000000000004d, not"), "{text}");
    // A further metric is added, another kind for a field that is there is not.
    assert_eq!(again(STORE, &[spec("1h", &[("more", Kind::Real)])], Missing::Refuse), Ok(()));
    let Err(Trouble::Final(text)) = again(STORE, &[spec("1h", &[("more", Kind::Text)])], Missing::Refuse)
    else {
        panic!()
    };
    assert!(text.contains("the field more is double, not keyword"), "{text}");
}

#[test]
fn foreign_indices_in_the_way_are_a_clear_error() {
    let prepare = |settings: &Elasticsearch| {
        let prepared = block_on(index(settings).prepare(STORE, &[spec("1h", FIELDS)], Missing::Create));
        let Err(Trouble::Final(text)) = prepared else { panic!("{prepared:?}") };
        text
    };
    let named = settings();
    assert_eq!(request(&named, Method::Put, &format!("/{}", named.name), None).0, 200);
    assert!(prepare(&named).contains("should be an alias over indices"));

    let alias = settings();
    let body = format!(r#"{{"aliases":{{"{}":{{}}}}}}"#, alias.name);
    assert_eq!(request(&alias, Method::Put, &format!("/foreign-{}", alias.name), Some(&body)).0, 200);
    assert!(prepare(&alias).contains("was not made by clickmill"));

    let over = settings();
    let body = format!(r#"{{"aliases":{{"{}-url-country-1h":{{}}}}}}"#, over.name);
    assert_eq!(request(&over, Method::Put, &format!("/foreign-{}", over.name), Some(&body)).0, 200);
    assert!(prepare(&over).contains("should be an index"));
}

#[test]
fn an_index_deleted_under_the_host_stays_away() {
    let settings = settings();
    let index = prepared(&settings);
    let path = format!("/{}-url-country-1h", settings.name);
    assert_eq!(request(&settings, Method::Delete, &path, None).0, 200);
    let Err(Trouble::Passing(text)) = put(&index, batch(1, &urls(1), 1, 0)) else { panic!() };
    assert!(text.contains("it was deleted"), "{text}");
    assert_eq!(request(&settings, Method::Head, &path, None).0, 404);
    let specs = [spec("1h", FIELDS)];
    let Err(Trouble::Final(text)) = block_on(index.prepare(STORE, &specs, Missing::Refuse)) else { panic!() };
    assert!(text.contains("clickmill reindex"), "{text}");
    block_on(index.prepare(STORE, &specs, Missing::Create)).unwrap();
    assert_eq!(put(&index, batch(1, &urls(1), 1, 0)), Ok(vec![Indexed::Acknowledged]));
}

#[test]
fn an_index_that_is_away_is_a_passing_trouble() {
    let nowhere = Elasticsearch { url: "http://127.0.0.1:1".into(), ..settings() };
    let away = block_on(index(&nowhere).prepare(STORE, &[spec("1h", FIELDS)], Missing::Create));
    let Err(Trouble::Passing(text)) = away else { panic!("{away:?}") };
    assert!(
        text.starts_with("Elasticsearch at http://127.0.0.1:1, asking for its version: ")
            && text.contains("refused"),
        "{text}"
    );
    assert!(matches!(put(&index(&nowhere), batch(1, &urls(1), 1, 0)), Err(Trouble::Passing(_))));
}

#[test]
fn many_documents_are_indexed_and_read() {
    let index = prepared(&settings());
    let (count, start) = (20_000, Instant::now());
    assert_eq!(put(&index, batch(1, &urls(count), 1, 0)), Ok(vec![Indexed::Acknowledged; count]));
    let (written, start) = (start.elapsed(), Instant::now());
    assert_eq!(read(&index, &DocumentFilter::default()).len(), count);
    println!("{count} documents indexed in {written:?}, read in {:?}", start.elapsed());
}
