//! Plugins from outside: each default one can be replaced, and one that misbehaves costs nothing but the record on which it does.

#[path = "../../host/build/wasm.rs"]
mod wasm;

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use clickmill_tests::{Click, Folder, Traffic, answer, compare, documents, ndjson, summary};
use serde_json::Value;

/// The component of `tests/guests/other`, built once.
static OTHER: LazyLock<PathBuf> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("components");
    let program = |name: &str| env::var_os(name.to_uppercase()).unwrap_or_else(|| name.into());
    let built = wasm::components(program("cargo"), program("rustc"), workspace, &target, &["guest-other"]);
    built.unwrap_or_else(|error| panic!("{error}")).remove(0)
});

const LINES: usize = 6_000;
/// The event on which plugins stumble.
const GUILTY: &str = "e3210";

/// A table of the settings: a default plugin of this name and kind becomes the other one.
fn other(kind: &str, name: &str, params: &str) -> String {
    let (open, close) = if kind == "parser" { ("[", "]") } else { ("[[", "]]") };
    let plugin = OTHER.display();
    format!("{open}{kind}{close}\nname = \"{name}\"\nplugin = \"{plugin}\"\nparams = {{ {params} }}\n")
}

fn misdeed(at: &str, what: &str) -> String {
    format!("id = \"{GUILTY}\", at = \"{at}\", do = \"{what}\"")
}

/// Clicks as lines of JSON, or as the other parser's lines.
fn folder(name: &str, clicks: &[Click], json: bool, settings: &str) -> Folder {
    let folder = Folder::new(name);
    let mut lines = String::new();
    for Click { offset, user, time, url, country, .. } in clicks {
        lines += &match json {
            true => format!(
                "{{\"user_id\":\"{user}\",\"timestamp\":{time},\"url\":\"{url}\",\"country\":\"{country}\",\"event_id\":\"e{offset}\"}}\n"
            ),
            false => format!("{user}|{time}|{url}|{country}|e{offset}\n"),
        };
    }
    folder.write("lines", lines);
    let begin = "[source]\npaths = [\"lines\"]\n[store]\npath = \"store\"\n";
    folder.write("clickmill.toml", format!("{begin}{settings}"));
    folder
}

fn clicks() -> Vec<Click> {
    let mut traffic = Traffic::new(51, 0, 200, 20, 0);
    traffic.lines(LINES);
    traffic.clicks
}

fn query(folder: &Folder) -> Vec<Value> {
    ndjson(&folder.ok(&["query", "--sort", "@timestamp", "--format", "ndjson", "--limit", "0"]))
}

fn events(folder: &Folder) -> Vec<Value> {
    ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]))
}

fn letters(folder: &Folder) -> Vec<Value> {
    ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]))
}

#[test]
fn another_parser_reads_other_lines() {
    let clicks = clicks();
    let settings = other("parser", "bars", "");
    let folder = folder("parser", &clicks, false, &settings);
    folder.ok(&["run"]);
    compare(
        &documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"])),
        &answer(&clicks).unwrap(),
    )
    .unwrap();
    // Only what this parser makes is stored, and the default one would take none of it.
    assert!(events(&folder)[0].get("session_id").is_none());
    let folder = self::folder("json", &clicks, false, "");
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    assert_eq!(last["total"]["dead_letters_by_reason"], serde_json::json!({ "invalid-json": LINES }));
}

#[test]
fn another_enricher_makes_other_urls() {
    let mut clicks = clicks();
    let folder = folder("enricher", &clicks, true, &other("enricher", "url", ""));
    folder.ok(&["run"]);
    let pages: Vec<String> = clicks.iter().map(|click| click.url.clone()).collect();
    clicks.iter_mut().for_each(|click| click.url = "https://example.com/".into());
    compare(
        &documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"])),
        &answer(&clicks).unwrap(),
    )
    .unwrap();
    for (event, page) in events(&folder).iter().zip(pages) {
        assert_eq!((&event["url"], &event["raw_url"]), (&"https://example.com/".into(), &page.into()));
    }
}

