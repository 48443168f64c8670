//! What the commands beside `run` print: `generate`, `query`, `events`, `check`, `reindex`, `plugin`, `bench`.

#[path = "commands/closed_pipe.rs"]
mod closed_pipe;
#[path = "commands/columns.rs"]
mod columns;
#[path = "commands/reindex.rs"]
mod reindex;

use std::fs;

use clickmill_tests::{Folder, Raw, Traffic, answer, compare, documents, ndjson, summary};
use serde_json::Value;

const SETTINGS: &str = "[source]\npaths = [\"lines\"]\n[store]\npath = \"store\"\n";

fn folder(name: &str) -> Folder {
    let mut traffic = Traffic::new(31, 0, 50, 10, 20);
    let folder = Folder::new(name);
    folder.write("clickmill.toml", SETTINGS);
    folder.write("lines", traffic.lines(4_000));
    folder.ok(&["run"]);
    folder
}

#[test]
fn generated_traffic_as_a_source_equals_sql_over_the_generated_lines() {
    let folder = Folder::new("generate");
    let traffic = "events = 30000\nseed = 7\nusers = 900\nurls = 60\nlate = 0.05\nbad = 0.02\n";
    folder.write(
        "clickmill.toml",
        format!("[source]\nkind = \"generate\"\n{traffic}[store]\npath = \"store\"\n"),
    );
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    folder.ok(&["generate", "--config", "clickmill.toml", "--output", "lines"]);
    let raw = Raw::read(0, &fs::read(folder.path().join("lines")).unwrap()).unwrap();
    assert_eq!(last["records"], 30_000);
    assert_eq!(last["events"], raw.clicks.len());
    assert_eq!(last["total"]["dead_letters_by_reason"], serde_json::to_value(&raw.dead).unwrap());
    assert!(raw.dead.len() >= 6 && raw.clicks.len() > 29_000, "{:?}", raw.dead);
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&raw.clicks).unwrap()).unwrap();

    // The same by files, and the same lines from the same seed.
    let files = Folder::new("generated");
    files.write("clickmill.toml", SETTINGS);
    fs::copy(folder.path().join("lines"), files.path().join("lines")).unwrap();
    files.ok(&["run"]);
    let same = documents(&files.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&same, &found).unwrap();
    let flags = ["--seed", "7", "--users", "900", "--urls", "60", "--late", "0.05", "--bad", "0.02"];
    let output = files.command(&["generate", "-n", "30000"]).args(flags).output().unwrap();
    assert!(output.status.success() && output.stdout == fs::read(files.path().join("lines")).unwrap());
}

#[test]
fn generated_traffic_of_several_partitions_counts_once() {
    let folder = Folder::new("partitions");
    let source = "[source]\nkind = \"generate\"\nevents = 20001\npartitions = 3\nusers = 500\n";
    folder.write("clickmill.toml", format!("{source}[store]\npath = \"store\"\n"));
    assert_eq!(summary(&folder.ok(&["run", "--summary", "json"]))["events"], 20_001);
    let again = summary(&folder.ok(&["run", "--summary", "json"]));
    assert_eq!((&again["records"], &again["total"]["records"]), (&0.into(), &20_001.into()));
    let clicks = ndjson(&folder.ok(&["query", "--window", "1d", "--format", "ndjson", "--limit", "0"]));
    assert_eq!(clicks.iter().map(|row| row["clicks"].as_i64().unwrap()).sum::<i64>(), 20_001);
    let first: usize = folder.ok(&["events", "--partition", "0", "--count"]).trim().parse().unwrap();
    assert_eq!(first, 6_667);
}

