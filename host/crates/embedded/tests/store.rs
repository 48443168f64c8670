//! The embedded store and index: what a swap makes visible, what a crash leaves, and what readers see.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_columns::{Buffer, Column, Data, Family, Field, Kind, Validity, Values};
use clickmill_embedded::{EmbeddedIndex, EmbeddedStore, StoreReader};
use clickmill_tasks::{
    Fences,
    batch::{DeadLetter, DocumentBatch, EventBatch, StoredColumn},
    env::{ColdCell, Index, Indexed, Store, Trouble},
    name::{BlockKind, BlockName, PART, PartName, PartitionId, TaskId},
    read::{DocumentFilter, StoredDocument, StoredEvent, Value},
    row::{BlockRef, Head, PartitionRow, Position, Row},
};
use futures_executor::block_on;
use tempfile::TempDir;

const PARTITION: PartitionId = PartitionId { partition: 3, log: 0 };
const TASK: TaskId = TaskId::Partition(PARTITION);

fn field(name: &str, kind: Kind) -> Arc<Field> {
    Arc::new(Field {
        name: name.into(),
        kind,
        unit: String::new(),
        family: Family::ClickData,
        doc: String::new(),
    })
}

/// Events with these offsets, in one of each kind of column; every third row has nulls.
fn events(fence: u64, offsets: &[i64]) -> EventBatch {
    let rows = offsets.len();
    let valid = || Validity::from_fn(rows, |row| offsets[row] % 3 != 0);
    let text: Values = offsets
        .iter()
        .map(|offset| format!("id-{offset}"))
        .collect::<Vec<_>>()
        .iter()
        .map(String::as_bytes)
        .collect();
    let payloads: Values = offsets.iter().map(|_| &b"{\"country\":\"DE\"}"[..]).collect();
    let length = payloads.bytes().len() as u32;
    let buffer = Arc::new(Buffer::new(Arc::new(payloads), b"ZZ".to_vec()));
    let starts = (0..rows as u32).map(|row| if row % 2 == 0 { row * 16 + 12 } else { length }).collect();
    let distinct: Arc<Values> = Arc::new([&b"one"[..], b"two", b"three"].into_iter().collect());
    let codes = offsets.iter().map(|offset| (offset % 3) as u32).collect();
    let column = |name: &str, kind, data, valid| StoredColumn {
        field: field(name, kind),
        column: Column { data, valid },
    };
    let columns = vec![
        column(
            "timestamp",
            Kind::Instant,
            Data::Integers(offsets.iter().map(|o| 1_772_359_200_000 + o).collect()),
            Validity::all(),
        ),
        column("event_id", Kind::Text, Data::Text(text), valid()),
        column(
            "country",
            Kind::Text,
            Data::Places { buffer, starts, lengths: vec![2; rows] },
            Validity::all(),
        ),
        column("kind", Kind::Text, Data::Coded { distinct, codes }, valid()),
        column("value", Kind::Real, Data::Reals(offsets.iter().map(|o| *o as f64 / 2.0).collect()), valid()),
        column("bot", Kind::Boolean, Data::Booleans(offsets.iter().map(|o| o % 2 == 0).collect()), valid()),
        column(
            "count",
            Kind::Unsigned,
            Data::Unsigned(offsets.iter().map(|o| u64::MAX - *o as u64).collect()),
            valid(),
        ),
    ];
    EventBatch {
        partition: PARTITION,
        fence,
        offsets: offsets.to_vec(),
        rows: (0..rows as u32).collect(),
        columns,
    }
}

fn expected(offset: i64, row: usize) -> Vec<Option<String>> {
    let there = offset % 3 != 0;
    let only = |text: String| there.then_some(text);
    vec![
        Some(clickmill_columns::format_instant(1_772_359_200_000 + offset, true)),
        only(format!("id-{offset}")),
        Some(if row.is_multiple_of(2) { "DE" } else { "ZZ" }.to_owned()),
        only(["one", "two", "three"][(offset % 3) as usize].to_owned()),
        only((offset as f64 / 2.0).to_string()),
        only((offset % 2 == 0).to_string()),
        only((u64::MAX - offset as u64).to_string()),
    ]
}