#[test]
fn another_operator_gives_other_times() {
    let clicks = clicks();
    let folder = folder("operator", &clicks, true, &other("operator", "sessions", ""));
    folder.ok(&["run"]);
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    for (key, mut wanted) in answer(&clicks).unwrap() {
        wanted.time_samples = wanted.clicks;
        wanted.total_time_seconds = wanted.clicks as f64;
        wanted.avg_time_seconds = Some(1.0);
        assert_eq!(found[&key], wanted, "{key:?}");
    }
}

#[test]
fn another_metric_gives_other_numbers() {
    let clicks = clicks();
    for (name, field) in
        [("clicks", "clicks"), ("unique-users", "unique_users"), ("time-on-page", "total_time_seconds")]
    {
        let folder = folder("metric", &clicks, true, &other("metric", name, &format!("field = \"{field}\"")));
        folder.ok(&["run"]);
        let wanted = answer(&clicks).unwrap();
        let rows = query(&folder);
        assert_eq!(rows.len(), wanted.len());
        for row in rows {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let wanted = &wanted[&(text("window"), text("@timestamp"), text("url"), text("country"))];
            assert_eq!(row[field], 10 * wanted.clicks, "{row}");
            if name != "clicks" {
                assert_eq!(row["clicks"], wanted.clicks);
            }
            if name != "unique-users" {
                assert_eq!(row["unique_users"], wanted.unique_users);
            }
            assert_eq!(row.get("time_samples").is_some(), name != "time-on-page");
        }
    }
}

const LIMITS: &str = "[limits]\ncall = \"400ms\"\nmemory = \"64MiB\"\n";
const TENS: &str = "field = \"tens\"";

/// The other plugins in every place, with these parameters.
fn pipeline(parser: &str, enricher: &str, operator: &str, metric: &str) -> String {
    let tables = [
        other("parser", "bars", parser),
        other("enricher", "root", enricher),
        other("operator", "seconds", operator),
        other("metric", "tens", metric),
    ];
    format!("{LIMITS}{}", tables.concat())
}

/// What a run gives whose parser refuses these records: documents and events.
fn refusing(clicks: &[Click], enricher: &str, ids: &str) -> (Vec<Value>, Vec<Value>) {
    let settings = pipeline(&format!("refuse = \"{ids}\""), enricher, "", TENS);
    let folder = folder("refused", clicks, false, &settings);
    folder.ok(&["run"]);
    assert!(letters(&folder).iter().all(|letter| letter["reason"] == "refused"));
    (query(&folder), events(&folder))
}

/// A record on which a plugin fails is a dead letter; all else is as if the parser had refused it.
#[test]
fn a_record_on_which_a_plugin_fails_is_set_aside_alone() {
    let clicks = clicks();
    // The enricher reads the record's id here too, so that it is called for the same rows.
    let usual = "id = \"none\"";
    let (wanted, stored) = refusing(&clicks, usual, GUILTY);
    assert_eq!(stored.len(), LINES - 1);

    for what in ["trap", "loop", "hoard", "row", "call"] {
        for (at, plugin) in
            [("parse", "bars"), ("enrich", "root"), ("process", "seconds"), ("update", "tens")]
        {
            let misdeed = misdeed(at, what);
            let settings = match at {
                "parse" => pipeline(&misdeed, usual, "", TENS),
                "enrich" => pipeline("", &misdeed, "", TENS),
                "process" => pipeline("", usual, &misdeed, TENS),
                _ => pipeline("", usual, "", &format!("{TENS}, {misdeed}")),
            };
            let folder = folder("guilty", &clicks, false, &settings);
            let last = summary(&folder.ok(&["run", "--summary", "json"]));
            let case = format!("{what} at {at}");
            assert_eq!((&last["events"], &last["dead_letters"]), (&(LINES - 1).into(), &1.into()), "{case}");
            let letters = letters(&folder);
            assert_eq!(letters[0]["reason"], "plugin-failure", "{case}");
            assert_eq!(
                (&letters[0]["plugin"], &letters[0]["offset"]),
                (&plugin.into(), &3210.into()),
                "{case}"
            );
            assert!(letters[0]["value"].as_str().unwrap().ends_with(GUILTY), "{case}");
            let said = letters[0]["message"].as_str().unwrap();
            let words = match what {
                "trap" => "no taste for e3210",
                "loop" => "longer than",
                "hoard" => "memory",
                "row" => "not this one",
                _ => "no wish to",
            };
            assert!(said.contains(words), "{case}: {said}");
            assert_eq!(events(&folder), stored, "{case}");
            assert_eq!(query(&folder), wanted, "{case}");
        }
    }
}