#[test]
fn query_filters_sorts_and_limits() {
    let folder = folder("query");
    let all = ndjson(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    let query = |arguments: &[&str]| {
        let arguments = [&["query", "--format", "ndjson", "--limit", "0"], arguments].concat();
        ndjson(&folder.ok(&arguments))
    };
    let count = |wanted: &dyn Fn(&serde_json::Value) -> bool| all.iter().filter(|row| wanted(row)).count();
    let same = |arguments: &[&str], wanted: &dyn Fn(&serde_json::Value) -> bool| {
        let rows = query(arguments);
        assert!(!rows.is_empty() && rows.iter().all(wanted), "{arguments:?}");
        assert_eq!(rows.len(), count(wanted), "{arguments:?}");
    };
    same(&["--window", "1h"], &|row| row["window"] == "1h");
    same(&["--country", "de"], &|row| row["country"] == "DE");
    same(&["--rollup", "url-country"], &|_| true);
    let page = "https://example.com/page/1";
    same(&["--url", page], &|row| row["url"].as_str().unwrap().starts_with(page));
    same(&["--where", "country=FR", "--window", "1d"], &|row| {
        row["country"] == "FR" && row["window"] == "1d"
    });
    let hour = "2026-03-01T10:00:00Z";
    same(&["--from", hour], &|row| row["@timestamp"].as_str().unwrap() >= hour);
    same(&["--to", hour], &|row| row["@timestamp"].as_str().unwrap() < hour);
    same(&["--from", "0000-01-01", "--to", "9999-12-31"], &|_| true);
    assert!(
        query(&["--from", "9999-12-31"]).is_empty() && query(&["--to", "0000-01-01T00:00:00Z"]).is_empty()
    );
    assert!(query(&["--from", "2026-03-02"]).is_empty() && query(&["--country", "XX"]).is_empty());

    let numbers = |rows: &[serde_json::Value], name: &str| {
        rows.iter().map(|row| row[name].as_f64().unwrap_or(-1.0)).collect::<Vec<_>>()
    };
    assert!(numbers(&query(&[]), "clicks").is_sorted_by(|a, b| a >= b));
    assert!(numbers(&query(&["--sort", "avg_time_seconds"]), "avg_time_seconds").is_sorted_by(|a, b| a >= b));
    assert!(numbers(&query(&["--sort", "+unique_users"]), "unique_users").is_sorted());
    let urls = query(&["--sort", "+url"]);
    assert!(urls.is_sorted_by_key(|row| row["url"].as_str().unwrap()));
    let first = ndjson(&folder.ok(&["query", "--format", "ndjson", "--limit", "3"]));
    assert_eq!(first, query(&[])[..3]);
    assert_eq!(ndjson(&folder.ok(&["query", "--format", "ndjson"])).len(), 20);

    let csv = folder.ok(&["query", "--format", "csv", "--limit", "2", "--window", "1d"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "@timestamp,rollup,window,window_end,url,country,clicks,unique_users,avg_time_seconds,total_time_seconds,time_samples"
    );
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].starts_with(
            "2026-03-01T00:00:00Z,url-country,1d,2026-03-02T00:00:00Z,https://example.com/page/"
        )
    );
    let query = |columns: &str| {
        let output =
            folder.command(&["query", "--limit", "2", "--window", "1d"]).env("COLUMNS", columns).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let table = query("200");
    assert!(table.starts_with("@timestamp") && table.lines().count() == 3, "{table}");
    let narrow = query("80");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
}

#[test]
fn mistakes_in_arguments_are_told() {
    let folder = folder("arguments");
    let table = [
        (vec!["query", "--window", "2h"], "no rollup has a window `2h`"),
        (vec!["query", "--rollup", "x"], "no rollup `x`; there are: url-country"),
        (vec!["query", "--sort", "clicky"], "no field `clicky`"),
        (vec!["query", "--from", "yesterday"], "write a day as 2026-03-01 or a time as 2026-03-01T10:00:00Z"),
        (vec!["query", "--where", "country"], "write COLUMN=VALUE"),
        (vec!["query", "--where", "colour=red"], "no column `colour`"),
        (vec!["events", "--where", "colour=red"], "no column `colour`"),
        (vec!["query", "--format", "xml"], "possible values: table, ndjson, csv"),
        (vec!["run", "--until-idle", "5"], "unit"),
        (vec!["run", "--nix"], "unexpected argument '--nix' found"),
        (vec!["query", "--from", "10000-01-01"], "of the years 0 to 9999"),
        (vec!["run", "--until-idle", "1s"], "--until-idle is for a source that does not end by itself"),
        (vec!["generate", "--bad", "2"], "write a number from 0 to 1"),
        (vec!["generate", "--late", "-1"], "write a number from 0 to 1"),
        (vec!["generate", "-n", "0"], "write a number from 1 to 9223372036854775807"),
        (vec!["generate", "--rate", "0"], "write a number from 1 to 9223372036854775807"),
        (vec!["generate", "--users", "0"], "write a number from 1 to 1000000000"),
        (vec!["generate", "--urls", "-1"], "write a number from 1 to 1000000000"),
        (vec!["generate", "--urls", "many"], "write a whole number"),
        (vec!["generate", "--start", "10000-01-01"], "of the years 0 to 9999"),
        (vec!["bench", "--users", "0"], "write a number from 1 to 1000000000"),
    ];
    for (arguments, text) in table {
        let output = folder.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(text), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    }
}

#[test]
fn events_are_listed_filtered_and_counted() {
    let folder = folder("events");
    let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
    assert!(events.is_sorted_by_key(|event| event["offset"].as_i64().unwrap()));
    let french =
        ndjson(&folder.ok(&["events", "--where", "country=FR", "--format", "ndjson", "--limit", "0"]));
    let wanted: Vec<_> = events.iter().filter(|event| event["country"] == "FR").cloned().collect();
    assert_eq!(french, wanted);
    assert_eq!(folder.ok(&["events", "--where", "country=FR", "--count"]).trim(), wanted.len().to_string());
    assert_eq!(folder.ok(&["events", "--format", "csv", "--limit", "2"]).lines().count(), 3);
    // A reader that has seen enough is no error.
    let mut shell = std::process::Command::new("sh");
    let binary = clickmill_tests::clickmill().get_program().to_owned();
    shell
        .arg("-c")
        .arg("\"$0\" events --format ndjson --limit 0 | head -n 1")
        .arg(binary)
        .current_dir(folder.path());
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn check_says_what_is_there_and_changes_nothing() {
    let folder = folder("check");
    let before = folder.ok(&["query", "--format", "ndjson", "--limit", "0"]);
    let text = folder.ok(&["check"]);
    for part in
        ["settings  clickmill.toml: good", "url-country by url, country in 1m, 1h, 1d", "all is there"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(folder.ok(&["query", "--format", "ndjson", "--limit", "0"]), before);
}

#[test]
fn plugins_say_what_they_are() {
    let folder = Folder::new("inspect");
    let list = folder.ok(&["plugin", "list"]);
    for name in ["json", "url", "sessions", "clicks", "unique-users", "time-on-page"] {
        assert!(list.lines().any(|line| line.contains(name)), "{list}");
        let about = folder.ok(&["plugin", "inspect", name]);
        assert!(about.contains(name), "{about}");
    }
    let help = folder.ok(&["plugin", "inspect", "--help"]);
    assert!(help.contains("what it reads, what it makes, and what it imports"), "{help}");
    folder.write("no.wasm", "nothing");
    let output = folder.run(&["plugin", "inspect", "no.wasm"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it is no WebAssembly component"));
}

#[test]
fn plugins_of_the_settings_are_known_by_their_names() {
    let folder = Folder::new("used");
    let fields = "[parser.params.fields]\ncart = { path = \"cv\", kind = \"real\" }\n";
    let metric = "[[metric]]\nname = \"visits\"\nplugin = \"clicks\"\n";
    let rollup = "[[rollup]]\nname = \"r\"\nby = [\"country\"]\nmetrics = [\"clicks\"]\n";
    folder.write("other.toml", format!("{SETTINGS}{fields}{metric}{rollup}"));
    let settings = ["--config", "other.toml"];
    let plugin = |arguments: &[&str]| folder.ok(&[&["plugin"], arguments, &settings].concat());
    let list = ndjson(&plugin(&["list", "--format", "ndjson"]));
    let found = |name: &str| list.iter().filter(|row| row["name"] == name).collect::<Vec<_>>();
    let [visits] = found("visits")[..] else { panic!("{list:?}") };
    assert_eq!((&visits["kind"], &visits["from"]), (&"metric".into(), &"clickmill, there `clicks`".into()));
    let [json] = found("json")[..] else { panic!("{list:?}") };
    assert_eq!(json["from"], "clickmill");
    assert_eq!(list.len(), 7);
    assert_eq!(ndjson(&folder.ok(&["plugin", "list", "--format", "ndjson"])).len(), 6);

    assert!(plugin(&["inspect", "visits"]).starts_with("clicks: metric"));
    assert_eq!(folder.run(&["plugin", "inspect", "visits"]).status.code(), Some(2));
    // With the settings' parameters it makes what it makes there.
    assert!(plugin(&["inspect", "json"]).contains(" cart "));
    assert!(!plugin(&["inspect", "json", "--params", "{}"]).contains(" cart "));
    assert!(!folder.ok(&["plugin", "inspect", "json"]).contains(" cart "));
}

#[test]
fn refused_documents_are_shown_apart_from_records() {
    let folder = folder("refused");
    assert_eq!(folder.ok(&["dead-letters", "--documents", "--format", "ndjson"]), "");
    assert_ne!(folder.ok(&["dead-letters", "--format", "ndjson"]), "");
    let both = folder.command(&["dead-letters", "--documents", "--reason", "invalid-url"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

/// What the figures are is the machine's; that there are some, of the right streams, is not.
#[test]
fn bench_measures_what_it_says() {
    let folder = Folder::new("bench");
    let bench = |arguments: &[&str]| -> Value {
        let all = ["bench", "--rounds", "1", "--folder", ".", "--json", "figures.json", "--users", "64"];
        folder.ok(&[&all[..], arguments].concat());
        serde_json::from_slice(&fs::read(folder.path().join("figures.json")).unwrap()).unwrap()
    };
    let whole = bench(&["--events", "3000", "--urls", "50"]);
    assert_eq!(whole["written"]["event_rows"], 3_000);
    assert!(whole["second_start"]["first_record_seconds"].is_number(), "{whole}");
    let rollup =
        "[[rollup]]\nname = \"land\"\nby = [\"country\"]\nwindows = [\"1d\"]\nmetrics = [\"clicks\"]\n";
    folder.write("like.toml", format!("[source]\nkind = \"generate\"\n[store]\npath = \"other\"\n{rollup}"));
    let like = bench(&["--events", "3000", "--urls", "50", "--config", "like.toml"]);
    assert_eq!(like["written"]["event_rows"], 3_000);
    let documents = |figures: &Value| figures["written"]["documents"].as_u64().unwrap();
    assert!(documents(&like) < documents(&whole) / 4, "{like}");
    assert!(!folder.path().join("other").exists(), "the store is the bench's own");
    let flat = bench(&["--flat", "--events", "3000", "--urls", "3"]);
    let [short, long] = &flat["runs"].as_array().unwrap()[..] else { panic!("two runs: {flat}") };
    assert_eq!((&short["events"], &long["events"]), (&3_000.into(), &30_000.into()));
    let groups = |run: &Value| run["groups"].as_u64().unwrap();
    assert!(groups(short) * 10 > groups(long) * 8, "the groups are not about the same: {flat}");
    assert!(flat["ratio"].is_number(), "{flat}");
}
