//! The README's main job: what it prints is known, and it equals SQL over the raw lines. And the settings beside it, from which
//! people start.

use std::{fs, io::Read, path::Path};

use clickmill_tests::{Folder, Raw, Traffic, answer, clickmill, compare, documents, ndjson, summary};

/// What the main job prints, without the line that says how long it took.
const PRINTED: &str = include_str!("sample.txt");

fn config() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"))
}

/// A folder with the sample's settings, its store in the folder.
fn folder(name: &str) -> Folder {
    let settings = fs::read_to_string(config().join("sample.toml")).unwrap();
    let (files, store) = ("\"sample/clicks-*\"", "\"../target/sample.db\"");
    assert!(settings.contains(files) && settings.contains(store), "the sample's settings have other paths");
    let there = fs::canonicalize(config()).unwrap();
    let settings = settings
        .replace(files, &format!("\"{}/sample/clicks-*\"", there.display()))
        .replace(store, "\"store\"");
    let folder = Folder::new(name);
    folder.write("clickmill.toml", settings);
    folder
}

/// The sample's lines, by hand.
fn lines() -> Vec<u8> {
    let mut lines = Vec::new();
    let first = fs::File::open(config().join("sample/clicks-1.jsonl.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(first).read_to_end(&mut lines).unwrap();
    lines.extend(fs::read(config().join("sample/clicks-2.jsonl")).unwrap());
    lines
}

#[test]
fn the_main_job_prints_the_known_answer() {
    let folder = folder("known");
    let output = folder.run(&["run"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (answer, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(answer, PRINTED.trim_end(), "\nprinted:\n{answer}\n");
    assert!(last.ends_with(" events/s"), "{last}");

    // Where no terminal is too narrow for it, the table is whole.
    let wide = folder.command(&["query", "--limit", "5"]).env_remove("COLUMNS").output().unwrap();
    let wide = String::from_utf8(wide.stdout).unwrap();
    assert!(wide.starts_with("@timestamp") && wide.lines().count() == 6 && !wide.contains('…'), "{wide}");

    // Whoever reads the first lines only breaks nothing.
    let script = "exec \"$0\" run 2>errors | head -n 1";
    let mut piped = std::process::Command::new("sh");
    let piped = piped.args(["-c", script]).arg(clickmill().get_program()).current_dir(folder.path());
    assert!(piped.output().unwrap().stdout.starts_with(b"1d by url"));
    assert_eq!(fs::read_to_string(folder.path().join("errors")).unwrap(), "");

    // A second run finds nothing new, and says the same of the whole.
    let again = folder.ok(&["run"]);
    assert_eq!(again.trim_end().rsplit_once('\n').unwrap().0, answer);
}

#[test]
fn the_main_job_equals_sql_over_the_raw_lines() {
    let folder = folder("raw");
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    let raw = Raw::read(0, &lines()).unwrap();
    assert_eq!(last["records"], 12_000);
    assert_eq!(last["events"], raw.clicks.len());
    assert_eq!(last["total"]["dead_letters_by_reason"], serde_json::to_value(&raw.dead).unwrap());
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&raw.clicks).unwrap()).unwrap();

    let late = raw.clicks.windows(2).filter(|two| two[1].time < two[0].time).count();
    assert!(late > 300, "only {late} events come late");
    let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
    for (event, click) in events.iter().zip(&raw.clicks) {
        assert_eq!(event["offset"], click.offset);
        assert_eq!((&event["user_id"], &event["url"]), (&(*click.user).into(), &(*click.url).into()));
    }
    assert_eq!(events.len(), raw.clicks.len());
}

/// As they are, and with every line that is there to be turned on.
#[test]
fn all_settings_that_come_with_it_are_sound() {
    let mut names = Vec::new();
    for entry in fs::read_dir(config()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let settings = fs::read_to_string(&path).unwrap();
            for text in [turned_on(&settings), settings] {
                if let Err(faults) = clickmill_settings::parse(&name, &text, config()) {
                    panic!("{}", faults[0]);
                }
            }
            names.push(name);
        }
    }
    names.sort();
    assert_eq!(names, ["cluster.toml", "embedded.toml", "sample.toml"]);
}

/// Comments that are settings become those.
fn turned_on(settings: &str) -> String {
    let is_setting = |comment: &&str| comment.starts_with('[') || comment.contains(" = ");
    let turn = |line| str::strip_prefix(line, "# ").filter(is_setting).unwrap_or(line);
    settings.lines().map(|line| format!("{}\n", turn(line))).collect()
}

#[test]
fn the_settings_for_one_machine_give_the_answer_of_sql() {
    let settings = fs::read_to_string(config().join("embedded.toml")).unwrap();
    let paths = "\"/var/log/clicks/*.jsonl\"";
    assert!(settings.contains(paths), "the settings have other paths");
    let folder = Folder::new("one-machine");
    folder.write("clickmill.toml", settings.replace(paths, "\"*.jsonl\""));
    let mut traffic = Traffic::new(3, 0, 100, 20, 30);
    folder.write("a.jsonl", traffic.lines(3_000));
    assert!(folder.ok(&["check"]).ends_with("all is there\n"));
    folder.ok(&["run", "--until-idle", "1s"]);
    let rows = |rollup| folder.ok(&["query", "--rollup", rollup, "--format", "ndjson", "--limit", "0"]);
    compare(&documents(&rows("url-country")), &answer(&traffic.clicks).unwrap()).unwrap();
    let days = ndjson(&rows("country")).into_iter().filter(|row| row["window"] == "1d");
    assert_eq!(days.map(|row| row["clicks"].as_u64().unwrap()).sum::<u64>(), traffic.clicks.len() as u64);
}