/// Many records, or all, are no other case than one.
#[test]
fn many_records_on_which_a_plugin_fails_are_set_aside_alone() {
    let clicks = &clicks()[..1_500];
    for (guilty, count) in [("e12*", 111), ("e*", 1_500)] {
        let (wanted, stored) = refusing(clicks, "", guilty);
        assert_eq!(stored.len(), clicks.len() - count);
        for (at, what) in [("process", "trap"), ("process", "row"), ("update", "call")] {
            let misdeed = format!("id = \"{guilty}\", at = \"{at}\", do = \"{what}\"");
            let settings = match at {
                "process" => pipeline("", "", &misdeed, TENS),
                _ => pipeline("", "", "", &format!("{TENS}, {misdeed}")),
            };
            let folder = folder("many", clicks, false, &settings);
            let last = summary(&folder.ok(&["run", "--summary", "json"]));
            let case = format!("{what} at {at} on {guilty}");
            let reasons = serde_json::json!({ "plugin-failure": count });
            assert_eq!(last["total"]["dead_letters_by_reason"], reasons, "{case}");
            assert_eq!(events(&folder), stored, "{case}");
            assert_eq!(query(&folder), wanted, "{case}");
        }
    }
}

/// What a plugin remembers of one user makes dead letters of that user's records only, whichever commit they fall into.
#[test]
fn a_state_that_fails_on_every_record_of_its_key_costs_these_records() {
    let clicks = clicks();
    let first = &clicks[300];
    let later = clicks.iter().filter(|click| click.user == first.user && click.offset > first.offset);
    let guilty: Vec<String> = later.map(|click| format!("e{}", click.offset)).collect();
    assert!(guilty.len() > 10);
    let (wanted, stored) = refusing(&clicks, "", &guilty.join(" "));
    let misdeed = format!("id = \"e{}\", at = \"process\", do = \"grudge\"", first.offset);
    let folder = folder("grudge", &clicks, false, &pipeline("", "", &misdeed, TENS));
    folder.ok(&["run"]);
    let found = letters(&folder);
    let offsets: Vec<String> = found.iter().map(|letter| format!("e{}", letter["offset"])).collect();
    assert_eq!(offsets, guilty);
    assert!(found.iter().all(|letter| letter["reason"] == "plugin-failure" && letter["plugin"] == "seconds"));
    assert_eq!(events(&folder), stored);
    assert_eq!(query(&folder), wanted);
}

