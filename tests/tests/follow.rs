//! Hosts that run until they are told to stop: signals end them at a commit, and files that are followed may grow, come, be rotated
//! and be truncated.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use clickmill_tests::{Folder, Traffic, answer, compare, documents, ndjson, summary};

const SETTINGS: &str = r#"
[source]
paths = ["data/*"]
[store]
path = "store"
[commit]
interval = "50ms"
"#;

const PATIENCE: Duration = Duration::from_secs(60);

/// A host that follows its files.
struct Host(Child);

impl Host {
    fn start(folder: &Folder, arguments: &[&str]) -> Host {
        let mut command = folder.command(&["run", "--summary", "json"]);
        Host(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Ends it by a signal; its status and what it has printed.
    fn signal(mut self, signal: &str) -> (ExitStatus, String, String) {
        assert!(self.0.try_wait().unwrap().is_none(), "the host has ended by itself");
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the host does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (status, out, err)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.write("clickmill.toml", SETTINGS);
    folder
}

fn append(folder: &Folder, name: &str, text: &str) {
    let path = folder.path().join(name);
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until so many events are stored, which are then all.
fn await_events(folder: &Folder, count: usize) {
    let began = Instant::now();
    let mut found = String::new();
    while began.elapsed() < PATIENCE {
        let output = folder.run(&["events", "--count"]);
        found = String::from_utf8(output.stdout).unwrap();
        if found.trim() == count.to_string() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} events after {PATIENCE:?}, {count} are awaited", found.trim());
}

fn check(folder: &Folder, traffic: &Traffic) {
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&traffic.clicks).unwrap()).unwrap();
}

#[test]
fn signals_end_a_host_at_a_commit() {
    for signal in ["-INT", "-TERM"] {
        let mut traffic = Traffic::new(11, 0, 2_000, 200, 100);
        let folder = folder("signal");
        folder.write("data/a", traffic.lines(400_000));
        let host = Host::start(&folder, &[]);
        let began = Instant::now();
        let stored =
            || folder.run(&["events", "--count"]).stdout.iter().any(|byte| (b'1'..=b'9').contains(byte));
        while !stored() {
            assert!(began.elapsed() < PATIENCE, "nothing is committed");
        }
        let (status, out, err) = host.signal(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {err}");
        let last = summary(&out);
        let records = last["records"].as_u64().unwrap();
        assert!(records > 0 && records < 400_000, "{signal}: it ended after {records} records");
        let events: u64 = folder.ok(&["events", "--count"]).trim().parse().unwrap();
        assert_eq!((last["events"].as_u64(), last["total"]["events"].as_u64()), (Some(events), Some(events)));
        let number = |name: &str| last[name].as_u64().unwrap();
        assert_eq!(records, number("events") + number("dead_letters") + number("skipped"));

        let rest = summary(&folder.ok(&["run", "--summary", "json"]));
        assert_eq!(rest["records"].as_u64(), Some(400_000 - records));
        check(&folder, &traffic);
    }
}

#[test]
fn the_first_signal_counts_wherever_it_falls() {
    let mut traffic = Traffic::new(12, 0, 200, 20, 0);
    let folder = folder("soon");
    folder.write("data/a", traffic.lines(50_000));
    for wait in [150, 200, 250, 300, 350, 400] {
        let host = Host::start(&folder, &["--follow"]);
        std::thread::sleep(Duration::from_millis(wait));
        let (status, _, err) = host.signal("-TERM");
        // Before it can hear signals the system ends it, which loses nothing either.
        assert!(status.code() == Some(0) || status.code().is_none(), "{status}: {err}");
    }
    folder.ok(&["run"]);
    check(&folder, &traffic);
}

#[test]
fn followed_files_grow_and_come() {
    let mut traffic = Traffic::new(13, 0, 100, 20, 0);
    let folder = folder("grow");
    folder.write("data/a", traffic.lines(1_000));
    let host = Host::start(&folder, &["--follow"]);
    await_events(&folder, 1_000);
    append(&folder, "data/a", &traffic.lines(500));
    await_events(&folder, 1_500);
    // A line counts when its line feed is there.
    let line = traffic.lines(1);
    let (begin, end) = line.split_at(30);
    append(&folder, "data/a", begin);
    std::thread::sleep(Duration::from_millis(600));
    await_events(&folder, 1_500);
    append(&folder, "data/a", end);
    await_events(&folder, 1_501);
    append(&folder, "data/b", &traffic.lines(300));
    await_events(&folder, 1_801);
    let (status, out, err) = host.signal("-INT");
    assert_eq!(status.code(), Some(0), "{err}");
    assert_eq!(summary(&out)["records"], 1_801);
    check(&folder, &traffic);
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_once() {
    let mut traffic = Traffic::new(14, 0, 100, 20, 0);
    let folder = Folder::new("rotate");
    folder.write("clickmill.toml", SETTINGS.replace("data/*", "log*"));
    folder.write("log", traffic.lines(1_000));
    let host = Host::start(&folder, &["--follow"]);
    await_events(&folder, 1_000);
    fs::rename(folder.path().join("log"), folder.path().join("log.1")).unwrap();
    append(&folder, "log.1", &traffic.lines(200));
    std::thread::sleep(Duration::from_millis(800));
    // The writer has gone on to a new file; the last line of the old one is without its line feed.
    let last = traffic.line();
    append(&folder, "log.1", &last);
    append(&folder, "log", &traffic.lines(300));
    await_events(&folder, 1_501);
    let (status, _, err) = host.signal("-TERM");
    assert_eq!(status.code(), Some(0), "{err}");
    // Rotated once more while nobody reads.
    fs::rename(folder.path().join("log.1"), folder.path().join("log.2")).unwrap();
    fs::rename(folder.path().join("log"), folder.path().join("log.1")).unwrap();
    append(&folder, "log", &traffic.lines(50));
    let host = Host::start(&folder, &["--follow"]);
    await_events(&folder, 1_551);
    assert_eq!(host.signal("-INT").0.code(), Some(0));
    check(&folder, &traffic);
}

#[test]
fn a_truncated_file_is_a_new_one() {
    let mut traffic = Traffic::new(15, 0, 100, 20, 0);
    let folder = folder("truncate");
    folder.write("data/a", traffic.lines(1_000));
    let host = Host::start(&folder, &["--follow"]);
    await_events(&folder, 1_000);
    folder.write("data/a", traffic.lines(100));
    await_events(&folder, 1_100);
    let (status, _, err) = host.signal("-TERM");
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("WARN") && err.contains("data/a"), "no warning: {err}");
    check(&folder, &traffic);
}

#[test]
fn until_idle_ends_a_host_that_follows() {
    let mut traffic = Traffic::new(16, 0, 100, 20, 0);
    let folder = folder("idle");
    folder.write("data/a", traffic.lines(1_000));
    let began = Instant::now();
    let last = summary(&folder.ok(&["run", "--follow", "--until-idle", "1s", "--summary", "json"]));
    assert_eq!(last["records"], 1_000);
    assert!(began.elapsed() >= Duration::from_secs(1));
    check(&folder, &traffic);
}

/// Nothing is committed for longer than that.
#[test]
fn what_was_read_and_is_not_committed_keeps_a_host_from_being_idle() {
    let mut traffic = Traffic::new(18, 0, 100, 20, 0);
    let folder = folder("not-idle");
    folder.write("clickmill.toml", SETTINGS.replace("50ms", "2s"));
    folder.write("data/a", traffic.lines(1_000));
    let last = summary(&folder.ok(&["run", "--follow", "--until-idle", "1ms", "--summary", "json"]));
    assert_eq!(last["records"], 1_000);
    check(&folder, &traffic);
}

#[test]
fn readers_look_on_beside_a_running_host() {
    let mut traffic = Traffic::new(17, 0, 500, 50, 50);
    let folder = folder("beside");
    folder.write("data/a", traffic.lines(300_000));
    let mut host = Host::start(&folder, &[]);
    let (mut looks, mut before) = (0, 0);
    while host.0.try_wait().unwrap().is_none() {
        let output = folder.run(&["query", "--window", "1d", "--format", "ndjson", "--limit", "0"]);
        let text = String::from_utf8(output.stdout).unwrap();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(error.contains("there is no store") && before == 0, "{error}");
            continue;
        }
        let clicks: i64 = ndjson(&text).iter().map(|row| row["clicks"].as_i64().unwrap()).sum();
        assert!(clicks >= before, "{before} clicks were there, then {clicks}");
        looks += i32::from(clicks > before);
        before = clicks;
    }
    assert!(looks > 1, "the host had ended before it was looked at");
    let mut out = String::new();
    BufReader::new(host.0.stdout.take().unwrap()).read_line(&mut out).unwrap();
    assert_eq!(summary(&out)["records"], 300_000);
    check(&folder, &traffic);
}