fn letter(fence: u64, offset: i64) -> DeadLetter {
    DeadLetter {
        partition: PARTITION,
        fence,
        offset,
        source: "a file".into(),
        time: None,
        reason: "invalid-json".into(),
        message: "it ends too early".into(),
        at: Some(7),
        plugin: "json".into(),
        digest: "d".into(),
        length: 9,
        value: vec![0xff, 0],
    }
}

/// A row of the partition, as of a commit that ends before `next`.
fn row(fence: u64, commit: u64, next: i64, fences: &[(u64, i64)]) -> Vec<u8> {
    let head = Head { fence, commit, ..Head::default() };
    let position = Position { next, ..Position::default() };
    PartitionRow { head, position, fences: fences.to_vec(), ..PartitionRow::default() }.encode()
}

fn swap(store: &EmbeddedStore, old: Option<&[u8]>, new: &[u8]) -> bool {
    block_on(store.swap_row(TASK, old, new)).unwrap()
}

fn put(store: &EmbeddedStore, batch: EventBatch) {
    block_on(store.put_events(Arc::new(batch))).unwrap();
}

fn put_letters(store: &EmbeddedStore, letters: Vec<DeadLetter>) {
    block_on(store.put_dead_letters(letters.into())).unwrap();
}

fn stored(path: &Path) -> Vec<StoredEvent> {
    let mut all = Vec::new();
    let each = |event| {
        all.push(event);
        ControlFlow::Continue(())
    };
    StoreReader::open(path).unwrap().events(each).unwrap();
    all
}

fn offsets(path: &Path) -> Vec<i64> {
    stored(path).iter().map(|event| event.offset).collect()
}

fn dead(path: &Path) -> Vec<DeadLetter> {
    let mut all = Vec::new();
    let each = |letter| {
        all.push(letter);
        ControlFlow::Continue(())
    };
    StoreReader::open(path).unwrap().dead_letters(each).unwrap();
    all
}

fn parquet_files(path: &Path) -> usize {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).count()
}

/// Rows of the files of events that the store lists, which others read too.
fn rows_in_files(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path.join("store.sqlite")).unwrap();
    connection.query_row("select coalesce(sum(rows), 0) from event_files", [], |row| row.get(0)).unwrap()
}

/// Texts that hardly shrink when they are compressed.
fn noise(texts: i64, length: usize) -> Vec<Vec<u8>> {
    let mut state = 1u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'!' + (state >> 32) as u8 % 90
    };
    (0..texts).map(|_| (0..length).map(|_| draw()).collect()).collect()
}

/// Listed files of events that have so many rows.
fn files_with(path: &Path, rows: i64) -> i64 {
    let connection = rusqlite::Connection::open(path.join("store.sqlite")).unwrap();
    connection.query_row("select count(*) from event_files where rows = ?", [rows], |row| row.get(0)).unwrap()
}

fn part(fence: u64, number: u32) -> PartName {
    PartName { block: BlockName { task: TASK, fence, commit: 1, kind: BlockKind::Delta, number }, part: 0 }
}

#[test]
fn events_come_back_as_they_were() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let first: Vec<i64> = (0..3_000).collect();
    let second: Vec<i64> = (3_000..20_000).step_by(2).collect();
    put(&store, events(1, &first));
    put(&store, events(1, &second));
    let new = row(1, 1, 20_000, &[(1, 0)]);
    assert!(swap(&store, None, &new));
    let all = stored(folder.path());
    assert_eq!(all.len(), first.len() + second.len());
    for (place, (event, offset)) in all.iter().zip(first.iter().chain(&second)).enumerate() {
        let row = if place < first.len() { place } else { place - first.len() };
        let cells: Vec<Option<String>> = event.cells.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!((event.partition, event.offset, cells), (PARTITION, *offset, expected(*offset, row)));
    }
    assert_eq!(store.written().event_rows, all.len() as u64);
}

