//! `reindex`: all documents are sent again, once, and the answer stays what it was.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use clickmill_tests::{Folder, Traffic, answer, compare, documents, summary};

use super::SETTINGS;

const ALL: [&str; 5] = ["query", "--format", "ndjson", "--limit", "0"];

/// A host that ends with its test.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many documents a run writes.
fn written(folder: &Folder) -> u64 {
    summary(&folder.ok(&["run", "--summary", "json"]))["written"]["documents"].as_u64().unwrap()
}

#[test]
fn all_documents_are_sent_again_once() {
    let folder = Folder::new("reindex");
    let mut traffic = Traffic::new(43, 0, 500, 200, 0);
    folder.write("lines", traffic.lines(5_000));
    // Some groups lie in cells of their own: they are sent as well.
    folder
        .write("clickmill.toml", format!("{SETTINGS}[commit]\nmax_records = 500\n[state]\ngroups = 1000\n"));
    folder.ok(&["run"]);
    let before = documents(&folder.ok(&ALL));
    assert!(before.len() > 3_000);
    assert_eq!(written(&folder), 0);

    let said = folder.ok(&["reindex"]);
    assert!(said.contains(" shards send all their documents again"), "{said}");
    // Nothing is lost meanwhile.
    compare(&documents(&folder.ok(&ALL)), &before).unwrap();
    assert_eq!(written(&folder), before.len() as u64);
    assert_eq!(written(&folder), 0);
    let after = documents(&folder.ok(&ALL));
    compare(&after, &answer(&traffic.clicks).unwrap()).unwrap();
    compare(&after, &before).unwrap();
}

#[test]
fn a_store_in_use_or_none_is_told() {
    let folder = Folder::new("in-use");
    folder.write("clickmill.toml", SETTINGS);
    folder.write("lines", Traffic::new(47, 0, 50, 10, 0).lines(100));
    let mut host = folder.command(&["run", "--follow"]);
    let host = Host(host.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let began = Instant::now();
    while folder.run(&["events", "--count"]).stdout != b"100\n" {
        assert!(began.elapsed() < Duration::from_secs(60), "the host reads nothing");
    }
    let output = folder.run(&["reindex"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("is in use by another clickmill"), "{error}");
    drop(host);

    let nothing = Folder::new("nothing");
    nothing.write("clickmill.toml", SETTINGS);
    let output = nothing.run(&["reindex"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no store at"));
    assert_eq!(output.status.code(), Some(1));
    assert!(!nothing.path().join("store").exists());
}
