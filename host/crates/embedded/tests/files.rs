//! Files as a source: what is a record, what a position is, and what happens to files meanwhile.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_columns::hash64;
use clickmill_embedded::{FileReader, FileSource, ResumeAt};
use clickmill_settings::{Files, PartitionBy};
use clickmill_tasks::{
    batch::{RawBatch, fingerprint},
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_executor::block_on;
use proptest::prelude::*;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A record as it was read, with the position after it.
#[derive(Clone, Debug)]
struct Record {
    payload: Vec<u8>,
    too_large: Option<u64>,
    source: String,
    after: Position,
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    fn source(&self, paths: &[&str], follow: bool) -> FileSource {
        FileSource::new(&self.settings(paths, follow), []).unwrap()
    }

    fn settings(&self, paths: &[&str], follow: bool) -> Files {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Files { base: self.0.path().to_owned(), paths, partition_by: PartitionBy::Log, follow }
    }
}

const ALL: PartitionId = PartitionId { partition: 0, log: 0 };

fn records(batch: &RawBatch, position: &mut Position) -> Vec<Record> {
    if let Some(log) = &batch.log {
        position.log_content = Some(log.clone());
    }
    let mut large = batch.too_large.iter();
    let mut next = large.next();
    let mut all = Vec::new();
    for (row, payload) in batch.payloads.iter().enumerate() {
        assert_eq!(batch.offsets[row], position.next);
        position.next += 1;
        position.last = Some((batch.offsets[row], fingerprint(payload)));
        position.mark = batch.marks[row];
        let too_large = next.filter(|(of, _)| *of as usize == row).map(|(_, length)| *length);
        if too_large.is_some() {
            next = large.next();
        }
        let payload = payload.strip_suffix(b"\n").unwrap_or(payload).to_vec();
        all.push(Record { payload, too_large, source: batch.source.to_string(), after: position.clone() });
    }
    assert_eq!(batch.next, position.next);
    assert!(batch.offsets.len() <= 4096);
    all
}

/// Everything up to the end or the trouble.
fn drain(reader: &mut FileReader, position: &mut Position) -> (Vec<Record>, Option<Trouble>) {
    let mut all = Vec::new();
    loop {
        match block_on(reader.next(Duration::from_secs(10))) {
            Ok(Fetched::Batch(batch)) => all.extend(records(&batch, position)),
            Ok(Fetched::End) => return (all, None),
            Ok(Fetched::Nothing) => panic!("nothing came for ten seconds"),
            Err(trouble) => return (all, Some(trouble)),
        }
    }
}

fn read_from(source: &FileSource, position: &Position) -> (Vec<Record>, Option<Trouble>) {
    let mut position = position.clone();
    match block_on(source.open(ALL, &position)) {
        Ok(mut reader) => drain(&mut reader, &mut position),
        Err(trouble) => (Vec::new(), Some(trouble)),
    }
}

fn read_all(source: &FileSource) -> Vec<Record> {
    let (records, trouble) = read_from(source, &Position::default());
    assert_eq!(trouble, None);
    records
}

fn payloads(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.payload).into_owned()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

/// Reads what comes until it is as much as expected; then nothing more may come for a while.
fn follow(reader: &mut FileReader, position: &mut Position, expected: usize) -> Vec<Record> {
    let begun = Instant::now();
    let mut all = Vec::new();
    while all.len() < expected {
        match block_on(reader.next(Duration::from_millis(100))).unwrap() {
            Fetched::Batch(batch) => all.extend(records(&batch, position)),
            Fetched::Nothing => {
                assert!(begun.elapsed() < Duration::from_secs(20), "only {:?} came", payloads(&all))
            }
            Fetched::End => panic!("files that are followed do not end"),
        }
    }
    if let Fetched::Batch(batch) = block_on(reader.next(Duration::from_millis(700))).unwrap() {
        panic!("more came: {:?}", payloads(&records(&batch, position)));
    }
    all
}

#[test]
fn what_a_line_is() {
    let folder = Folder::new();
    folder.write("a", b"{1}\n\n  \t\r\n\0\0{2}\r\n\xef\xbb\xbf \n\0\xef\xbb\xbf{3}\n\0\0\0\nx\n\0");
    folder.write("b", b"\0\0{4} \0");
    let records = read_all(&folder.source(&["*"], false));
    assert_eq!(payloads(&records), ["{1}", "{2}\r", "\u{feff}{3}", "x", "{4} \0"]);
    assert_eq!(records[4].source, folder.path("b").to_str().unwrap());
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    let folder = Folder::new();
    folder.write("1.txt", &[gzip(b"a\nb"), gzip(b"c\n"), vec![0; 100]].concat());
    folder.write("2.gz", &[zstd(b"d\n"), zstd(b"e\nf\n")].concat());
    folder.write("3.zst", b"g\n");
    folder.write("4", b"");
    folder.write("5", &gzip(b""));
    let records = read_all(&folder.source(&["*"], false));
    assert_eq!(payloads(&records), ["a", "bc", "d", "e", "f", "g"]);
}

#[test]
fn long_lines_are_kept_up_to_the_limit() {
    let folder = Folder::new();
    let line = |length: usize| vec![b'x'; length];
    let lines = [
        [line(MIB), b"\n".to_vec()].concat(),
        [line(MIB + 1), b"\n".to_vec()].concat(),
        [line(MIB), b"\r\n".to_vec()].concat(),
        [line(MIB + 1), b"\r\n".to_vec()].concat(),
        [vec![0; 3 * MIB], line(MIB - 1), b"\n".to_vec()].concat(),
        [vec![b' '; 5 * MIB], b"\n".to_vec()].concat(),
        [line(5 * MIB), b"\r\n".to_vec()].concat(),
        b"short\n".to_vec(),
        line(2 * MIB),
    ];
    for (name, bytes) in [("plain", lines.concat()), ("gz", gzip(&lines.concat()))] {
        folder.write(name, &bytes);
        let source = folder.source(&[name], false);
        let records = read_all(&source);
        let lengths: Vec<_> = records.iter().map(|record| (record.payload.len(), record.too_large)).collect();
        let over = |length: usize| (MIB, Some(length as u64));
        let expected = [
            (MIB, None),
            over(MIB + 1),
            (MIB + 1, None),
            over(MIB + 1),
            (MIB - 1, None),
            over(5 * MIB),
            (5, None),
            over(2 * MIB),
        ];
        assert_eq!(lengths, expected);
        for cut in 0..records.len() {
            let (rest, trouble) = read_from(&source, &records[cut].after);
            assert_eq!((rest.len(), trouble), (records.len() - cut - 1, None), "{name} after record {cut}");
        }
    }
}

#[test]
fn a_line_of_a_hundred_megabytes_takes_little_memory() {
    let folder = Folder::new();
    let mut file = File::create(folder.path("a")).unwrap();
    for _ in 0..100 {
        file.write_all(&vec![b'x'; 1_000_000]).unwrap();
    }
    file.write_all(b"\n{}\n").unwrap();
    let records = read_all(&folder.source(&["a"], false));
    assert_eq!(records[0].too_large, Some(100_000_000));
    assert_eq!(records[1].payload, b"{}");
    let peak = fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak < 400_000, "{peak} kB");
}