#[test]
fn only_chosen_rows_are_stored() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let mut batch = events(1, &[0, 1, 2, 3, 4, 5]);
    (batch.rows, batch.offsets) = (vec![1, 4, 5], vec![1, 4, 5]);
    put(&store, batch);
    assert!(swap(&store, None, &row(1, 1, 6, &[(1, 0)])));
    let cells: Vec<Vec<Option<String>>> = stored(folder.path())
        .iter()
        .map(|event| event.cells.iter().map(|cell| cell.1.clone()).collect())
        .collect();
    assert_eq!(cells, [expected(1, 1), expected(4, 4), expected(5, 5)]);
}

#[test]
fn what_no_swap_took_along_was_never_there() {
    let folder = TempDir::new().unwrap();
    let first = row(1, 1, 2, &[(1, 0)]);
    {
        let store = EmbeddedStore::open(folder.path()).unwrap();
        put(&store, events(1, &[0, 1]));
        put_letters(&store, vec![letter(1, 1)]);
        block_on(store.put_part(part(1, 0), vec![1, 2, 3].into())).unwrap();
        assert!(swap(&store, None, &first));
        put(&store, events(1, &[2, 3]));
        put_letters(&store, vec![letter(1, 4)]);
        block_on(store.put_part(part(1, 1), vec![4].into())).unwrap();
        block_on(store.delete_parts(&[part(1, 0)])).unwrap();
        assert_eq!(block_on(store.list_parts(TASK)).unwrap(), [part(1, 1)]);
        assert_eq!(block_on(store.get_part(part(1, 1))).unwrap().as_deref(), Some(&[4][..]));
    }
    fs::write(folder.path().join("events/00003-0-1-2-9.parquet"), b"half a file").unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert_eq!(block_on(store.read_row(TASK)).unwrap(), Some(first.clone()));
    assert_eq!(block_on(store.tasks()).unwrap(), [TASK]);
    assert_eq!(block_on(store.list_parts(TASK)).unwrap(), [part(1, 0)]);
    assert_eq!(block_on(store.get_part(part(1, 0))).unwrap().as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!(offsets(folder.path()), [0]);
    assert_eq!(dead(folder.path()), [letter(1, 1)]);
    assert_eq!(parquet_files(&folder.path().join("events")), 1);
    // A swap that does not find what it expects changes nothing.
    put(&store, events(2, &[2]));
    assert!(!swap(&store, Some(b"else"), &row(2, 2, 3, &[(1, 0), (2, 2)])));
    assert!(!swap(&store, None, &row(2, 2, 3, &[(1, 0), (2, 2)])));
    assert_eq!(offsets(folder.path()), [0]);
    // And what was put for it goes with the swap that does.
    assert!(swap(&store, Some(&first), &row(2, 2, 3, &[(1, 0), (2, 2)])));
    assert_eq!(offsets(folder.path()), [0, 2]);
}

#[test]
fn old_fences_are_read_from_their_block() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let content = Fences::encode(&[(1, 0), (2, 2)]);
    let name = BlockName { task: TASK, fence: 4, commit: 1, kind: BlockKind::Fences, number: 1 };
    let block = BlockRef { name, length: content.len() as u64, hash: clickmill_columns::hash64(&content) };
    let parts: Vec<PartName> = block.parts(PART).collect();
    block_on(store.put_part(parts[0], content.into())).unwrap();
    for fence in 1..5 {
        put(&store, events(fence, &[0, 1, 2, 3, 4, 5]));
        put_letters(&store, vec![letter(fence, 6)]);
        let head = Head { fence, commit: fence, ..Head::default() };
        let position = Position { next: 7, ..Position::default() };
        let (fences, older_fences) = (vec![(4, 4)], Some(block));
        let new = PartitionRow { head, position, fences, older_fences, ..PartitionRow::default() }.encode();
        let old = block_on(store.read_row(TASK)).unwrap();
        assert!(swap(&store, old.as_deref(), &new));
    }
    // Each offset once, under the fence of its own.
    assert_eq!(offsets(folder.path()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(dead(folder.path()), [letter(4, 6)]);
    assert_eq!(block_on(store.list_parts(TASK)).unwrap(), parts);
    block_on(store.delete_parts(&parts)).unwrap();
    let row = block_on(store.read_row(TASK)).unwrap().unwrap();
    assert!(swap(&store, Some(&row), &row));
    let gone = StoreReader::open(folder.path()).unwrap().dead_letters(|_| ControlFlow::Continue(()));
    assert!(matches!(gone, Err(Trouble::Final(text)) if text.contains("is missing")));
}

#[test]
fn what_a_lower_fence_left_is_never_listed() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let first = row(1, 1, 0, &[]);
    assert!(swap(&store, None, &first));
    put(&store, events(1, &[0, 1, 2]));
    put_letters(&store, vec![letter(1, 3)]);
    block_on(store.put_part(part(1, 0), vec![1].into())).unwrap();
    // It had a file ready when it lost.
    assert!(!swap(&store, Some(b"else"), &row(1, 2, 4, &[(1, 0)])));
    let second = row(2, 2, 0, &[(2, 0)]);
    assert!(swap(&store, Some(&first), &second));
    assert_eq!(parquet_files(&folder.path().join("events")), 0);
    assert!(block_on(store.list_parts(TASK)).unwrap().is_empty());
    put(&store, events(2, &[0, 2]));
    assert!(swap(&store, Some(&second), &row(2, 3, 4, &[(2, 0)])));
    assert_eq!(offsets(folder.path()), [0, 2]);
    assert!(dead(folder.path()).is_empty());
}

#[test]
fn a_file_holds_each_event_once_and_no_dead_letter() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    put(&store, events(1, &[0, 1, 2, 3]));
    put(&store, events(1, &[2, 3, 4, 5]));
    put_letters(&store, vec![letter(1, 3), letter(1, 5), letter(1, 9)]);
    let new = row(1, 1, 10, &[(1, 0)]);
    assert!(swap(&store, None, &new));
    assert_eq!(offsets(folder.path()), [0, 1, 2, 4]);
    assert_eq!(dead(folder.path()).iter().map(|letter| letter.offset).collect::<Vec<_>>(), [3, 5, 9]);
    // Also where the file was ready already.
    put(&store, events(1, &[10, 11]));
    assert!(!swap(&store, Some(b"else"), &row(1, 2, 12, &[(1, 0)])));
    put_letters(&store, vec![letter(1, 11)]);
    assert!(swap(&store, Some(&new), &row(1, 2, 12, &[(1, 0)])));
    assert_eq!(offsets(folder.path()), [0, 1, 2, 4, 10]);
}

