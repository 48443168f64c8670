//! Files in, answer out, all embedded: the documents equal SQL, whatever is done to the process.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use clickmill_tests::{Folder, Random, Traffic, answer, compare, documents, ndjson, summary};

const SETTINGS: &str = r#"
[source]
kind = "files"
paths = ["data/*"]
[store]
path = "store"
[commit]
interval = "100ms"
"#;

fn folder(name: &str, traffic: &mut Traffic, lines: &[usize]) -> Folder {
    let folder = Folder::new(name);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    folder.write("clickmill.toml", SETTINGS);
    for (number, &count) in lines.iter().enumerate() {
        folder.write(&format!("data/{number}.jsonl"), traffic.lines(count));
    }
    folder
}

fn check(folder: &Folder, traffic: &Traffic) {
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&traffic.clicks).unwrap()).unwrap();
    let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
    assert_eq!(events.len(), traffic.clicks.len());
    let dead = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]));
    assert_eq!(dead.len() as u64, traffic.dead);
}

#[test]
fn documents_equal_sql_over_the_same_clicks() {
    let mut traffic = Traffic::new(1, 0, 500, 40, 50);
    let folder = folder("sql", &mut traffic, &[20_000, 1, 5_000]);
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    assert_eq!(last["records"], 25_001);
    assert_eq!(last["events"], traffic.clicks.len());
    assert_eq!(last["dead_letters"], traffic.dead);
    assert_eq!(last["skipped"], 0);
    check(&folder, &traffic);
}

#[test]
fn a_second_run_reads_what_was_added() {
    let mut traffic = Traffic::new(2, 0, 100, 20, 0);
    let folder = folder("added", &mut traffic, &[3_000]);
    folder.ok(&["run"]);
    folder.write("data/1.jsonl", traffic.lines(2_000));
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    assert_eq!((last["records"].as_u64(), last["total"]["records"].as_u64()), (Some(2_000), Some(5_000)));
    assert!(last["first_record_seconds"].is_number(), "{last}");
    let nothing = summary(&folder.ok(&["run", "--summary", "json"]));
    assert!(nothing["first_record_seconds"].is_null(), "{nothing}");
    check(&folder, &traffic);
}

/// Tens of thousands of groups, of which each shard may keep a thousand in memory, and thousands of users, of which so many may
/// stay: many hours, days and users go and come back.
#[test]
fn a_bound_of_memory_changes_no_answer() {
    let mut traffic = Traffic::new(4, 0, 3_000, 2_000, 0);
    let folder = folder("bound", &mut traffic, &[20_000]);
    // A key that changes with a commit stays, so commits are to be short.
    let bounds = "max_records = 500\n[state]\nkeys = 1000\ngroups = 1000\n";
    folder.write("clickmill.toml", format!("{SETTINGS}{bounds}"));
    folder.ok(&["run"]);
    check(&folder, &traffic);
    // How many depends on how many commits there were, so on how fast all this went.
    let cells = cells_by_kind_of_task(&folder);
    assert!(cells.len() == 2 && cells.iter().all(|&cells| cells > 1_000), "{cells:?}");
    folder.write("data/1.jsonl", traffic.lines(10_000));
    folder.ok(&["run"]);
    check(&folder, &traffic);
}

fn cells_by_kind_of_task(folder: &Folder) -> Vec<u32> {
    let store = rusqlite::Connection::open(folder.path().join("store/store.sqlite")).unwrap();
    let mut counts = store.prepare("select count(*) from cold group by kind").unwrap();
    counts.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    const KILLS: usize = 20;
    let mut traffic = Traffic::new(3, 0, 20_000, 300, 100);
    let folder = folder("kills", &mut traffic, &[800_000]);
    // Short commits, and memory for a part of the users and groups only: cells come and go between the kills.
    let bounds = "[state]\nkeys = 1000\ngroups = 1000\n";
    folder.write("clickmill.toml", SETTINGS.replace("100ms", "20ms") + bounds);
    let mut random = Random(5);
    let (mut kills, mut last) = (0, 0);
    while kills < KILLS {
        let mut host = folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A commit of events makes a file; the kill falls between then and some commits later.
        let (before, began) = (event_files(&folder), Instant::now());
        while event_files(&folder) == before && began.elapsed() < Duration::from_secs(30) {
            assert!(host.try_wait().unwrap().is_none(), "the input ended after {kills} kills");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.below(40)));
        assert!(host.try_wait().unwrap().is_none(), "the input ended after {kills} kills");
        host.kill().unwrap();
        host.wait().unwrap();
        let events: u64 = folder.ok(&["events", "--count"]).trim().parse().unwrap();
        assert!(events >= last, "events were lost: {last}, then {events}");
        assert!(events < traffic.clicks.len() as u64, "kill {kills} fell after the last commit");
        if events > 0 {
            kills += 1;
        }
        last = events;
    }
    folder.ok(&["run"]);
    check(&folder, &traffic);
    let cells = cells_by_kind_of_task(&folder);
    assert!(cells.len() == 2 && cells.iter().all(|&cells| cells > 1_000), "{cells:?}");
}

/// The names of the files of events that there are.
fn event_files(folder: &Folder) -> Vec<std::ffi::OsString> {
    let files = std::fs::read_dir(folder.path().join("store/events"));
    // The folder for replaced files is there before the store is.
    let files = files.into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = files.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}