#[test]
fn a_damaged_file_counts_up_to_the_damage() {
    let lines: Vec<u8> = (0..20_000).flat_map(|n| format!("{{\"n\":{n}}}\n").into_bytes()).collect();
    for (name, whole) in [("gzip", gzip(&lines)), ("zstd", zstd(&lines))] {
        let folder = Folder::new();
        folder.write("a", &whole[..whole.len() - 9]);
        let source = folder.source(&["*"], false);
        let (records, trouble) = read_from(&source, &Position::default());
        let Some(Trouble::Final(text)) = trouble else { panic!("{name}: {trouble:?}") };
        assert!(text.contains(folder.path("a").to_str().unwrap()) && text.contains("cut off"), "{text}");
        for (n, record) in records.iter().enumerate() {
            assert_eq!(record.payload, format!("{{\"n\":{n}}}").into_bytes());
        }
        assert!(name == "zstd" || records.len() > 10_000, "{name} {}", records.len());
        if let Some(last) = records.last() {
            let (again, trouble) = read_from(&source, &last.after);
            assert!(again.is_empty() && matches!(trouble, Some(Trouble::Final(_))), "{name} {trouble:?}");
            // What came too short and was made whole goes on where it was.
            folder.write("a", &whole);
            let (rest, trouble) = read_from(&source, &last.after);
            assert_eq!((records.len() + rest.len(), trouble), (20_000, None));
        }
    }
}