#[test]
fn a_task_that_goes_back_leaves_nothing_in_files_that_is_not_committed() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    put(&store, events(1, &[0, 1, 2, 3, 4]));
    // Back to the last commit, and a commit that ends before what was put already.
    put(&store, events(1, &[0, 1]));
    let first = row(1, 1, 2, &[(1, 0)]);
    assert!(swap(&store, None, &first));
    assert_eq!(rows_in_files(folder.path()), 2);
    // This time some of it is no event.
    put(&store, events(1, &[3]));
    put_letters(&store, vec![letter(1, 2)]);
    let second = row(1, 2, 4, &[(1, 0)]);
    assert!(swap(&store, Some(&first), &second));
    assert_eq!(offsets(folder.path()), [0, 1, 3]);
    // What was put before going back is all that there is.
    put(&store, events(1, &[5]));
    store.settle(TASK);
    let third = row(1, 3, 5, &[(1, 0)]);
    assert!(swap(&store, Some(&second), &third));
    assert_eq!(rows_in_files(folder.path()), 3);
    put(&store, events(1, &[5]));
    assert!(swap(&store, Some(&third), &row(1, 4, 6, &[(1, 0)])));
    assert_eq!(offsets(folder.path()), [0, 1, 3, 5]);
    assert_eq!(rows_in_files(folder.path()), 4);
    assert_eq!(dead(folder.path()), [letter(1, 2)]);
}

