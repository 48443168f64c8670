//! The reasons of dead letters, in a mix and alone, and lines beyond all measure.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    process::{Child, Stdio},
    time::Duration,
};

use clickmill_tests::{Folder, Random, documents, ndjson, summary};

use crate::{EVENT, SETTINGS, folder};

/// A line for each reason that files can have.
fn bad() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("too-large", vec![b'x'; (1 << 20) + 1]),
        ("invalid-utf8", b"{\"user_id\":\"\xff\"}".to_vec()),
        ("invalid-json", b"{\"user_id\":".to_vec()),
        ("not-an-object", b"[{}]".to_vec()),
        ("missing-field", b"{\"user_id\":\"u\",\"timestamp\":1772359200000}".to_vec()),
        (
            "invalid-field",
            b"{\"user_id\":[],\"timestamp\":1772359200000,\"url\":\"https://example.com/\"}".to_vec(),
        ),
        (
            "invalid-timestamp",
            b"{\"user_id\":\"u\",\"timestamp\":\"x\",\"url\":\"https://example.com/\"}".to_vec(),
        ),
        ("invalid-url", b"{\"user_id\":\"u\",\"timestamp\":1772359200000,\"url\":\"x\"}".to_vec()),
    ]
}

#[test]
fn every_reason_in_a_mix_and_alone() {
    for share in [0, 30, 100] {
        let folder = folder("mix");
        let (bad, mut random) = (bad(), Random(share + 1));
        let (mut file, mut reasons, mut good) = (Vec::new(), BTreeMap::<&str, u64>::new(), 0u64);
        for _ in 0..400 {
            if random.below(100) < share {
                let (reason, line) = &bad[random.below(bad.len() as u64) as usize];
                *reasons.entry(reason).or_default() += 1;
                file.extend_from_slice(line);
                file.push(b'\n');
            } else {
                good += 1;
                file.extend_from_slice(EVENT.as_bytes());
            }
        }
        folder.write("data/a", file);
        let last = summary(&folder.ok(&["run", "--summary", "json"]));
        assert_eq!((&last["records"], &last["events"]), (&400.into(), &good.into()));
        assert_eq!(last["total"]["dead_letters_by_reason"], serde_json::to_value(&reasons).unwrap());
        if share > 0 {
            assert_eq!(reasons.len(), bad.len());
        }
        let counted = ndjson(&folder.ok(&["dead-letters", "--count", "--format", "ndjson"]));
        let counted: BTreeMap<&str, u64> = counted
            .iter()
            .map(|row| (row["reason"].as_str().unwrap(), row["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(counted, reasons);
        let clicks =
            documents(&folder.ok(&["query", "--window", "1d", "--format", "ndjson", "--limit", "0"]));
        assert_eq!(clicks.values().map(|document| document.clicks as u64).sum::<u64>(), good);
        let printed = folder.ok(&["run"]);
        assert!(
            printed
                .contains(&format!("400 records = {good} events + {} dead letters + 0 skipped", 400 - good))
        );
    }
}

/// The end of a line is no part of its record: no place lies behind it, and what is said is what a message of Kafka is told.
#[test]
fn records_that_end_too_early() {
    let folder = folder("early");
    folder.write("data/a", "{\n{\"a\":\"b\n[1\r\n{");
    folder.ok(&["run"]);
    let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson"]));
    let shown: Vec<_> = letters
        .iter()
        .map(|letter| {
            let number = |field: &str| letter[field].as_u64().unwrap();
            (number("length"), number("at"), letter["message"].as_str().unwrap())
        })
        .collect();
    let name = "no JSON: a name in quotes should stand at byte 1, not the end";
    let unclosed = "no JSON: the string that begins at byte 5 has no closing quote, in `a`";
    let list = "no JSON: `,` or `]` should stand at byte 2, not the end, in `[0]`";
    assert_eq!(shown, [(1, 1, name), (7, 5, unclosed), (3, 2, list), (1, 1, name)]);
}

/// Too late is a record where the settings give followed files a retention, and 100 events are before it.
#[test]
fn too_late_in_followed_files() {
    let folder = Folder::new("late");
    folder
        .write("clickmill.toml", format!("{}[state]\nretention = \"1h\"\n", SETTINGS.replace("data/*", "a")));
    let event =
        |time: i64| format!("{{\"user_id\":\"u\",\"timestamp\":{time},\"url\":\"https://example.com/\"}}\n");
    let base = 1_772_359_200_000;
    let mut lines = event(base - 100_000_000);
    (0..99).for_each(|number| lines += &event(base + number));
    // The 100 greatest times end at the first event: what is an hour before that one is none.
    lines += &event(base - 100_000_000 - 3_600_000);
    lines += &event(base - 100_000_000 - 3_600_001);
    lines += &event(base + 99);
    // The greatest hundred begin at `base` now.
    lines += &event(base - 3_600_000);
    lines += &event(base - 3_600_001);
    folder.write("a", &lines);
    let last = summary(&folder.ok(&["run", "--follow", "--until-idle", "500ms", "--summary", "json"]));
    let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson"]));
    let shown: Vec<_> = letters
        .iter()
        .map(|letter| (letter["offset"].as_i64().unwrap(), letter["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [(101, "too-late"), (104, "too-late")]);
    assert_eq!((&last["records"], &last["dead_letters"]), (&105.into(), &2.into()));
}

#[test]
fn lines_of_100_megabytes_in_bounded_memory() {
    const LONG: usize = 100_000_000;
    let small = folder("small");
    small.write("data/a", EVENT.repeat(3));
    let usual = peak(&small);

    let folder = folder("long");
    let mut file = BufWriter::new(File::create(folder.path().join("data/a")).unwrap());
    let block = [b'x'; 1 << 16];
    let fill = |file: &mut BufWriter<File>, mut left: usize| {
        while left > 0 {
            let some = left.min(block.len());
            file.write_all(&block[..some]).unwrap();
            left -= some;
        }
    };
    file.write_all(EVENT.as_bytes()).unwrap();
    fill(&mut file, LONG);
    file.write_all(format!("\n{EVENT}{}", EVENT.trim_end().replace('}', ",\"x\":\"")).as_bytes()).unwrap();
    fill(&mut file, LONG);
    file.write_all(format!("\"}}\n{EVENT}").as_bytes()).unwrap();
    drop(file);
    let used = peak(&folder);
    assert!(used < usual + (48 << 20), "{used} bytes of memory, {usual} without the long lines");
    let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson"]));
    let lengths: Vec<u64> = letters.iter().map(|letter| letter["length"].as_u64().unwrap()).collect();
    let begin = EVENT.trim_end().replace('}', ",\"x\":\"").len() as u64;
    assert_eq!(lengths, [LONG as u64, LONG as u64 + begin + 2]);
    assert!(letters.iter().all(|letter| letter["value"].as_str().unwrap().len() == 1 << 20));
    assert_eq!(crate::stored(&folder), 3);
}

/// Runs to the end; the most memory that was resident, in bytes.
fn peak(folder: &Folder) -> u64 {
    let mut host: Child = folder.command(&["run"]).stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", host.id());
    let mut most = 0;
    while host.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        most = most.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(host.wait().unwrap().success() && most > 0);
    most
}