#[test]
fn what_follows_the_last_member_is_told_with_its_place() {
    let member = gzip(b"1\n");
    for (behind, at) in [(&b"garbage"[..], 0), (b"garbage, and some more of it", 0), (b"\0\0\x1fx", 2)] {
        let folder = Folder::new();
        folder.write("b", &[&member, behind].concat());
        let (records, trouble) = read_from(&folder.source(&["b"], false), &Position::default());
        assert_eq!(payloads(&records), ["1"]);
        let expected = format!(
            "{} goes on after its last gzip member, at byte {} of the file (byte 2 decompressed), with what is no member: cut \
             that off, or mend it; the whole lines before that are counted",
            folder.path("b").display(),
            member.len() + at
        );
        assert_eq!(trouble, Some(Trouble::Final(expected)));
    }
    // A member that has only begun is cut off, and zeros are padding.
    let folder = Folder::new();
    folder.write("b", &[&member[..], &member[..1]].concat());
    let (_, trouble) = read_from(&folder.source(&["b"], false), &Position::default());
    assert!(matches!(&trouble, Some(Trouble::Final(text)) if text.contains("is cut off")), "{trouble:?}");
    folder.write("b", &[&member[..], &[0; 100_000], &member].concat());
    assert_eq!(payloads(&read_all(&folder.source(&["b"], false))), ["1", "1"]);
}

#[test]
fn each_path_must_match_something_where_all_files_are_there() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("in")).unwrap();
    fs::create_dir_all(folder.path("empty")).unwrap();
    folder.write("in/a", b"1\n");
    for paths in [&["empty/*", "in/*"][..], &["in/a", "empty"], &["in/*", "in/b*"]] {
        let (_, trouble) = read_from(&folder.source(paths, false), &Position::default());
        let wrong = if paths[0].starts_with("empty") { paths[0] } else { paths[1] };
        let expected = format!("no file matches {}", folder.path(wrong).display());
        assert_eq!(trouble, Some(Trouble::Final(expected)));
    }
    let (_, trouble) = read_from(&folder.source(&["empty", "in/a", "x*"], false), &Position::default());
    let (empty, x) = (folder.path("empty"), folder.path("x*"));
    let expected = format!("no file matches {}, nor {}", empty.display(), x.display());
    assert_eq!(trouble, Some(Trouble::Final(expected)));
    // What matches a file that another path has named matches it all the same.
    assert_eq!(payloads(&read_all(&folder.source(&["in/a", "in/*", "in"], false))), ["1"]);
    // Followed, it may come later.
    let source = folder.source(&["empty/*", "in/*"], true);
    let mut position = Position::default();
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["1"]);
    folder.write("empty/b", b"2\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["2"]);
}

#[test]
fn what_is_no_file_is_an_error_that_names_it() {
    let folder = Folder::new();
    for paths in [&["missing"][..], &["*.jsonl"], &["a/*/b"]] {
        let (_, trouble) = read_from(&folder.source(paths, false), &Position::default());
        let Some(Trouble::Final(text)) = trouble else { panic!("{trouble:?}") };
        assert!(text.contains(folder.path(paths[0]).to_str().unwrap()), "{text}");
    }
    folder.write("a.jsonl", b"1\n");
    let source = folder.source(&["a.jsonl"], false);
    let after = read_all(&source)[0].after.clone();
    fs::remove_file(folder.path("a.jsonl")).unwrap();
    fs::create_dir(folder.path("a.jsonl")).unwrap();
    folder.write("a.jsonl/b", b"2\n");
    let (records, trouble) = read_from(&source, &after);
    assert!(records.is_empty());
    assert!(matches!(&trouble, Some(Trouble::Final(text)) if text.contains("is a directory")), "{trouble:?}");
}