#[test]
fn readers_see_what_is_true() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    put(&store, events(4, &[0, 1, 5, 6]));
    put_letters(&store, vec![letter(4, 2), letter(4, 7)]);
    // Fence 4 committed up to offset 3; fence 5 goes on from there, and is at 6.
    let new = row(4, 9, 6, &[(4, 0), (5, 3)]);
    assert!(swap(&store, None, &new));
    assert_eq!(offsets(folder.path()), [0, 1]);
    assert_eq!(dead(folder.path()), [letter(4, 2)]);
}

#[test]
fn a_store_belongs_to_one_host() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let Err(Trouble::Final(text)) = EmbeddedStore::open(folder.path()).map(drop) else {
        panic!("it was opened twice")
    };
    assert!(
        text.contains("in use by another clickmill (process ")
            && text.contains(folder.path().to_str().unwrap()),
        "{text}"
    );
    let index = EmbeddedIndex::new(&store).unwrap();
    drop(store);
    assert!(EmbeddedStore::open(folder.path()).is_err());
    drop(index);
    assert!(EmbeddedStore::open(folder.path()).is_ok());
}

/// A store that was dropped is closed when its threads have ended, and with them its lock.
fn wait_until_closed(path: &Path) {
    let lock = fs::File::open(path.join("lock")).unwrap();
    let begun = Instant::now();
    while lock.try_lock().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the store is still in use");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_newer_store_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(EmbeddedStore::open(folder.path()).unwrap());
    wait_until_closed(folder.path());
    let connection = rusqlite::Connection::open(folder.path().join("store.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    for result in [EmbeddedStore::open(folder.path()).map(drop), StoreReader::open(folder.path()).map(drop)] {
        let Err(Trouble::Final(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("newer version"), "{text}");
    }
    let nothing = TempDir::new().unwrap();
    let Err(Trouble::Final(text)) = StoreReader::open(nothing.path()).map(drop) else {
        panic!("a store was found in an empty folder")
    };
    assert!(text.contains("there is no store"), "{text}");
}

#[test]
fn cold_cells_come_back_and_the_newest_is_the_true_one() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let (task, other) = (TaskId::Shard(2), TaskId::Partition(PartitionId { partition: 2, log: 0 }));
    let cell = |name: &str, value: &str| ColdCell { name: name.into(), value: value.into() };
    let freeze =
        |task, commit, cells: Vec<ColdCell>| block_on(store.freeze(task, commit, cells.into())).unwrap();
    let names: Rc<[Vec<u8>]> = ["a", "c", "b"].map(|name| name.as_bytes().to_vec()).into();
    let thawed = |task| {
        let found = block_on(store.thaw(task, names.clone())).unwrap().into_iter();
        found.map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect::<Vec<_>>()
    };
    let pages = || {
        let (mut all, mut from) = (Vec::new(), Some(Vec::new()));
        while let Some(at) = from {
            let page = block_on(store.frozen(task, &at, 1)).unwrap();
            all.extend(page.cells);
            from = page.next;
        }
        all
    };
    let both = || [Some("seven".into()), None, Some("five".into())];
    freeze(task, 5, vec![cell("a", "five"), cell("b", "five")]);
    freeze(task, 7, vec![cell("a", "seven")]);
    freeze(task, 6, vec![cell("a", "six")]);
    freeze(other, 9, vec![cell("c", "nine")]);
    let all = [(7, cell("a", "seven")), (5, cell("b", "five"))];
    assert_eq!((thawed(task), pages()), (both().to_vec(), all.to_vec()));
    let row = clickmill_tasks::row::ShardRow::default();
    assert!(block_on(store.swap_row(task, None, &row.encode())).unwrap());
    assert_eq!((thawed(task), pages()), (both().to_vec(), all.to_vec()));
    // A late one of an owner that was fenced off, and one of a later commit.
    freeze(task, 6, vec![cell("a", "late")]);
    freeze(task, 8, vec![cell("b", "eight")]);
    assert_eq!(thawed(task), [Some("seven".into()), None, Some("eight".into())]);
    let next = clickmill_tasks::row::ShardRow { refused: 1, ..row.clone() };
    assert!(block_on(store.swap_row(task, Some(&row.encode()), &next.encode())).unwrap());
    assert_eq!(thawed(task), [Some("seven".into()), None, Some("eight".into())]);
    assert_eq!(pages(), [(7, cell("a", "seven")), (8, cell("b", "eight"))]);
    assert_eq!(thawed(other), [None, Some("nine".into()), None]);
}

#[test]
fn a_large_file_between_small_ones_that_are_merged_is_seen() {
    const LARGE: i64 = 40;
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let (mut old, mut next): (Option<Vec<u8>>, i64) = (None, 0);
    for commit in 0..80 {
        let rows = if commit == 40 { LARGE } else { 10 };
        let mut batch = events(1, &(next..next + rows).collect::<Vec<_>>());
        if rows == LARGE {
            batch.columns[1].column.data = Data::Text(noise(LARGE, 100_000).iter().map(|t| &t[..]).collect());
        }
        put(&store, batch);
        next += rows;
        let new = row(1, commit + 1, next, &[(1, 0)]);
        assert!(swap(&store, old.as_deref(), &new));
        old = Some(new);
    }
    let reader = StoreReader::open(folder.path()).unwrap();
    let (mut seen, mut merged) = (Vec::new(), false);
    let each = |event: StoredEvent| {
        if !std::mem::replace(&mut merged, true) {
            store.merge();
        }
        seen.push(event.offset);
        ControlFlow::Continue(())
    };
    reader.events(each).unwrap();
    let all: Vec<i64> = (0..next).collect();
    seen.sort_unstable();
    assert!(seen == all, "{} of {next}, read beside merging", seen.len());
    assert_eq!(files_with(folder.path(), LARGE), 1, "the large file was to stay as it is");
    assert!(parquet_files(&folder.path().join("events")) < 20);
    let mut after = offsets(folder.path());
    after.sort_unstable();
    assert!(after == all, "{} of {next}, read after merging", after.len());
}

#[test]
fn small_files_are_merged_beside_readers() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let mut old: Option<Vec<u8>> = None;
    for commit in 0..80 {
        let first = commit * 10;
        put(&store, events(1, &(first..first + 10).collect::<Vec<_>>()));
        let new = row(1, commit as u64 + 1, first + 10, &[(1, 0)]);
        assert!(swap(&store, old.as_deref(), &new));
        old = Some(new);
    }
    let all: Vec<i64> = (0..800).collect();
    let reader = StoreReader::open(folder.path()).unwrap();
    let mut seen = Vec::new();
    let each = |event: StoredEvent| {
        if seen.is_empty() {
            store.merge();
            fs::remove_dir_all(folder.path().join("events/replaced")).unwrap();
        }
        seen.push(event.offset);
        ControlFlow::Continue(())
    };
    reader.events(each).unwrap();
    assert_eq!(seen, all);
    assert!(parquet_files(&folder.path().join("events")) < 40);
    assert_eq!(offsets(folder.path()), all);
}

