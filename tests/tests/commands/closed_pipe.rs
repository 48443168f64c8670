//! Whoever closes stdout has seen enough. That is no error, and the work goes on.

use std::{io::pipe, process::Output};

use clickmill_tests::{Folder, Traffic};

use super::SETTINGS;

/// A command that writes to a pipe that nobody reads.
fn unheard(folder: &Folder, arguments: &[&str]) -> Output {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    folder.command(arguments).stdout(writer).output().unwrap()
}

#[test]
fn no_command_fails_where_nobody_listens() {
    let folder = super::folder("closed");
    let commands: [&[&str]; 14] = [
        &["run"],
        &["run", "--summary", "json"],
        &["check"],
        &["query"],
        &["query", "--format", "ndjson", "--limit", "0"],
        &["events", "--count"],
        &["events", "--format", "csv", "--limit", "0"],
        &["dead-letters"],
        &["dead-letters", "--count"],
        &["generate", "-n", "1000"],
        &["reindex"],
        &["plugin", "list"],
        &["plugin", "inspect", "json"],
        &["plugin", "inspect", "sessions"],
    ];
    for arguments in commands {
        let output = unheard(&folder, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_run_that_nobody_listens_to_does_its_work() {
    for summary in ["json", "text"] {
        let folder = Folder::new("unheard");
        folder.write("clickmill.toml", SETTINGS);
        folder.write("lines", Traffic::new(41, 0, 50, 10, 0).lines(5_000));
        assert!(unheard(&folder, &["run", "--summary", summary]).status.success());
        assert_eq!(folder.ok(&["events", "--count"]).trim(), "5000");
    }
}

/// What cannot be written for another reason is an error.
#[test]
fn a_full_disk_is_told() {
    let folder = super::folder("full");
    for arguments in [&["events", "--count"][..], &["query"], &["check"], &["plugin", "inspect", "json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = folder.command(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("the output cannot be written"), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}
