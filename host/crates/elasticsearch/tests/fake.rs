//! What the index does with answers that a real Elasticsearch cannot be made to give, from a server of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    collections::BTreeSet,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use clickmill_elasticsearch::{ElasticsearchIndex, Missing};
use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed, Trouble},
};
use futures_executor::block_on;
use futures_util::{FutureExt, future::join_all};
use serde_json::json;
use support::{
    FIELDS, STORE, batch, put,
    server::{Reply, Request, Server},
    spec, trouble, urls,
};

fn index(server: &Server) -> ElasticsearchIndex {
    let settings =
        Elasticsearch { url: server.url(), timeout: Duration::from_secs(1), ..Elasticsearch::default() };
    ElasticsearchIndex::new(&settings).unwrap()
}

/// A server, and its index.
fn served(
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (Arc<Server>, ElasticsearchIndex, String) {
    let server = Arc::new(Server::new(answer));
    let about = format!("Elasticsearch at {}", server.url());
    (server.clone(), index(&server), about)
}

fn answer(status: u16, kind: &str, body: &str) -> Reply {
    Reply::Answer(status, format!("content-type: {kind}\r\n"), body.into())
}

fn error(status: u16, kind: &str, reason: &str) -> serde_json::Value {
    json!({"error": {"type": kind, "reason": reason}, "status": status})
}

fn of_shard(shard: u32, documents: usize) -> DocumentBatch {
    let urls: Vec<String> = urls(documents).iter().map(|url| format!("{url}/{shard}")).collect();
    DocumentBatch { shard, ..batch(1, &urls, 1, 0) }
}

#[test]
fn what_is_no_elasticsearch_is_shown_as_what_it_looks_like() {
    let opensearch = json!({
        "version": {"number": "2.11.0", "distribution": "opensearch"},
        "tagline": "The OpenSearch Project: https://opensearch.org/",
    });
    let said = |reply: fn() -> Reply| {
        let (_server, index, about) = served(move |_| reply());
        let (passes, text) = trouble(block_on(index.version()));
        let looked = trouble(block_on(index.look(None, &[spec("1h", FIELDS)], Missing::Create)));
        let prepared = trouble(block_on(index.prepare(STORE, &[spec("1h", FIELDS)], Missing::Create)));
        assert_eq!((&looked, &prepared), (&(passes, text.clone()), &(passes, text.clone())));
        (passes, text.strip_prefix(&format!("{about}, asking for its version: ")).unwrap().to_owned())
    };
    let (_server, at, about) = served(move |_| answer(200, "application/json", &opensearch.to_string()));
    assert_eq!(
        trouble(block_on(at.version())),
        (
            false,
            format!("{about}, asking for its version: opensearch 2.11.0 answers, which is no Elasticsearch")
        )
    );
    assert_eq!(
        said(|| answer(200, "text/html; charset=utf-8", "<html>\n  <title>Welcome</title>")),
        (
            false,
            "what answers is no Elasticsearch (200, a text/html that begins with \"<html> <title>Welcome</title>\"); \
             check the URL"
                .into()
        )
    );
    assert_eq!(
        said(|| answer(200, "application/json", "{\"ok\": true}")),
        (
            false,
            "what answers is no Elasticsearch (200, a application/json that begins with \"{\"ok\":true}\"); check the URL"
                .into()
        )
    );
    assert_eq!(
        said(|| answer(404, "text/plain", "default backend")),
        (true, "404, a text/plain that begins with \"default backend\"".into())
    );
    assert_eq!(
        said(|| answer(503, "text/html", "<html>")),
        (
            true,
            "503, a text/html that begins with \"<html>\"; a gateway answers, and Elasticsearch behind it does not"
                .into()
        )
    );
    assert_eq!(
        said(|| Reply::Close),
        (
            true,
            "connection closed before message completed; it closed the connection without an answer; if it speaks TLS, the \
             URL begins with https://"
                .into()
        )
    );
    assert_eq!(said(|| Reply::Silence), (true, "no answer in time".into()));
}

#[test]
fn an_outage_is_shown_as_what_it_is_and_costs_no_document() {
    type Case = (fn() -> Reply, &'static str);
    let cases: [Case; 7] = [
        (
            || Reply::elastic(401, error(401, "security_exception", "unable to authenticate user [a]")),
            "401 security_exception: unable to authenticate user [a]; check `user` and `password`, or `api_key`, in [index]",
        ),
        (
            || {
                Reply::elastic(
                    403,
                    error(403, "security_exception", "action [indices:data/write/bulk] is unauthorized"),
                )
            },
            "403 security_exception: action [indices:data/write/bulk] is unauthorized; give the user or API key this privilege",
        ),
        (
            || Reply::elastic(429, error(429, "es_rejected_execution_exception", "rejected execution")),
            "429 es_rejected_execution_exception: rejected execution; it has too much to do",
        ),
        (|| Reply::elastic(500, error(500, "exception", "why")), "500 exception: why"),
        (
            || answer(504, "text/html", "<h1>Gateway Time-out</h1>"),
            "504, a text/html that begins with \"<h1>Gateway Time-out</h1>\"; a gateway answers, and Elasticsearch behind it \
             does not",
        ),
        (|| answer(200, "text/html", "<p>soon"), "200, a text/html that begins with \"<p>soon\""),
        (|| Reply::Silence, "no answer in time"),
    ];
    for (reply, text) in cases {
        let asked = AtomicUsize::new(0);
        let (_server, index, about) = served(move |request| match asked.fetch_add(1, SeqCst) {
            0 => reply(),
            _ => Reply::taken(request),
        });
        let offered = batch(1, &urls(3), 1, 0);
        assert_eq!(trouble(put(&index, offered.clone())), (true, format!("{about}, indexing: {text}")));
        assert_eq!(put(&index, offered), Ok(vec![Indexed::Acknowledged; 3]));
    }
}

#[test]
fn requests_that_are_too_large_are_cut_until_they_fit() {
    let (server, index, _) = served(|request| match request.body.len() > 5_000 {
        true => answer(413, "text/html", "<h1>413 Request Entity Too Large</h1>"),
        false => Reply::taken(request),
    });
    assert_eq!(put(&index, of_shard(0, 500)), Ok(vec![Indexed::Acknowledged; 500]));
    let fit = server.bulks().into_iter().filter(|request| request.body.len() <= 5_000);
    let ids: Vec<String> = fit
        .flat_map(|request| request.actions())
        .map(|action| action["index"]["_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 500);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 500);
}

#[test]
fn a_document_that_is_too_large_alone_is_to_be_sent_again() {
    let (_server, index, _) = served(|_| answer(413, "", ""));
    let verdicts = put(&index, batch(1, &urls(2), 1, 0)).unwrap();
    assert_eq!(verdicts, vec![Indexed::Again("413: no reason given".into()); 2]);
}

#[test]
fn documents_of_many_shards_and_windows_go_together() {
    let (server, index, _) = served(Reply::taken);
    let puts = (0..16).flat_map(|shard| {
        ["1h", "1d"].map(|window| DocumentBatch { window: window.into(), ..of_shard(shard, 10) })
    });
    let puts: Vec<_> = puts.map(|batch| index.put(Rc::new(batch))).collect();
    for verdicts in block_on(join_all(puts)) {
        assert_eq!(verdicts, Ok(vec![Indexed::Acknowledged; 10]));
    }
    let bulks = server.bulks();
    assert!(bulks.len() < 16, "{} requests", bulks.len());
    let actions: Vec<_> = bulks.iter().flat_map(Request::actions).collect();
    assert_eq!(actions.len(), 320);
    let of_hours = actions
        .iter()
        .filter(|action| action["index"]["_index"] == "processed_clickstream_data-url-country-1h");
    assert_eq!(of_hours.count(), 160);
}

#[test]
fn each_document_gets_the_verdict_of_its_own_item() {
    let (_server, index, _) = served(|request| {
        Reply::items(request.actions().iter().enumerate().map(|(n, _)| match n % 3 {
            0 => json!({"index": {"status": 201}}),
            1 => json!({"index": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}}),
            _ => json!({"index": {"status": 400, "error": {"type": "document_parsing_exception", "reason": "no"}}}),
        }))
    });
    assert_eq!(
        put(&index, batch(1, &urls(3), 1, 0)).unwrap(),
        [
            Indexed::Acknowledged,
            Indexed::Again("429 es_rejected_execution_exception: busy".into()),
            Indexed::Refused("400 document_parsing_exception: no".into()),
        ]
    );
}

#[test]
fn what_was_judged_counts_when_the_rest_of_a_batch_fails() {
    let asked = AtomicUsize::new(0);
    let (_server, index, _) = served(move |request| match asked.fetch_add(1, SeqCst) {
        0 => Reply::taken(request),
        _ => Reply::elastic(500, error(500, "exception", "why")),
    });
    // More than one piece; the first goes alone, for nothing else is under way.
    let verdicts = put(&index, of_shard(0, 20_000)).unwrap();
    assert_eq!(verdicts.len(), 20_000);
    let taken = verdicts.iter().filter(|verdict| **verdict == Indexed::Acknowledged).count();
    assert!(taken > 0 && taken < 20_000, "{taken}");
    assert_eq!(verdicts[0], Indexed::Acknowledged);
    assert!(matches!(&verdicts[19_999], Indexed::Again(text) if text.ends_with("500 exception: why")));
}

#[test]
fn an_index_whose_shards_are_away_does_not_hold_up_the_others() {
    // Whoever asks for the one index gets no answer at all, not even for the other.
    let (_server, index, _) = served(|request| {
        let bad = request
            .actions()
            .iter()
            .any(|action| action["index"]["_index"].as_str().unwrap().ends_with("-1d"));
        if bad { Reply::Silence } else { Reply::taken(request) }
    });
    let bad = || index.put(Rc::new(DocumentBatch { window: "1d".into(), ..of_shard(1, 10) }));
    let good = || index.put(Rc::new(of_shard(2, 10)));
    let (first, _) = block_on(async { futures_util::join!(bad(), good()) });
    assert!(matches!(first, Err(Trouble::Passing(_))));
    let (first, second) = block_on(async { futures_util::join!(bad(), good()) });
    assert!(matches!(first, Err(Trouble::Passing(_))));
    assert_eq!(second, Ok(vec![Indexed::Acknowledged; 10]));
}

#[test]
fn a_put_that_nobody_waits_for_harms_no_other() {
    let (server, index, _) = served(Reply::taken);
    for shard in 0..20 {
        assert!(index.put(Rc::new(of_shard(shard, 5_000))).now_or_never().is_none());
    }
    assert_eq!(put(&index, of_shard(0, 100)), Ok(vec![Indexed::Acknowledged; 100]));
    assert!(!server.bulks().is_empty());
}

#[test]
fn requests_at_once_are_bounded_and_rejected_documents_are_taken_later() {
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let asked = AtomicUsize::new(0);
    let (server, index, _) = served(move |request| {
        MOST.fetch_max(UNDER_WAY.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(10));
        UNDER_WAY.fetch_sub(1, SeqCst);
        match asked.fetch_add(1, SeqCst) % 10 {
            9 => Reply::elastic(429, error(429, "es_rejected_execution_exception", "busy")),
            _ => Reply::taken(request),
        }
    });
    let threads: Vec<_> = (0..8)
        .map(|shard| {
            let index = index.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let verdicts = put(&index, of_shard(shard, 10_000));
                    if verdicts.is_ok_and(|all| all.iter().all(|one| *one == Indexed::Acknowledged)) {
                        return;
                    }
                }
                panic!("shard {shard} never got all its documents through");
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let most = MOST.load(SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
    assert!(server.bulks().len() > 8);
}

#[test]
fn a_data_stream_under_a_name_of_ours_is_a_clear_error() {
    // The Elasticsearch of the tests has no data streams.
    let stream = |name: &'static str| {
        served(move |request| match request.path.trim_start_matches('/').split('?').next().unwrap() {
            "" => Reply::elastic(200, json!({"version": {"number": "9.4.3"}})),
            path if path == name => Reply::elastic(
                200,
                json!({".ds-x-2026.12.01-000001": {"mappings": {}, "settings": {}, "data_stream": name}}),
            ),
            _ => Reply::elastic(404, error(404, "index_not_found_exception", "no such index")),
        })
    };
    for name in ["processed_clickstream_data", "processed_clickstream_data-url-country-1h"] {
        let (_server, index, about) = stream(name);
        let looked = block_on(index.look(Some(STORE), &[spec("1h", FIELDS)], Missing::Create));
        let text = format!(
            "{about}, index {name}: it is a data stream, whose documents cannot be corrected; choose another name"
        );
        assert_eq!(trouble(looked), (false, text.clone()));
        let prepared = block_on(index.prepare(STORE, &[spec("1h", FIELDS)], Missing::Create));
        assert_eq!(trouble(prepared), (false, text));
    }
}