fn documents(window: &str, millis: i64, version: u64, starts: &[i64], clicks: u64) -> DocumentBatch {
    let rows = starts.len();
    let urls: Values = starts
        .iter()
        .map(|start| format!("https://x/{start}"))
        .collect::<Vec<_>>()
        .iter()
        .map(String::as_bytes)
        .collect();
    let countries: Arc<Values> = Arc::new([&b"DE"[..], b"FR"].into_iter().collect());
    let codes = (0..rows as u32).map(|row| row % 2).collect();
    let mean =
        Column { data: Data::Reals(vec![1.5; rows]), valid: Validity::from_fn(rows, |row| row % 2 == 0) };
    DocumentBatch {
        shard: 1,
        rollup: "url-country".into(),
        window: window.into(),
        window_millis: millis,
        version,
        starts: starts.to_vec(),
        by: vec![
            ("url".into(), Column::new(Data::Text(urls))),
            ("country".into(), Column::new(Data::Coded { distinct: countries, codes })),
        ],
        fields: vec![
            (field("clicks", Kind::Unsigned), Column::new(Data::Unsigned(vec![clicks; rows]))),
            (field("avg_time_seconds", Kind::Real), mean),
        ],
    }
}

fn offer(index: &EmbeddedIndex, batch: DocumentBatch) {
    let expected = batch.starts.len();
    let answers = block_on(index.put(Rc::new(batch))).unwrap();
    assert_eq!(answers, vec![Indexed::Acknowledged; expected]);
}

