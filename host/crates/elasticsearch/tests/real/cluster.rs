//! What others may have put into the cluster under our names, and what happens to an index while hosts run.

use std::rc::Rc;

use clickmill_elasticsearch::Missing;
use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index as _, Indexed},
};
use elasticsearch::http::Method;
use futures_executor::block_on;

use crate::{
    request, settings,
    support::{FIELDS, STORE, batch, index, prepared, put, spec, trouble, urls},
};

/// What a look and a preparation say, which is the same.
fn said(settings: &Elasticsearch) -> String {
    let index = index(settings);
    let specs = [spec("1h", FIELDS)];
    let looked = trouble(block_on(index.look(Some(STORE), &specs, Missing::Create)));
    assert_eq!(trouble(block_on(index.prepare(STORE, &specs, Missing::Create))), looked);
    let (passes, text) = looked;
    assert!(!passes, "{text}");
    let about = format!("Elasticsearch at {}, index {}", settings.url, settings.name);
    text.strip_prefix(&about).unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// By a hand other than the connector's.
fn done(settings: &Elasticsearch, method: Method, path: &str, body: &str) {
    let body = (!body.is_empty()).then_some(body);
    let (status, answer) = request(settings, method, path, body);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_look_at_what_is_not_made_yet_or_as_it_should_be_finds_nothing() {
    let settings = settings();
    let specs = [spec("1h", FIELDS), spec("1d", FIELDS)];
    let look = |store, missing| block_on(index(&settings).look(store, &specs, missing));
    assert_eq!(look(None, Missing::Create), Ok(()));
    assert_eq!(look(Some(STORE), Missing::Create), Ok(()));
    let (_, text) = trouble(look(Some(STORE), Missing::Refuse));
    assert!(text.ends_with("-url-country-1h: it was deleted; `clickmill reindex` makes it again"), "{text}");
    // It made nothing.
    assert_eq!(request(&settings, Method::Head, &format!("/{}", settings.name), None).0, 404);
    assert_eq!(
        request(&settings, Method::Head, &format!("/_index_template/{}-url-country-1h", settings.name), None)
            .0,
        404
    );
    prepared(&settings);
    assert_eq!(look(Some(STORE), Missing::Refuse), Ok(()));
    let (_, text) = trouble(look(None, Missing::Create));
    assert!(text.contains(
        "it belongs to another store (0000000000000000000000000000004d; this one is not made yet)"
    ));
}

#[test]
fn the_version_is_told() {
    let version = block_on(index(&settings()).version()).unwrap();
    assert!(version.supported(), "{version}");
}

#[test]
fn an_alias_over_two_is_no_index() {
    let settings = settings();
    let name = &settings.name;
    for number in [1, 2] {
        let body = format!(r#"{{"aliases":{{"{name}-url-country-1h":{{}}}}}}"#);
        done(&settings, Method::Put, &format!("/foreign{number}-{name}"), &body);
    }
    assert_eq!(
        said(&settings),
        format!(
            "-url-country-1h: it is an alias over several indices (foreign1-{name}, foreign2-{name}), and should be an \
             index; choose another name"
        )
    );
}

#[test]
fn a_closed_index_is_a_clear_error_and_an_outage_while_hosts_run() {
    let settings = settings();
    let index = prepared(&settings);
    let path = format!("/{}-url-country-1h", settings.name);
    done(&settings, Method::Post, &format!("{path}/_close"), "");
    let verdicts = put(&index, batch(1, &urls(1), 1, 0)).unwrap();
    assert!(matches!(&verdicts[0], Indexed::Again(text) if text.starts_with("400 index_closed_exception")));
    assert_eq!(said(&settings), format!("-url-country-1h: it is closed; open it: POST {path}/_open"));
    done(&settings, Method::Post, &format!("{path}/_open?wait_for_active_shards=1"), "");
    assert_eq!(put(&index, batch(1, &urls(1), 1, 0)), Ok(vec![Indexed::Acknowledged]));
}

#[test]
fn a_pipeline_or_lost_durability_is_a_clear_error() {
    for (setting, said_of_it) in [
        (
            r#"{"index.default_pipeline": "p"}"#,
            "its setting default_pipeline is p, but a pipeline may change documents or drop them; remove the setting",
        ),
        (
            r#"{"index.translog.durability": "async"}"#,
            "its setting translog.durability is async, but documents that were acknowledged could be lost; remove the setting",
        ),
    ] {
        let settings = settings();
        prepared(&settings);
        done(&settings, Method::Put, &format!("/{}-url-country-1h/_settings", settings.name), setting);
        assert_eq!(said(&settings), format!("-url-country-1h: {said_of_it}"));
    }
}

#[test]
fn a_template_that_outdoes_ours_is_a_clear_error() {
    let settings = settings();
    let template = format!(r#"{{"index_patterns": ["{}*"], "priority": 501}}"#, settings.name);
    let path = format!("/_index_template/higher-{}", settings.name);
    done(&settings, Method::Put, &path, &template);
    let prepare = || block_on(index(&settings).prepare(STORE, &[spec("1h", FIELDS)], Missing::Create));
    let (passes, text) = trouble(prepare());
    assert!(!passes && text.ends_with("an index template of a higher priority applies to it; lower its priority below 500, or choose another name"), "{text}");
    done(&settings, Method::Delete, &path, "");
    assert_eq!(prepare(), Ok(()));
}

#[test]
fn settings_are_those_of_the_configuration() {
    let mut settings = settings();
    let index_path = format!("/{}-url-country-1h", settings.name);
    let shown = |settings: &Elasticsearch| {
        let path = format!("{index_path}/_settings?flat_settings=true");
        let (_, shown) = request(settings, Method::Get, &path, None);
        let of = &shown[index_path.trim_start_matches('/')]["settings"];
        ["refresh_interval", "number_of_replicas", "number_of_shards"]
            .map(|name| of[format!("index.{name}")].as_str().map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    settings.settings.insert("number_of_shards".into(), "2".into());
    prepared(&settings);
    assert_eq!(shown(&settings), [some("1s"), some("1"), some("2")]);
    settings.settings.insert("number_of_replicas".into(), "0".into());
    settings.settings.insert("refresh_interval".into(), "5s".into());
    // Not of an index that is there.
    settings.settings.insert("number_of_shards".into(), "3".into());
    prepared(&settings);
    assert_eq!(shown(&settings), [some("5s"), some("0"), some("2")]);
}

#[test]
fn a_full_disk_is_an_outage_of_its_index_alone() {
    let settings = settings();
    let index = prepared(&settings);
    let path = format!("/{}-url-country-1h/_settings", settings.name);
    let both = || {
        let day = DocumentBatch { window: "1d".into(), ..batch(1, &urls(2), 1, 0) };
        block_on(async {
            futures_util::join!(index.put(Rc::new(batch(1, &urls(2), 1, 0))), index.put(Rc::new(day)))
        })
    };
    // What Elasticsearch itself sets when a disk is at the flood stage.
    done(&settings, Method::Put, &path, r#"{"index.blocks.read_only_allow_delete": true}"#);
    for _ in 0..3 {
        let (hour, day) = both();
        let hour = hour.unwrap();
        assert!(
            matches!(&hour[..], [Indexed::Again(text), Indexed::Again(_)] if text.contains("cluster_block_exception") && text.contains("flood-stage")),
            "{hour:?}"
        );
        assert_eq!(day, Ok(vec![Indexed::Acknowledged; 2]));
    }
    assert_eq!(block_on(index.look(Some(STORE), &[spec("1h", FIELDS)], Missing::Refuse)), Ok(()));
    done(&settings, Method::Put, &path, r#"{"index.blocks.read_only_allow_delete": null}"#);
    let (hour, day) = both();
    assert_eq!((hour, day), (Ok(vec![Indexed::Acknowledged; 2]), Ok(vec![Indexed::Acknowledged; 2])));
}

#[test]
fn an_index_that_is_deleted_is_the_trouble_of_its_own_documents() {
    let settings = settings();
    let index = prepared(&settings);
    done(&settings, Method::Delete, &format!("/{}-url-country-1d", settings.name), "");
    let puts = (0..8).map(|shard| {
        let window = if shard % 2 == 0 { "1h" } else { "1d" };
        index.put(Rc::new(DocumentBatch { shard, window: window.into(), ..batch(1, &urls(2), 1, 0) }))
    });
    let answers = block_on(futures_util::future::join_all(puts));
    for (shard, answer) in answers.into_iter().enumerate() {
        if shard % 2 == 0 {
            assert_eq!(answer, Ok(vec![Indexed::Acknowledged; 2]));
        } else {
            let (passes, text) = trouble(answer);
            assert!(passes && text.contains("-url-country-1d: it was deleted. Stop all hosts"), "{text}");
        }
    }
}