#[test]
fn a_folder_is_its_files() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("d/deeper")).unwrap();
    folder.write("d/b", b"2\n");
    folder.write("d/a", b"1\n");
    folder.write("d/.hidden", b"3\n");
    folder.write("d/deeper/c", b"4\n");
    assert_eq!(payloads(&read_all(&folder.source(&["d"], false))), ["1", "2"]);
    assert_eq!(payloads(&read_all(&folder.source(&["d/b", "./d/a"], false))), ["1", "2"]);
    // One that a pattern matches, too; a store is no input.
    let everything = ["1", "2", "4"];
    assert_eq!(payloads(&read_all(&folder.source(&["d/b", "d/*", "./d/a"], false))), everything);
    assert_eq!(payloads(&read_all(&folder.source(&["d/d*"], false))), ["4"]);
    fs::create_dir(folder.path("d/store")).unwrap();
    folder.write("d/store/store.sqlite", b"5\n");
    assert_eq!(payloads(&read_all(&folder.source(&["d/*"], false))), everything);
    // Two stars are no more than one.
    assert_eq!(payloads(&read_all(&folder.source(&["**/a"], false))), ["1"]);
}

#[test]
fn a_second_run_reads_what_is_new() {
    let folder = Folder::new();
    folder.write("b", b"1\n2\n");
    folder.write("c", b"3\n4");
    let source = folder.source(&["*"], false);
    let first = read_all(&source);
    assert_eq!(payloads(&first), ["1", "2", "3", "4"]);
    folder.append("c", b"\n5\n");
    folder.append("b", b"6\n");
    folder.write("a", b"7\n");
    folder.write("d", &gzip(b"8\n"));
    let (second, trouble) = read_from(&source, &first[3].after);
    assert_eq!(trouble, None);
    assert_eq!(payloads(&second), ["5", "7", "6", "8"]);
    let (third, trouble) = read_from(&source, &second[3].after);
    assert_eq!((third.len(), trouble), (0, None));
    // From within the second run, too.
    for (cut, record) in second.iter().enumerate() {
        let (rest, trouble) = read_from(&source, &record.after);
        assert_eq!((payloads(&rest), trouble), (payloads(&second[cut + 1..]), None));
    }
}

#[test]
fn a_file_that_changed_under_its_position_is_an_error() {
    let folder = Folder::new();
    folder.write("a", b"{1}\n{2}\n{3}\n");
    let source = folder.source(&["a"], false);
    let after = read_all(&source)[1].after.clone();
    for (bytes, word) in
        [(&b"{1}\n{9}\n{3}\n"[..], "has changed before byte 8"), (b"{1}\n", "has only 4 bytes")]
    {
        folder.write("a", bytes);
        let (records, trouble) = read_from(&source, &after);
        let Some(Trouble::Final(text)) = trouble else { panic!("{trouble:?}") };
        assert!(records.is_empty() && text.contains(word) && text.contains("--resume-at earliest"), "{text}");
    }
    let earliest = source.resume(ALL, &after, ResumeAt::Earliest).unwrap();
    let (records, trouble) = read_from(&source, &earliest);
    assert_eq!((payloads(&records), trouble), (vec!["{1}".to_owned()], None));
    assert_eq!(records[0].after.next, 3);
    let latest = source.resume(ALL, &after, ResumeAt::Latest).unwrap();
    folder.append("a", b"{7}\n");
    let (records, trouble) = read_from(&source, &latest);
    assert_eq!((payloads(&records), trouble), (vec!["{7}".to_owned()], None));
}

#[test]
fn each_file_a_partition() {
    let folder = Folder::new();
    folder.write("b", b"1\n");
    folder.write("c", b"2\n");
    let settings = Files { partition_by: PartitionBy::File, ..folder.settings(&["*"], false) };
    let source = FileSource::new(&settings, []).unwrap();
    assert_eq!(source.partitions().unwrap(), [0, 1]);
    let partition = PartitionId { partition: 1, log: 0 };
    let mut position = Position::default();
    let mut reader = block_on(source.open(partition, &position)).unwrap();
    let (records, _) = drain(&mut reader, &mut position);
    assert_eq!(payloads(&records), ["2"]);
    folder.write("a", b"3\n");
    let source = FileSource::new(&settings, [(0, None), (1, position.log_content.as_deref())]).unwrap();
    assert_eq!(source.partitions().unwrap(), [0, 1, 2]);
    folder.append("c", b"4\n");
    let mut reader = block_on(source.open(partition, &position)).unwrap();
    assert_eq!(payloads(&drain(&mut reader, &mut position).0), ["4"]);
}