/// Where no record is to blame in a shard, the metric's fields are null, all else is right, and a better version makes up for it.
#[test]
fn a_metric_that_fails_in_the_shard_fails_alone() {
    let clicks = clicks();
    let wanted = answer(&clicks).unwrap();
    let (good, bad) = ("field = \"tens\"", "field = \"tens\", at = \"merge\", do = \"trap\"");
    let folder = folder("shard", &clicks, true, &other("metric", "tens", bad));
    let output = folder.run(&["run", "--summary", "json"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.contains("tens") && error.contains("WARN"), "it is not told: {error}");
    assert_eq!(summary(&String::from_utf8_lossy(&output.stdout))["dead_letters"], 0);
    let text = folder.ok(&["query", "--format", "ndjson", "--limit", "0"]);
    compare(&documents(&text), &wanted).unwrap();
    assert!(ndjson(&text).iter().all(|row| row["tens"].is_null()));

    let settings = std::fs::read_to_string(folder.path().join("clickmill.toml")).unwrap();
    folder.write("clickmill.toml", settings.replace(bad, good));
    folder.ok(&["run"]);
    let text = folder.ok(&["query", "--format", "ndjson", "--limit", "0"]);
    compare(&documents(&text), &wanted).unwrap();
    for row in ndjson(&text) {
        assert_eq!(row["tens"].as_i64(), row["clicks"].as_i64().map(|clicks| 10 * clicks), "{row}");
    }
}

/// One that cannot even be started ends the host before it begins.
#[test]
fn a_plugin_that_cannot_be_started_is_told_at_once() {
    let settings = other("metric", "tens", "field = \"tens\", at = \"constructor\", do = \"trap\"");
    let folder = folder("start", &[], true, &settings);
    for command in ["run", "check"] {
        let output = folder.run(&[command]);
        let error = String::from_utf8_lossy(&output.stderr);
        let begin = format!(
            "error: plugin `tens` ({}): it cannot be started: metric `tens`, start: trapped: ",
            OTHER.display()
        );
        assert!(error.starts_with(&begin), "{error}");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Runs until something is tried again, and some time longer; what was told of it.
fn until_tried_again(folder: &Folder) -> String {
    let mut host = folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(host.stderr.take().unwrap());
    let mut error = String::new();
    while !error.contains("trying again\n") {
        assert!(errors.read_line(&mut error).unwrap() > 0, "it has ended: {error}");
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(Command::new("kill").args(["-TERM", &host.id().to_string()]).status().unwrap().success());
    errors.read_to_string(&mut error).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0), "{error}");
    error
}

/// A plugin that fails without a record to blame stops its task: it is told, tried again, and nothing is lost or set aside.
#[test]
fn a_plugin_that_fails_without_a_guilty_record_is_tried_again() {
    let clicks = clicks();
    let table = [
        ("parser", "bars", "parse"),
        ("enricher", "url", "enrich"),
        ("operator", "sessions", "process"),
        ("operator", "sessions", "save"),
    ];
    for (kind, name, at) in table {
        let json = kind != "parser";
        let bad = format!("at = \"{at}\", do = \"trap\"");
        let folder = folder("innocent", &clicks, json, &other(kind, name, &bad));
        let error = until_tried_again(&folder);
        assert!(error.contains(&format!("plugin `{name}`")), "{at}: {error}");
        assert!(letters(&folder).is_empty(), "{at}: a record was blamed");

        let settings = std::fs::read_to_string(folder.path().join("clickmill.toml")).unwrap();
        folder.write("clickmill.toml", settings.replace(&bad, ""));
        let last = summary(&folder.ok(&["run", "--summary", "json"]));
        assert_eq!((&last["total"]["events"], &last["dead_letters"]), (&LINES.into(), &0.into()), "{at}");
        let clicks: i64 = query(&folder)
            .iter()
            .filter(|row| row["window"] == "1d")
            .map(|row| row["clicks"].as_i64().unwrap())
            .sum();
        assert_eq!(clicks, LINES as i64, "{at}");
    }
}

/// What a plugin has gathered over all users is no record's fault: its task stops, loses nothing, and goes on with a better version.
#[test]
fn a_plugin_that_fails_with_all_that_it_has_gathered_blames_no_record() {
    let clicks = clicks();
    let (wanted, stored) = refusing(&clicks, "", "none");
    assert_eq!(stored.len(), LINES);
    let bad = "at = \"process\", do = \"gather\"";
    let folder = folder("gather", &clicks, false, &pipeline("", "", bad, TENS));
    let error = until_tried_again(&folder);
    assert!(error.contains("plugin `seconds`") && error.contains("no record alone is to blame"), "{error}");
    assert!(letters(&folder).is_empty());
    let before = events(&folder).len();
    assert!(before > 0 && before < LINES, "{before} events are committed");

    let settings = std::fs::read_to_string(folder.path().join("clickmill.toml")).unwrap();
    folder.write("clickmill.toml", settings.replace(bad, ""));
    folder.ok(&["run"]);
    assert!(letters(&folder).is_empty());
    assert_eq!(events(&folder), stored);
    assert_eq!(query(&folder), wanted);
}
