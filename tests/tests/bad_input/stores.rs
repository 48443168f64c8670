//! Stores that are another's, of another version, none at all, or without space.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clickmill_tests::{Folder, Traffic, answer, clickmill, compare, documents, summary};

use crate::{EVENT, fails, folder, records, stored};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_store_that_another_host_uses() {
    let folder = folder("used");
    folder.write("data/a", EVENT);
    let mut other =
        folder.command(&["run", "--follow"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_that(|| String::from_utf8_lossy(&folder.run(&["events", "--count"]).stdout).trim() == "1");
    let message = format!(
        "error: the store ./store is in use by another clickmill (process {}); stop it, or use another store",
        other.id()
    );
    fails(&folder, &["run"], 1, &message);
    // Who only reads is not kept out.
    assert_eq!(stored(&folder), 1);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(records(&folder), 0);
}

#[test]
fn a_store_of_a_newer_version() {
    let folder = folder("newer");
    folder.write("data/a", EVENT);
    folder.ok(&["run"]);
    let database = folder.path().join("store/store.sqlite");
    let set = |format: i64| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.pragma_update(None, "user_version", format).unwrap();
    };
    set(2);
    for command in ["run", "check", "query", "events", "dead-letters"] {
        fails(
            &folder,
            &[command],
            1,
            "error: the store ./store/store.sqlite was written by a newer version (store format 2, this version knows 1); use \
             that version or another store",
        );
    }
    set(1);
    assert_eq!((records(&folder), stored(&folder)), (0, 1));
}

#[test]
fn what_is_no_store() {
    let folder = folder("nostore");
    folder.write("data/a", EVENT);
    for command in ["query", "events", "dead-letters"] {
        fails(&folder, &[command], 1, "error: there is no store at ./store");
    }
    folder.write("store", "a file");
    fails(
        &folder,
        &["run"],
        1,
        "error: ./store is a file, but a store is a folder; give `path` in [store] another one",
    );
    fs::remove_file(folder.path().join("store")).unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    folder.write("store/store.sqlite", "this is no database, whatever its name says");
    fails(&folder, &["run"], 1, "error: store ./store/store.sqlite: file is not a database");
    let connection = rusqlite::Connection::open(folder.path().join("other.sqlite")).unwrap();
    connection.execute_batch("create table mine (x)").unwrap();
    drop(connection);
    fs::rename(folder.path().join("other.sqlite"), folder.path().join("store/store.sqlite")).unwrap();
    fails(&folder, &["run"], 1, "error: ./store/store.sqlite is no store of clickmill; use another path");
}

/// A store with little room, and how it gets more.
enum Cramped {
    /// A small disk of its own, seen by the host only.
    Disk,
    /// Where disks cannot be mounted: no file may become large.
    Limit,
}

/// A full disk delays: the host says so and waits; once there is room it goes on, by itself or when it is started again.
#[test]
fn no_space_on_the_disk() {
    let mut traffic = Traffic::new(41, 0, 2_000, 200, 200);
    let folder = folder("space");
    folder.write("data/a", traffic.lines(150_000));
    fs::create_dir(folder.path().join("store")).unwrap();
    let kind = match unshared(&folder, "mount -t tmpfs -o size=1m none store").status() {
        Ok(status) if status.success() => Cramped::Disk,
        _ => Cramped::Limit,
    };
    match kind {
        Cramped::Disk => full_disk(&folder),
        Cramped::Limit => full_files(&folder),
    }
    let last = summary(&folder.ok(&["run", "--summary", "json"]));
    assert_eq!(last["total"]["records"], 150_000);
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&traffic.clicks).unwrap()).unwrap();
    assert_eq!(stored(&folder), traffic.clicks.len() as u64);
}

/// A shell that sees mounts of its own.
fn unshared(folder: &Folder, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script]).arg(clickmill().get_program());
    command.current_dir(folder.path()).env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Room comes while the host waits for it.
fn full_disk(folder: &Folder) {
    const SIZE: u64 = 128 << 20;
    let script = format!(
        "mount -t tmpfs -o size={SIZE} none store && head -c {} /dev/zero > store/filler || exit 9
         \"$0\" run --summary json; code=$?; cp -r store kept; exit $code",
        SIZE - (2 << 20)
    );
    let mut host = unshared(folder, &script).spawn().unwrap();
    let inside =
        PathBuf::from(format!("/proc/{}/root", host.id())).join(folder.path().strip_prefix("/").unwrap());
    let mut errors = BufReader::new(host.stderr.take().unwrap());
    let mut error = String::new();
    while !error.contains("free some space, and it goes on; trying again\n") {
        assert!(errors.read_line(&mut error).unwrap() > 0, "it has ended: {error}");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(host.try_wait().unwrap().is_none(), "it has ended: {error}");
    fs::remove_file(inside.join("store/filler")).unwrap();
    errors.read_to_string(&mut error).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0), "{error}");
    let store = folder.path().join("store");
    fs::remove_dir(&store).unwrap();
    fs::rename(folder.path().join("kept"), store).unwrap();
}

/// It is told to end while it waits.
fn full_files(folder: &Folder) {
    let script = "trap '' XFSZ; ulimit -f 1000; exec \"$0\" run --summary json";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(clickmill().get_program()).current_dir(folder.path());
    let mut host =
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert!(host.try_wait().unwrap().is_none(), "it has ended");
    assert!(Command::new("kill").args(["-TERM", &host.id().to_string()]).status().unwrap().success());
    let error = said(&mut host);
    assert!(error.contains("(os error 27); trying again"), "{error}");
    assert_eq!(host.wait().unwrap().code(), Some(0));
}

fn said(host: &mut Child) -> String {
    let mut error = String::new();
    host.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    host.wait().unwrap();
    error
}

fn await_that(mut what: impl FnMut() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