#[test]
fn followed_files_grow_and_new_ones_come() {
    let folder = Folder::new();
    folder.write("b", b"1\n2");
    let source = folder.source(&["*"], true);
    let mut position = Position::default();
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["1"]);
    folder.append("b", b"2\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["22"]);
    folder.write("a", b"3\n");
    folder.write("c", &gzip(b"4\n"));
    assert_eq!(payloads(&follow(&mut reader, &mut position, 2)), ["3", "4"]);
    folder.append("b", b"5\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["5"]);
    folder.append("c", &gzip(b"6\n"));
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["6"]);
    drop(reader);
    folder.append("a", b"7\n");
    folder.append("b", b"8\n");
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(payloads(&follow(&mut reader, &mut position, 2)), ["7", "8"]);
}

#[test]
fn followed_files_are_rotated() {
    for pattern in ["app.log", "app.log*"] {
        let folder = Folder::new();
        folder.write("app.log", b"1\n2\n");
        let source = folder.source(&[pattern], true);
        let mut position = Position::default();
        let mut reader = block_on(source.open(ALL, &position)).unwrap();
        assert_eq!(payloads(&follow(&mut reader, &mut position, 2)), ["1", "2"]);
        folder.append("app.log", b"3\n4");
        fs::rename(folder.path("app.log"), folder.path("app.log.1")).unwrap();
        folder.write("app.log", b"5\n");
        let mut seen = payloads(&follow(&mut reader, &mut position, 3));
        seen.sort();
        assert_eq!(seen, ["3", "4", "5"], "{pattern}");
        // Rotated while nobody looks, with something in it that was not read.
        drop(reader);
        folder.append("app.log", b"6\n");
        fs::rename(folder.path("app.log.1"), folder.path("app.log.2")).unwrap();
        fs::rename(folder.path("app.log"), folder.path("app.log.1")).unwrap();
        folder.write("app.log", b"7\n");
        let mut reader = block_on(source.open(ALL, &position)).unwrap();
        let mut seen = payloads(&follow(&mut reader, &mut position, 2));
        seen.sort();
        assert_eq!(seen, ["6", "7"], "{pattern}");
    }
}

