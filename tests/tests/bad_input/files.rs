//! Files that are not what they were, or not what they seem.

use std::{fs, io::Write, os::unix::process::CommandExt};

use clickmill_tests::{Folder, clickmill};

use crate::{EVENT, SETTINGS, events, fails, folder, records, stored};

const CHOICES: &str = "Put the file back as it was, or say where to go on: `run --resume-at earliest` (everything that there is now, \
     again), `latest` (only what comes from now on) or `new-log` (everything, as records of a new log)";

#[test]
fn no_file_at_all() {
    let folder = folder("none");
    for command in ["run", "check"] {
        fails(&folder, &[command], 1, "error: no file matches {folder}/data/*");
    }
    fs::create_dir(folder.path().join("data/inner")).unwrap();
    fails(&folder, &["run"], 1, "error: no file matches {folder}/data/*");

    folder.write("clickmill.toml", SETTINGS.replace("data/*", "data/a"));
    let missing = "error: cannot read {folder}/data/a: No such file or directory (os error 2)";
    fails(&folder, &["run"], 1, missing);
    fs::create_dir(folder.path().join("data/a")).unwrap();
    fails(&folder, &["run"], 1, "error: no file matches {folder}/data/a");
    // A folder stands for the files in it, named or matched.
    folder.write("data/a/b", EVENT);
    assert_eq!(records(&folder), 1);
}

#[test]
fn a_path_among_others_that_matches_nothing() {
    let folder = folder("among");
    fs::create_dir(folder.path().join("in")).unwrap();
    folder.write("in/a", EVENT);
    folder.write("clickmill.toml", SETTINGS.replace("data/*", "data/*\", \"in/*\", \"in/b"));
    let missing = "error: cannot read {folder}/in/b: No such file or directory (os error 2)";
    fails(&folder, &["run"], 1, missing);
    folder.write("clickmill.toml", SETTINGS.replace("data/*", "data/*\", \"in/*\", \"in/*.gz"));
    for command in ["run", "check"] {
        fails(&folder, &[command], 1, "error: no file matches {folder}/data/*, nor {folder}/in/*.gz");
    }
    // Followed, it may come later; a folder that is matched stands for its files.
    folder.ok(&["run", "--follow", "--until-idle", "300ms"]);
    assert_eq!(stored(&folder), 1);
    fs::create_dir_all(folder.path().join("data/inner")).unwrap();
    folder.write("data/inner/b", EVENT);
    folder.write("in/c.gz", EVENT);
    assert_eq!((records(&folder), stored(&folder)), (2, 3));
}

#[test]
fn what_is_no_file() {
    let folder = folder("pipe");
    folder.write("clickmill.toml", SETTINGS.replace("data/*", "data/p"));
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("data/p")).status().unwrap();
    assert!(made.success());
    fails(&folder, &["run"], 1, "error: {folder}/data/p is neither a file nor a folder");
}

#[test]
fn no_permission() {
    let folder = folder("permission");
    folder.write("data/a", EVENT);
    let mode = |path: &str, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(folder.path().join(path), mode).unwrap();
    };
    let run = |message: &str| {
        let output = powerless(&folder).output().unwrap();
        let error =
            String::from_utf8_lossy(&output.stderr).replace(folder.path().to_str().unwrap(), "{folder}");
        assert_eq!(error.trim_end(), message);
        assert_eq!(output.status.code(), Some(1));
    };
    mode(".", 0o777);
    mode("data/a", 0o000);
    run("error: cannot read {folder}/data/a: Permission denied (os error 13)");
    mode("data/a", 0o644);
    mode("data", 0o000);
    run("error: cannot list {folder}/data: Permission denied (os error 13)");
    mode("data", 0o755);
    fs::remove_dir_all(folder.path().join("store")).unwrap();
    mode(".", 0o555);
    run("error: cannot make the folder ./store/events/replaced: Permission denied (os error 13)");
    mode(".", 0o777);
    assert_eq!(records(&folder), 1);
}