fn found(path: &Path, filter: &DocumentFilter) -> Vec<StoredDocument> {
    let mut all = StoreReader::open(path).unwrap().documents(filter).unwrap();
    all.sort_by(|a, b| (&a.window, a.start, &a.by).cmp(&(&b.window, b.start, &b.by)));
    all
}

#[test]
fn the_newest_version_of_a_document_wins() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let index = EmbeddedIndex::new(&store).unwrap();
    let minutes: Vec<i64> = (0..50).map(|minute| minute * 60_000).collect();
    offer(&index, documents("1m", 60_000, 10, &minutes, 1));
    offer(&index, documents("1h", 3_600_000, 10, &[0], 50));
    // Late, and older: it must not win.
    offer(&index, documents("1m", 60_000, 9, &minutes, 7));
    for version in 11..110 {
        offer(&index, documents("1m", 60_000, version, &minutes[..2], version));
    }
    let check = || {
        let all = found(folder.path(), &DocumentFilter::default());
        assert_eq!(all.len(), 51);
        let minute = DocumentFilter { window: Some("1m".into()), ..DocumentFilter::default() };
        let all = found(folder.path(), &minute);
        assert_eq!(all.len(), 50);
        let clicks: Vec<Value> = all.iter().map(|document| document.fields[0].1.clone()).collect();
        assert_eq!(clicks[..3], [Value::Unsigned(109), Value::Unsigned(109), Value::Unsigned(1)]);
        let first = &all[0];
        assert_eq!((first.version, first.window_millis, &*first.rollup), (109, 60_000, "url-country"));
        assert_eq!(
            first.by,
            [("url".into(), Some("https://x/0".to_owned())), ("country".into(), Some("DE".to_owned()))]
        );
        assert_eq!(first.fields[1], ("avg_time_seconds".into(), Value::Real(1.5)));
        assert_eq!(all[1].fields[1].1, Value::Null);
        let some = DocumentFilter {
            from: Some(60_000),
            to: Some(300_000),
            equal: vec![("country".into(), "FR".into())],
            prefix: vec![("url".into(), "https://x/18".into())],
            ..minute
        };
        assert_eq!(found(folder.path(), &some).iter().map(|d| d.start).collect::<Vec<_>>(), [180_000]);
    };
    check();
    store.merge();
    let files = parquet_files(&folder.path().join("documents"));
    assert!(files < 64, "{files} files after 102 offers");
    check();
    drop((store, index));
    let _store = EmbeddedStore::open(folder.path()).unwrap();
    check();
}

#[test]
fn many_offers_at_once_are_all_acknowledged() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let index = EmbeddedIndex::new(&store).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let index = index.clone();
            scope.spawn(move || {
                for number in 0..20 {
                    offer(&index, documents("1m", 60_000, number + 1, &[thread * 60_000], number));
                }
            });
        }
    });
    let all = found(folder.path(), &DocumentFilter::default());
    assert_eq!(all.iter().map(|document| document.version).collect::<Vec<_>>(), [20; 4]);
}