#[test]
fn followed_files_are_truncated() {
    let folder = Folder::new();
    folder.write("a", b"1\n2\n3\n");
    let source = folder.source(&["a"], true);
    let mut position = Position::default();
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(follow(&mut reader, &mut position, 3).len(), 3);
    folder.write("a", b"4\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["4"]);
    drop(reader);
    folder.write("a", b"");
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(follow(&mut reader, &mut position, 0).len(), 0);
    folder.append("a", b"5\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["5"]);
}

/// `end` and `size` of a compressed file are of different bytes: a short one is larger on the disk than what is in it.
#[test]
fn short_compressed_files_are_rotated() {
    let folder = Folder::new();
    folder.write("a.1.gz", &gzip(b"1\n"));
    let source = folder.source(&["a.*", "z"], true);
    let mut position = Position::default();
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["1"]);
    fs::rename(folder.path("a.1.gz"), folder.path("a.2.gz")).unwrap();
    folder.write("z", b"2\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["2"]);
    folder.append("z", b"3\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["3"]);
    fs::rename(folder.path("a.2.gz"), folder.path("elsewhere")).unwrap();
    folder.append("z", b"4\n");
    assert_eq!(payloads(&follow(&mut reader, &mut position, 1)), ["4"]);
    assert_eq!(end(&source, Instant::now()), 4);
}

#[test]
fn a_file_that_ends_too_early_has_no_end_yet() {
    let folder = Folder::new();
    let whole = gzip(b"1\n2\n");
    folder.write("a", b"0\n");
    folder.write("b.gz", &whole[..whole.len() - 5]);
    folder.write("c.gz", &whole[..12]);
    let source = folder.source(&["*"], true);
    assert_eq!(source.ends().unwrap(), None);
    let mut position = Position::default();
    let mut reader = block_on(source.open(ALL, &position)).unwrap();
    // What is whole is given, and there was time for many looks.
    assert_eq!(payloads(&follow(&mut reader, &mut position, 3)), ["0", "1", "2"]);
    assert_eq!(source.ends().unwrap(), None);
    folder.write("b.gz", &whole);
    fs::remove_file(folder.path("c.gz")).unwrap();
    assert_eq!(end(&source, Instant::now()), 3);
}

/// Where the only partition ends, by a look that began after this.
fn end(source: &FileSource, after: Instant) -> i64 {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        match source.ends().unwrap().as_deref() {
            Some(&[end]) if end.at > after => return end.next,
            ends => assert!(Instant::now() < patience, "{ends:?}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn waiting_ends_in_time() {
    let folder = Folder::new();
    folder.write("a", b"");
    let mut reader = block_on(folder.source(&["a"], true).open(ALL, &Position::default())).unwrap();
    for wait in [0, 20, 300] {
        let begun = Instant::now();
        let fetched = block_on(reader.next(Duration::from_millis(wait))).unwrap();
        assert!(matches!(fetched, Fetched::Nothing));
        assert!(begun.elapsed() >= Duration::from_millis(wait));
        assert!(begun.elapsed() < Duration::from_millis(wait + 500), "{:?}", begun.elapsed());
    }
}

fn file_content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "[a-z{}]{1,20}".prop_map(String::into_bytes),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\0\0".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        8 => Just(b"\n".to_vec()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn compressed(way: u8, content: &[u8], cut: usize) -> Vec<u8> {
    let (head, tail) = content.split_at(cut.min(content.len()));
    match way {
        0 => content.to_vec(),
        1 => [gzip(head), gzip(tail)].concat(),
        _ => [zstd(head), zstd(tail)].concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the files, however they are compressed, and wherever the reading was cut: what comes after is the rest.
    #[test]
    fn a_position_goes_on_where_it_was(
        files in prop::collection::vec((file_content(), 0u8..3, 0usize..200), 1..5),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let folder = Folder::new();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for (number, (content, way, cut)) in files.iter().enumerate() {
            folder.write(&number.to_string(), &compressed(*way, content, *cut));
            for line in content.split(|byte| *byte == b'\n') {
                let nuls = line.iter().take_while(|byte| **byte == 0).count();
                let rest = line[nuls..].strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line[nuls..]);
                if !rest.iter().all(|byte| b" \t\r".contains(byte)) {
                    expected.push(line[nuls..].to_vec());
                }
            }
        }
        let source = folder.source(&["*"], false);
        let all = read_all(&source);
        prop_assert_eq!(all.iter().map(|record| record.payload.clone()).collect::<Vec<_>>(), expected);
        for pick in picks {
            if all.is_empty() {
                break;
            }
            let cut = pick.index(all.len());
            let (rest, trouble) = read_from(&source, &all[cut].after);
            prop_assert_eq!(trouble, None);
            prop_assert_eq!(payloads(&rest), payloads(&all[cut + 1..]));
            prop_assert_eq!(rest.last().map(|record| record.after.next), all[cut + 1..].last().map(|record| record.after.next));
        }
    }
}

#[test]
fn batches_hold_many_short_lines() {
    let folder = Folder::new();
    let lines: Vec<u8> = (0..50_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    folder.write("a", &lines);
    let records = read_all(&folder.source(&["a"], false));
    assert_eq!(records.len(), 50_000);
    assert!(records.iter().enumerate().all(|(n, record)| record.payload == n.to_string().as_bytes()));
    assert_eq!(fingerprint(b"x\n"), hash64(b"x"));
    let _: Arc<Path> = folder.path("a").into();
}

#[test]
fn what_is_left_is_counted_in_bytes_on_the_disk() {
    let folder = Folder::new();
    // Ten batches, of which few are read ahead.
    let lines: String = (0..40_960).map(|number| format!("{number:099}\n")).collect();
    let compressed = gzip(lines.as_bytes());
    folder.write("a", lines.as_bytes());
    folder.write("b", &compressed);
    for follow in [false, true] {
        let source = folder.source(&["*"], follow);
        assert_eq!(source.left(), None);
        let mut position = Position::default();
        let mut reader = block_on(source.open(ALL, &position)).unwrap();
        let Fetched::Batch(first) = block_on(reader.next(Duration::from_secs(10))).unwrap() else {
            panic!("nothing came for ten seconds");
        };
        records(&first, &mut position);
        let (left, all) = (source.left().unwrap() as usize, lines.len() + compressed.len());
        assert!(compressed.len() < left && left < all, "{left} of {all}");
        if !follow {
            let (rest, trouble) = drain(&mut reader, &mut position);
            assert_eq!((rest.len(), trouble), (2 * 40_960 - first.marks.len(), None));
            assert_eq!(source.left(), Some(0));
        }
    }
}