#[test]
fn a_link_that_leads_to_itself() {
    const LOOP: &str = "error: cannot read {folder}/data/a: Too many levels of symbolic links (os error 40); \
         it leads to itself: mend or remove the link";
    let folder = folder("loop");
    let link = folder.path().join("data/a");
    std::os::unix::fs::symlink("a", &link).unwrap();
    // By name, among others, and in a store that has been at work.
    for paths in ["data/a", "data/*", "data"] {
        folder.write("clickmill.toml", SETTINGS.replace("data/*", paths));
        fails(&folder, &["run"], 1, LOOP);
        fails(&folder, &["check"], 1, LOOP);
    }
    fs::remove_file(&link).unwrap();
    folder.write("data/b", EVENT);
    assert_eq!(records(&folder), 1);
    std::os::unix::fs::symlink("a", &link).unwrap();
    for arguments in [&["run"][..], &["run", "--follow"]] {
        fails(&folder, arguments, 1, LOOP);
    }

    // A link to what is not there is no file; one to a file is that file.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../c", &link).unwrap();
    assert_eq!(records(&folder), 0);
    folder.write("c", EVENT);
    assert_eq!((records(&folder), stored(&folder)), (1, 2));
}

/// `run` by somebody for whom permissions count.
fn powerless(folder: &Folder) -> std::process::Command {
    const NOBODY: u32 = 65_534;
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        return folder.command(&["run"]);
    }
    // The checkout may lie where nobody may look: the binary comes along.
    let binary = folder.path().join("clickmill");
    if !binary.exists() {
        fs::copy(clickmill().get_program(), &binary).unwrap();
    }
    let mut command = std::process::Command::new(binary);
    command
        .current_dir(folder.path())
        .arg("run")
        .env("NO_COLOR", "1")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME");
    command.uid(NOBODY).gid(NOBODY);
    command
}

#[test]
fn a_file_that_shrank_or_changed_under_its_position() {
    let folder = folder("shrank");
    let (first, more) = (events(100), events(150));
    folder.write("data/a", &first);
    assert_eq!(records(&folder), 100);

    let half: String = first.split_inclusive('\n').take(50).collect();
    folder.write("data/a", &half);
    let (read, has) = (first.len(), half.len());
    let message =
        format!("error: {{folder}}/data/a has only {has} bytes; it was read up to byte {read}. {CHOICES}");
    fails(&folder, &["run"], 1, &message);
    folder.write("data/a", &more);
    let message = format!(
        "error: {{folder}}/data/a has changed before byte {read}, up to which it was read. {CHOICES}"
    );
    fails(&folder, &["run"], 1, &message);
    fs::remove_file(folder.path().join("data/a")).unwrap();
    folder.write("data/b", EVENT);
    let message = format!("error: {{folder}}/data/a is gone; it was read up to byte {read}. {CHOICES}");
    fails(&folder, &["run"], 1, &message);

    // Put back as it was, it has been read; and once the log has gone on to another file, it may go.
    folder.write("data/a", &first);
    assert_eq!((records(&folder), stored(&folder)), (1, 101));
    fs::remove_file(folder.path().join("data/a")).unwrap();
    folder.write("data/c", EVENT);
    assert_eq!((records(&folder), stored(&folder)), (1, 102));
}

#[test]
fn a_person_may_choose_where_to_go_on() {
    for (choice, read, all) in [("earliest", 50, 150), ("latest", 0, 100), ("new-log", 50, 150)] {
        let folder = folder("choice");
        let first = events(100);
        folder.write("data/a", &first);
        assert_eq!(records(&folder), 100);
        folder.write("data/a", first.split_inclusive('\n').take(50).collect::<String>());
        let last = clickmill_tests::summary(&folder.ok(&["run", "--resume-at", choice, "--summary", "json"]));
        assert_eq!((last["records"].as_u64(), stored(&folder)), (Some(read), all), "{choice}");
        assert_eq!((records(&folder), stored(&folder)), (0, all), "{choice}");
    }
}

#[test]
fn damaged_compressed_files_count_up_to_the_damage() {
    const LINES: usize = 20_000;
    let lines = events(LINES);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(lines.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(lines.as_bytes()).unwrap();
    let zstd = encoder.finish().unwrap();
    for (name, whole) in [("gzip", gzip), ("zstd", zstd)] {
        let folder = folder(name);
        let cut = whole.len() / 2;
        folder.write("data/a", &whole[..cut]);
        let run = || {
            let output = folder.run(&["run"]);
            assert_eq!(output.status.code(), Some(1), "{name}");
            String::from_utf8(output.stderr).unwrap()
        };
        let error = run();
        let path = folder.path().join("data/a");
        let begin = format!(
            "error: {} is cut off: its compressed data ends too early, at byte {cut} of the file (byte ",
            path.display()
        );
        let read = error.strip_prefix(&begin).unwrap_or_else(|| panic!("{error}"));
        let (read, end) = read.split_once(' ').unwrap();
        assert_eq!(end.trim_end(), "decompressed); the whole lines before that are counted");
        let read: usize = read.parse().unwrap();
        let before = lines[..read].matches('\n').count();
        assert!(before > LINES / 4, "{name}: {before} lines");
        assert_eq!(stored(&folder), before as u64, "{name}");
        let clicks = clickmill_tests::documents(
            &folder.ok(&["query", "--window", "1d", "--format", "ndjson", "--limit", "0"]),
        );
        assert_eq!(clicks.values().map(|document| document.clicks).sum::<i64>(), before as i64, "{name}");
        // As long as it is so, it is told.
        assert_eq!(run(), error);
        assert_eq!(stored(&folder), before as u64);

        // Whole again, it is read to its end, and nothing counts twice.
        folder.write("data/a", &whole);
        assert_eq!(records(&folder), (LINES - before) as u64, "{name}");
        assert_eq!(stored(&folder), LINES as u64, "{name}");
        let ids = clickmill_tests::ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
        let ids: Vec<&str> = ids.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
        let wanted: Vec<&str> = lines.lines().map(|line| line.rsplit('"').nth(1).unwrap()).collect();
        assert_eq!(ids, wanted, "{name}");

        // Damage in the middle, which the decoder may see later than it begins.
        let mut damaged = whole.clone();
        damaged[cut..cut + 64].fill(0xa5);
        fs::remove_dir_all(folder.path().join("store")).unwrap();
        folder.write("data/a", &damaged);
        let error = run();
        let begin = format!("error: {} is ", path.display());
        assert!(
            error.starts_with(&begin) && error.ends_with("; the whole lines before that are counted\n"),
            "{error}"
        );
        let before = stored(&folder);
        assert!(before > LINES as u64 / 4, "{name}: {before} lines");
    }
}

#[test]
fn a_gzip_file_that_goes_on_with_something_else() {
    let folder = folder("trailing");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(EVENT.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    folder.write("data/a", [&whole[..], b"garbage"].concat());
    let message = format!(
        "error: {{folder}}/data/a goes on after its last gzip member, at byte {} of the file (byte {} decompressed), with what is \
         no member: cut that off, or mend it; the whole lines before that are counted",
        whole.len(),
        EVENT.len()
    );
    fails(&folder, &["run"], 1, &message);
    assert_eq!(stored(&folder), 1);
    folder.write("data/a", &whole);
    assert_eq!((records(&folder), stored(&folder)), (0, 1));
}

#[test]
fn files_before_and_after_a_damaged_one_are_not_lost() {
    let folder = folder("between");
    folder.write("data/1", EVENT);
    folder.write("data/2", b"\x1f\x8b\x08 this is no gzip");
    folder.write("data/3", EVENT);
    let output = folder.run(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("data/2 is "));
    assert_eq!(stored(&folder), 1);
    folder.write("data/2", EVENT);
    assert_eq!((records(&folder), stored(&folder)), (2, 3));
}

/// Compiled plugins that cannot be kept cost time, and one line that says where and what of it.
#[test]
fn a_cache_folder_that_cannot_be_made() {
    let folder = folder("cache");
    folder.write("data/a", EVENT);
    let cache = folder.path().join("clickmill.toml");
    let output = folder.command(&["run"]).env("XDG_CACHE_HOME", &cache).output().unwrap();
    assert!(output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    let said = format!(
        "WARN compiled plugins cannot be kept in {}/clickmill: Not a directory (os error 20); each start compiles them \
         again, which takes seconds\n",
        cache.display()
    );
    assert!(error.ends_with(&said) && error.lines().count() == 1, "{error}");
    assert_eq!(stored(&folder), 1);
}
