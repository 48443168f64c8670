//! The store on a real HBase, at `HBASE_THRIFT` (tests/services/services.sh up hbase); where the gateway was started with
//! `HBASE_THRIFT_FRAMED=1`, under this variable too.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clickmill_columns::{Column, Data, Family, Field, Kind, Validity, Values};
use clickmill_hbase::{Absent, HbaseStore, Reader};
use clickmill_settings::{Gateway, Hbase, Layout, Transport};
use clickmill_tasks::{
    Fences,
    batch::{DeadLetter, EventBatch, StoredColumn},
    env::{ColdCell, ColdPage, Store, Trouble},
    name::{BlockKind, BlockName, PART, PartName, PartitionId, TaskId},
    row::PartitionRow,
};
use futures_executor::block_on;

const P: PartitionId = PartitionId { partition: 3, log: 0 };

/// Tables that no other test uses.
fn settings() -> Hbase {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let gateway = std::env::var("HBASE_THRIFT")
        .expect("HBASE_THRIFT: start it with tests/services/services.sh up hbase");
    let (host, port) = gateway.rsplit_once(':').expect("host:port");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let table = format!("test_{now}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let gateway = Gateway { host: host.into(), port: port.parse().unwrap() };
    let framed = std::env::var("HBASE_THRIFT_FRAMED").is_ok_and(|framed| framed == "1");
    let transport = if framed { Transport::Framed } else { Transport::Buffered };
    Hbase { gateways: vec![gateway], table, transport, ..Hbase::default() }
}

fn local(port: u16) -> Gateway {
    Gateway { host: "127.0.0.1".into(), port }
}

fn in_layout(layout: Layout) -> Hbase {
    Hbase { layout, ..settings() }
}

const LAYOUTS: [Layout; 2] = [Layout::Fields, Layout::Families];

fn store(settings: &Hbase) -> HbaseStore {
    block_on(HbaseStore::open(settings, Absent::Make)).expect("HBase answers")
}

fn field(name: &str, kind: Kind, family: Family) -> Arc<Field> {
    Arc::new(Field { name: name.into(), kind, unit: String::new(), family, doc: String::new() })
}

fn fields() -> [Arc<Field>; 3] {
    [
        field("timestamp", Kind::Instant, Family::ClickData),
        field("country", Kind::Text, Family::GeoData),
        field("user_agent", Kind::Text, Family::UserAgentData),
    ]
}

/// Events whose user agent names the fence; every second one has no country.
fn events(fence: u64, offsets: impl Iterator<Item = i64>) -> Arc<EventBatch> {
    let offsets: Vec<i64> = offsets.collect();
    let rows = offsets.len();
    let agent: Values = std::iter::repeat_n(format!("agent {fence}").as_bytes(), rows).collect();
    let country =
        Data::Coded { distinct: Arc::new([&b"DE"[..]].into_iter().collect()), codes: vec![0; rows] };
    let columns = [
        Column::new(Data::Integers(offsets.iter().map(|offset| offset * 1000).collect())),
        Column { data: country, valid: Validity::from_fn(rows, |row| offsets[row] % 2 == 0) },
        Column::new(Data::Text(agent)),
    ];
    let columns = fields().into_iter().zip(columns).map(|(field, column)| StoredColumn { field, column });
    Arc::new(EventBatch {
        partition: P,
        fence,
        rows: (0..rows as u32).collect(),
        offsets,
        columns: columns.collect(),
    })
}

fn letter(fence: u64, offset: i64, value: &[u8]) -> DeadLetter {
    DeadLetter {
        partition: P,
        fence,
        offset,
        source: "topic".into(),
        time: Some(5),
        reason: "invalid-json".into(),
        message: "byte 3".into(),
        at: Some(3),
        plugin: "json".into(),
        digest: "ab".into(),
        length: value.len() as u64,
        value: value.to_vec(),
    }
}

fn history(fences: &[(u64, i64)]) -> Fences {
    let row = PartitionRow { fences: fences.to_vec(), ..PartitionRow::default() };
    Fences::new(&row, &[]).expect("it rises")
}

fn read(
    settings: &Hbase,
    fences: &[(u64, i64)],
    offsets: std::ops::Range<i64>,
) -> Vec<(i64, Vec<Option<String>>)> {
    let events = Reader::new(settings).events(P, &history(fences), offsets, &fields());
    events
        .map(|event| event.expect("a true event"))
        .map(|event| (event.offset, event.cells.into_iter().map(|(_, text)| text).collect()))
        .collect()
}

#[test]
fn a_row_changes_only_from_the_bytes_as_read() {
    let store = store(&settings());
    block_on(async {
        let tasks = [TaskId::Meta, TaskId::Partition(P), TaskId::Shard(0), TaskId::Shard(300)];
        for task in tasks.into_iter().rev() {
            assert_eq!(store.read_row(task).await, Ok(None));
            assert_eq!(store.swap_row(task, Some(b"other"), b"x").await, Ok(false));
            assert_eq!(store.swap_row(task, None, b"one").await, Ok(true));
            assert_eq!(store.swap_row(task, None, b"two").await, Ok(false));
            assert_eq!(store.swap_row(task, Some(b"one"), b"two").await, Ok(true));
            assert_eq!(store.read_row(task).await, Ok(Some(b"two".to_vec())));
        }
        assert_eq!(store.tasks().await, Ok(tasks.to_vec()));
        assert!(matches!(store.swap_row(TaskId::Meta, Some(b"two"), b"").await, Err(Trouble::Final(_))));
    });
}

#[test]
fn one_of_many_wins_a_swap() {
    let store = store(&settings());
    let swaps = (0..50u8).map(|n| {
        let store = &store;
        async move { store.swap_row(TaskId::Shard(1), None, &[n + 1]).await.unwrap() }
    });
    let won = block_on(futures_util::future::join_all(swaps)).into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
}

#[test]
fn parts_are_kept_listed_and_deleted() {
    let store = store(&settings());
    let name = |task, commit, part| PartName {
        block: BlockName { task, fence: 2, commit, kind: BlockKind::Base, number: 1 },
        part,
    };
    let (a, b) = (TaskId::Shard(1), TaskId::Shard(256));
    block_on(async {
        let contents: [Arc<[u8]>; 3] = [vec![7; PART].into(), vec![].into(), b"x"[..].into()];
        let names = [name(a, 1, 0), name(a, 1, 1), name(a, 300, 0)];
        for (name, content) in names.iter().zip(&contents) {
            store.put_part(*name, content.clone()).await.unwrap();
        }
        store.put_part(name(b, 1, 0), contents[2].clone()).await.unwrap();
        for (name, content) in names.iter().zip(&contents) {
            assert_eq!(store.get_part(*name).await.unwrap().as_ref(), Some(content));
        }
        assert_eq!(store.list_parts(a).await.unwrap(), names);
        store.delete_parts(&names[..2]).await.unwrap();
        assert_eq!(store.get_part(names[0]).await, Ok(None));
        assert_eq!(store.list_parts(a).await.unwrap(), names[2..]);
        assert_eq!(store.list_parts(b).await.unwrap(), [name(b, 1, 0)]);
        store.delete_parts(&[]).await.unwrap();
    });
}

#[test]
fn only_events_of_the_fence_that_committed_them_are_read() {
    LAYOUTS.map(in_layout).iter().for_each(only_events_of_the_fence_are_read);
}

fn only_events_of_the_fence_are_read(settings: &Hbase) {
    let store = store(settings);
    block_on(async {
        store.put_events(events(1, 0..10)).await.unwrap();
        // An owner that was fenced off writes on, after its successor.
        store.put_events(events(2, 5..8)).await.unwrap();
        store.put_events(events(1, 5..12)).await.unwrap();
        // A fence whose offsets never were committed, and whose cells lie above the true ones.
        store.put_events(events(2, 8..9)).await.unwrap();
    });
    let read = read(settings, &[(1, 0), (2, 5)], 0..9);
    let agents: Vec<_> = read.iter().map(|(offset, cells)| (*offset, cells[2].as_deref().unwrap())).collect();
    let one = (0..5).map(|offset| (offset, "agent 1"));
    assert_eq!(agents, one.chain((5..9).map(|offset| (offset, "agent 2"))).collect::<Vec<_>>());
    let cells = |at: usize| read[at].1.iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(cells(1), [Some("1970-01-01T00:00:01.000Z"), None, Some("agent 1")]);
    assert_eq!(cells(6), [Some("1970-01-01T00:00:06.000Z"), Some("DE"), Some("agent 2")]);
}

#[test]
fn a_dead_letter_deletes_the_event_of_its_fence() {
    LAYOUTS.map(in_layout).iter().for_each(a_dead_letter_deletes_the_event);
}

fn a_dead_letter_deletes_the_event(settings: &Hbase) {
    let store = store(settings);
    let large = vec![b'x'; 1 << 20];
    let letters = [letter(4, 1, b"{"), letter(4, 2, b""), letter(4, 3, &large), letter(4, 4, &large)];
    block_on(async {
        store.put_events(events(3, 0..6)).await.unwrap();
        store.put_events(events(4, 0..6)).await.unwrap();
        store.put_dead_letters(Rc::from(letters.clone())).await.unwrap();
        // Of an owner that was fenced off.
        store.put_dead_letters(Rc::from([letter(3, 0, b"late")])).await.unwrap();
    });
    let offsets: Vec<i64> = read(settings, &[(4, 0)], 0..6).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [0, 5]);
    let read = Reader::new(settings).dead_letters(P, &history(&[(4, 0)]), 0..6);
    assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), letters);
}

#[test]
fn the_newest_cold_cell_is_the_true_one() {
    let store = store(&settings());
    let (task, long) = (TaskId::Shard(1), vec![b'l'; 40_000]);
    let names: Rc<[Vec<u8>]> = Rc::new([b"group".to_vec(), long.clone(), b"none".to_vec()]);
    let cells = |value: &[u8]| -> Rc<[ColdCell]> {
        names[..2].iter().map(|name| ColdCell { name: name.clone(), value: value.to_vec() }).collect()
    };
    block_on(async {
        assert_eq!(store.thaw(task, names.clone()).await, Ok(vec![None, None, None]));
        assert_eq!(store.frozen(task, &[], 10).await, Ok(ColdPage::default()));
        store.freeze(task, 8, cells(b"eight")).await.unwrap();
        store.freeze(task, 7, cells(b"seven")).await.unwrap();
        let eight = Some(b"eight".to_vec());
        assert_eq!(store.thaw(task, names.clone()).await, Ok(vec![eight.clone(), eight, None]));
        for other in [TaskId::Shard(2), TaskId::Partition(P)] {
            assert_eq!(store.thaw(other, names.clone()).await, Ok(vec![None, None, None]));
        }
        let (mut all, mut from) = (Vec::new(), Some(Vec::new()));
        while let Some(at) = from {
            let mut page = store.frozen(task, &at, 1).await.unwrap();
            all.append(&mut page.cells);
            from = page.next;
        }
        assert_eq!(all, cells(b"eight").iter().map(|cell| (8, cell.clone())).collect::<Vec<_>>());
    });
}

#[test]
fn many_cold_cells_come_and_go_in_few_calls() {
    let store = store(&settings());
    let task = TaskId::Shard(3);
    let name = |number: u32| number.to_be_bytes().to_vec();
    let cells: Rc<[ColdCell]> =
        (0..1500).map(|number| ColdCell { name: name(number), value: vec![number as u8; 3000] }).collect();
    block_on(async {
        store.freeze(task, 5, cells.clone()).await.unwrap();
        let names: Rc<[Vec<u8>]> = (0..2000).rev().map(name).collect();
        let found = store.thaw(task, names).await.unwrap();
        assert!(found[..500].iter().all(Option::is_none));
        let back = found[500..].iter().rev().map(|value| value.clone().unwrap());
        assert!(back.eq(cells.iter().map(|cell| cell.value.clone())));
    });
}

#[test]
fn a_store_is_opened_again_and_by_two_at_once() {
    let settings = settings();
    let (one, two) = std::thread::scope(|scope| {
        let open = || scope.spawn(|| block_on(HbaseStore::open(&settings, Absent::Make)).map(|_| ()));
        let (one, two) = (open(), open());
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!((one, two), (Ok(()), Ok(())));
    store(&settings);
}

/// Whoever comes a moment later finds tables that are being made, a store that was just begun, and the first events.
#[test]
fn a_new_store_is_begun_by_many_one_after_the_other() {
    let settings = settings();
    thread::scope(|scope| {
        let begin = |host: u64| {
            let settings = &settings;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(60 * host));
                let store =
                    block_on(HbaseStore::open(settings, Absent::Make)).map_err(|error| error.to_string())?;
                block_on(async {
                    store.swap_row(TaskId::Meta, None, b"meta").await.unwrap();
                    store.put_events(events(1, 0..5)).await.unwrap();
                });
                Ok(())
            })
        };
        let hosts: Vec<_> = (0..12).map(begin).collect();
        let begun: Vec<Result<(), String>> = hosts.into_iter().map(|host| host.join().unwrap()).collect();
        assert!(begun.iter().all(Result::is_ok), "{begun:?}");
    });
    assert_eq!(read(&settings, &[(1, 0)], 0..5).len(), 5);
}

#[test]
fn a_gateway_that_is_away_or_speaks_otherwise_is_a_passing_trouble() {
    let said = |settings: Hbase| match block_on(HbaseStore::open(&settings, Absent::Make)).map(|_| ()) {
        Err(Trouble::Passing(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = said(Hbase { gateways: vec![local(1)], ..settings() });
    assert_eq!(text, "HBase at 127.0.0.1:1: no connection: Connection refused (os error 111)");
    let (other, expected) = match settings().transport {
        Transport::Buffered => {
            (Transport::Framed, "started without --framed (then set transport = \"buffered\" in [store])")
        }
        Transport::Framed => (Transport::Buffered, "it closed the connection without an answer: "),
    };
    let text = said(Hbase { transport: other, timeout: Duration::from_secs(2), ..settings() });
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_field_that_is_too_large_is_told() {
    let store = store(&settings());
    let of = |size: usize| {
        let column = Column::new(Data::Text([&vec![b'x'; size][..]].into_iter().collect()));
        let columns = vec![StoredColumn { field: field("url", Kind::Text, Family::ClickData), column }];
        let (offsets, rows) = (vec![0], vec![0]);
        block_on(store.put_events(Arc::new(EventBatch { partition: P, fence: 1, offsets, rows, columns })))
    };
    match settings().transport {
        Transport::Buffered => {
            assert_eq!(of(9 << 20), Ok(()));
            let Err(Trouble::Final(text)) = of(10 << 20) else { panic!() };
            assert!(text.contains("KeyValue size too large"), "{text}");
        }
        Transport::Framed => {
            assert_eq!(of((2 << 20) - (1 << 10)), Ok(()));
            let Err(Trouble::Passing(text)) = of(2 << 20) else { panic!() };
            assert!(text.contains("hbase.regionserver.thrift.framed.max_frame_size_in_mb"), "{text}");
        }
    }
}

/// What the owner of a cluster does in `hbase shell` (tests/services/hbase/admin.sh, for our services have no shell), and what
/// that says.
fn as_owner(commands: &[String]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/services/hbase/admin.sh");
    let commands = commands.join(" : ");
    let done = std::process::Command::new("bash").arg(script).args(commands.split(' ')).output().unwrap();
    assert!(done.status.success(), "{commands}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_table_that_its_owner_made_in_several_regions_is_taken_and_filled_evenly() {
    let settings = settings();
    let table = &settings.table;
    as_owner(&[
        format!("create {table} 4 click_data geo_data user_agent_data"),
        format!("create {table}_state 1 s"),
        format!("create {table}_dead_letters 1 d"),
    ]);
    let store = store(&settings);
    let regions = block_on(store.regions()).unwrap();
    let starts: Vec<_> = regions.iter().map(|region| region.start.first().copied()).collect();
    assert_eq!(starts, [None, Some(0x40), Some(0x80), Some(0xc0)]);
    assert!(regions.iter().all(|region| region.server.is_some()), "{regions:?}");
    assert_eq!(block_on(store.advice()).unwrap(), [""; 0]);
    // Each of sixteen partitions has rows in one region, and each region has some four of them.
    let mut filled = [0; 4];
    for partition in 0..16 {
        let batch = EventBatch { partition: PartitionId { partition, log: 0 }, ..(*events(1, 0..3)).clone() };
        block_on(store.put_events(Arc::new(batch))).unwrap();
        let spread = (partition.wrapping_mul(0x9e37_79b1) >> 16) as u16;
        filled[usize::from(spread >> 14)] += 3;
    }
    let said = as_owner(&[format!("count {table}")]);
    let rows: Vec<i32> = said.lines().filter_map(|line| line.strip_prefix("rows ")?.parse().ok()).collect();
    assert_eq!(rows, filled);
    assert!(rows.iter().all(|rows| (9..=15).contains(rows)), "{rows:?}");
    let (first, last) = (PartitionId { partition: 0, log: 0 }, PartitionId { partition: 15, log: 0 });
    for partition in [first, last] {
        let read = Reader::new(&settings).events(partition, &history(&[(1, 0)]), 0..3, &fields());
        assert_eq!(read.count(), 3);
    }
}

#[test]
fn an_unfit_table_is_refused_with_what_mends_it() {
    let refused = |settings: &Hbase| refused(settings, Absent::Make);
    let all = [(); 3].map(|()| settings());
    let [foreign, versions, disabled] = &all;
    let [of_foreign, of_versions, of_disabled] = all.each_ref().map(|settings| settings.table.as_str());
    store(versions);
    store(disabled);
    as_owner(&[
        format!("create {of_foreign} 1 cf"),
        format!("versions {of_versions}_state s 3"),
        format!("disable {of_disabled}_dead_letters"),
    ]);
    assert_eq!(
        refused(foreign),
        format!(
            "the table {of_foreign} has no column family click_data; name another table in [store] table, or add the family \
             (hbase shell: alter '{of_foreign}', NAME => 'click_data', VERSIONS => 1)"
        )
    );
    let mend = format!("alter '{of_versions}_state', NAME => 's', VERSIONS => 1)");
    assert!(refused(versions).ends_with(&mend), "{}", refused(versions));
    assert_eq!(
        refused(disabled),
        format!(
            "the table {of_disabled}_dead_letters is disabled; enable it (hbase shell: enable '{of_disabled}_dead_letters')"
        )
    );
    let nowhere = refused(&Hbase { table: "no_such_namespace:t".into(), ..settings() });
    assert!(
        nowhere.contains("NamespaceNotFoundException: no_such_namespace; make the namespace"),
        "{nowhere}"
    );
}

#[test]
fn a_table_that_is_soon_enabled_is_waited_for() {
    let settings = settings();
    store(&settings);
    let owner = settings.table.clone();
    let owner = thread::spawn(move || as_owner(&[format!("disable {owner}"), format!("enable {owner}")]));
    while !owner.is_finished() {
        store(&settings);
    }
    owner.join().unwrap();
}

/// The trouble of a store that does not open, without the gateway's name.
fn refused(settings: &Hbase, absent: Absent) -> String {
    match block_on(HbaseStore::open(settings, absent)).map(|_| ()) {
        Err(Trouble::Final(text)) => text.split_once(": ").unwrap().1.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_who_is_to_make_tables_makes_them() {
    let settings = settings();
    let table = &settings.table;
    for _ in 0..2 {
        assert_eq!(
            refused(&settings, Absent::Refuse),
            format!(
                "there is no store: the tables {table}, {table}_state, {table}_dead_letters are absent; name the right one in \
                 [store] table, or begin a new store with `clickmill run`"
            )
        );
        let looked_for = block_on(HbaseStore::open(&settings, Absent::Tell)).unwrap();
        let names = [table.clone(), format!("{table}_state"), format!("{table}_dead_letters")];
        assert_eq!(looked_for.absent(), names);
        block_on(async {
            assert_eq!(looked_for.read_row(TaskId::Meta).await, Ok(None));
            assert_eq!(looked_for.tasks().await, Ok(vec![]));
            assert_eq!(looked_for.regions().await, Ok(vec![]));
            assert_eq!(looked_for.advice().await, Ok(vec![]));
        });
    }
    // What its owner made is left as it is.
    as_owner(&[format!("create {table} 4 click_data geo_data user_agent_data")]);
    let looked_for = block_on(HbaseStore::open(&settings, Absent::Tell)).unwrap();
    assert_eq!(looked_for.absent(), [format!("{table}_state"), format!("{table}_dead_letters")]);
    assert_eq!(block_on(looked_for.tasks()), Ok(vec![]));
    assert_eq!(block_on(store(&settings).regions()).unwrap().len(), 4);
    for absent in [Absent::Refuse, Absent::Tell] {
        assert!(block_on(HbaseStore::open(&settings, absent)).unwrap().absent().is_empty());
    }
}

#[test]
fn a_store_of_which_a_part_was_lost_is_not_made_anew() {
    const ALL: [Absent; 3] = [Absent::Make, Absent::Refuse, Absent::Tell];
    let all = [(); 3].map(|()| settings());
    for settings in &all {
        let store = store(settings);
        block_on(async {
            assert_eq!(store.swap_row(TaskId::Meta, None, b"meta").await, Ok(true));
            store.put_events(events(5, 0..3)).await.unwrap();
        });
    }
    let [gone, dead, events_gone] = &all;
    let [of_gone, of_dead, of_events_gone] = all.each_ref().map(|settings| settings.table.as_str());
    // Every event of it became a dead letter.
    let letters = [letter(5, 0, b"{"), letter(5, 1, b"{"), letter(5, 2, b"{")];
    block_on(store(dead).put_dead_letters(Rc::from(letters))).unwrap();
    let drop = |table: String| format!("disable {table} : delete {table}");
    as_owner(&[
        drop(format!("{of_gone}_state")),
        drop(format!("{of_dead}_state")),
        format!("create {of_dead}_state 1 s"),
        drop(of_events_gone.to_owned()),
    ]);
    for absent in ALL {
        assert_eq!(
            refused(gone, absent),
            format!(
                "the table {of_gone}_state is absent, though there are rows in {of_gone}: the state of this store was lost, and \
                 events of a new one would lie unseen under the old ones; restore all three tables from snapshots of one moment, \
                 delete the indices and run `clickmill reindex`, or name another table in [store] table for a new store, or give up the old rows (hbase shell: truncate '{of_gone}')"
            )
        );
        let text = refused(dead, absent);
        let begin = format!(
            "the table {of_dead}_state has no row of the store, though there are rows in {of_dead}_dead_letters: "
        );
        assert!(text.starts_with(&begin), "{text}");
        assert_eq!(
            refused(events_gone, absent),
            format!(
                "the table {of_events_gone} is absent, though the table {of_events_gone}_state has the rest of the store: \
                 restore all three tables from snapshots of one moment, delete the indices and run `clickmill reindex`, or name another table in [store] table for a new store"
            )
        );
    }
    as_owner(&[drop(of_gone.to_owned())]);
    store(gone);
}

#[test]
fn a_table_that_changes_under_the_store_is_named() {
    let settings = Hbase { timeout: Duration::from_secs(60), connections: 1, ..settings() };
    let store = store(&settings);
    assert!(block_on(store.advice()).unwrap()[0].contains("is one region"));
    as_owner(&[format!("disable {}_state", settings.table)]);
    let Err(Trouble::Passing(text)) = block_on(store.read_row(TaskId::Meta)) else { panic!() };
    assert!(text.contains("is disabled") && text.contains("hbase shell: enable"), "{text}");
    as_owner(&[format!("delete {}_state", settings.table)]);
    let Err(Trouble::Final(text)) = block_on(store.read_row(TaskId::Meta)) else { panic!() };
    assert!(text.contains("TableNotFoundException") && text.contains("somebody deleted the table"), "{text}");
}

#[test]
fn rows_of_any_size_are_written_and_read() {
    for layout in LAYOUTS {
        let settings = in_layout(layout);
        let store = store(&settings);
        // Three fields of 900 kB, in one family, and in a call no more than a framed gateway takes; then small rows.
        let text = |row: usize, from: u8| vec![from + (row % 7) as u8; if row < 3 { 900 << 10 } else { 10 }];
        let column = |name: &str, from: u8| {
            let values: Values =
                (0..1000).map(|row| text(row, from)).collect::<Vec<_>>().iter().map(Vec::as_slice).collect();
            StoredColumn {
                field: field(name, Kind::Text, Family::ClickData),
                column: Column::new(Data::Text(values)),
            }
        };
        let columns = vec![column("a", b'a'), column("b", b'A'), column("c", b'0')];
        let fields: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
        let (offsets, rows) = ((0..1000).collect(), (0..1000).collect());
        block_on(store.put_events(Arc::new(EventBatch { partition: P, fence: 1, offsets, rows, columns })))
            .unwrap();
        let read = Reader::new(&settings).events(P, &history(&[(1, 0)]), 0..1000, &fields);
        let mut count = 0;
        for (row, event) in read.enumerate() {
            let event = event.unwrap();
            let found: Vec<_> =
                event.cells.iter().map(|(_, text)| text.as_deref().unwrap().as_bytes().to_vec()).collect();
            assert_eq!(found, [text(row, b'a'), text(row, b'A'), text(row, b'0')]);
            count += 1;
        }
        assert_eq!(count, 1000);
    }
}

#[test]
fn the_other_gateway_goes_on_where_one_fails() {
    let settings = settings();
    let (one, cut_one) = proxy(&settings);
    let (two, cut_two) = proxy(&settings);
    let several = Hbase { gateways: vec![local(1), local(one), local(two)], connections: 1, ..settings };
    let store = store(&several);
    let task = TaskId::Shard(1);
    assert_eq!(block_on(store.swap_row(task, None, b"one")), Ok(true));
    assert!(cut_two.lock().unwrap().is_empty());
    // The call in flight is lost, and says at which gateway; the next one goes to the other.
    let cut = |of: &Mutex<Vec<TcpStream>>| {
        of.lock().unwrap().drain(..).for_each(|stream| stream.shutdown(Shutdown::Both).unwrap_or_default());
    };
    cut(&cut_one);
    let Err(Trouble::Passing(text)) = block_on(store.read_row(task)) else { panic!() };
    assert!(text.starts_with(&format!("HBase at 127.0.0.1:{one}, reading a task's row: ")), "{text}");
    assert_eq!(block_on(store.read_row(task)), Ok(Some(b"one".to_vec())));
    assert_eq!(block_on(store.swap_row(task, Some(b"one"), b"two")), Ok(true));
    assert!(!cut_two.lock().unwrap().is_empty() && cut_one.lock().unwrap().is_empty());
    // A reader loses nothing, for reading again is harmless.
    block_on(store.put_events(events(1, 0..3000))).unwrap();
    let mut read = Reader::new(&several).events(P, &history(&[(1, 0)]), 0..3000, &fields());
    for offset in 0..3000 {
        if offset % 1000 == 500 {
            cut(&cut_one);
            cut(&cut_two);
        }
        assert_eq!(read.next().unwrap().unwrap().offset, offset);
    }
    assert!(read.next().is_none());
}

#[test]
fn a_store_opens_where_one_gateway_of_several_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [&silent, &web].map(|listener| listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for client in web.incoming() {
            let _ = std::io::Write::write_all(&mut client.unwrap(), b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let mut settings = Hbase { timeout: Duration::from_secs(10), connections: 1, ..settings() };
    settings.gateways = vec![local(ports[0]), local(ports[1]), local(1), settings.gateways[0].clone()];
    let store = store(&settings);
    assert_eq!(block_on(store.swap_row(TaskId::Shard(1), None, b"one")), Ok(true));
    let said: Vec<_> = HbaseStore::gateways(&settings)
        .into_iter()
        .map(|(gateway, answer)| (gateway, answer.map_err(|trouble| trouble.to_string())))
        .collect();
    assert_eq!(
        said.iter().map(|(gateway, _)| gateway).collect::<Vec<_>>(),
        settings.gateways.iter().collect::<Vec<_>>()
    );
    let of = |at: usize| said[at].1.as_ref().unwrap_err().as_str();
    assert!(of(0).contains("it took the connection, but no answer came within 10s"), "{said:?}");
    assert!(of(1).contains("it answers in HTTP"), "{said:?}");
    assert!(of(2).contains("no connection: Connection refused"), "{said:?}");
    assert_eq!(said[3].1, Ok(()));
}

/// Forwards to the gateway; what it returns can be cut.
fn proxy(settings: &Hbase) -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, open) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let (gateway, cut) = ((settings.gateways[0].host.clone(), settings.gateways[0].port), open.clone());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&gateway).unwrap());
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            cut.lock().unwrap().extend([client, server]);
        }
    });
    (port, open)
}

#[test]
fn a_connection_that_broke_is_replaced() {
    let settings = settings();
    let (port, open) = proxy(&settings);
    let store = store(&Hbase { gateways: vec![local(port)], connections: 1, ..settings });
    let task = TaskId::Shard(1);
    assert_eq!(block_on(store.swap_row(task, None, b"one")), Ok(true));
    for _ in 0..3 {
        open.lock().unwrap().drain(..).for_each(|stream| stream.shutdown(Shutdown::Both).unwrap_or_default());
        assert!(matches!(block_on(store.read_row(task)), Err(Trouble::Passing(_))));
        assert_eq!(block_on(store.read_row(task)), Ok(Some(b"one".to_vec())));
    }
}

/// Events as they come from a browser: 15 fields, about 400 bytes.
fn realistic(count: usize) -> Arc<EventBatch> {
    let of = |name: &str, family, value: &dyn Fn(usize) -> String| {
        let values: Vec<String> = (0..count).map(value).collect();
        let column = Column::new(Data::Text(values.iter().map(String::as_bytes).collect()));
        StoredColumn { field: field(name, Kind::Text, family), column }
    };
    use Family::{ClickData, GeoData, UserAgentData};
    let time =
        Column::new(Data::Integers((0..count as i64).map(|row| 1_772_323_200_000 + row * 37).collect()));
    let columns = vec![
        of("user_id", ClickData, &|row| format!("user-{:08}", row * 7919 % 1_000_003)),
        StoredColumn { field: field("timestamp", Kind::Instant, ClickData), column: time },
        of("url", ClickData, &|row| format!("https://shop.example/products/{}/reviews", row % 4001)),
        of("raw_url", ClickData, &|row| {
            format!("HTTPS://shop.example:443/products/{}/reviews?utm_source=mail", row % 4001)
        }),
        of("referrer", ClickData, &|row| format!("https://search.example/?q=item+{}", row % 977)),
        of("event_type", ClickData, &|row| ["page_view", "click", "purchase"][row % 3].into()),
        of("event_id", ClickData, &|row| format!("{:032x}", row as u128 * 0x9e37_79b9_7f4a_7c15)),
        of("session_id", ClickData, &|row| format!("s-{:012x}", row / 9 * 48_271)),
        of("country", GeoData, &|row| ["DE", "US", "FR", "BR"][row % 4].into()),
        of("region", GeoData, &|row| format!("region-{}", row % 50)),
        of("city", GeoData, &|row| ["München", "New York", "Paris"][row % 3].into()),
        of("ip_address", GeoData, &|row| format!("198.51.{}.{}", row % 256, row / 256 % 256)),
        of("browser", UserAgentData, &|row| ["Firefox", "Chrome", "Safari"][row % 3].into()),
        of("operating_system", UserAgentData, &|row| ["Linux", "Windows 11", "macOS"][row % 3].into()),
        of("user_agent", UserAgentData, &|row| {
            format!(
                "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0",
                row % 40 + 90,
                row % 40 + 90
            )
        }),
    ];
    let (offsets, rows) = ((0..count as i64).collect(), (0..count as u32).collect());
    Arc::new(EventBatch { partition: P, fence: 1, offsets, rows, columns })
}

#[test]
fn both_layouts_hold_many_events_and_read_back_the_same() {
    let count = 60_000;
    let batch = realistic(count);
    let fields: Vec<_> = batch.columns.iter().map(|column| column.field.clone()).collect();
    let settings = LAYOUTS.map(in_layout);
    let stores = settings.clone().map(|settings| store(&settings));
    for turn in 0..3 {
        for (store, layout) in stores.iter().zip(LAYOUTS) {
            let start = Instant::now();
            block_on(store.put_events(batch.clone())).unwrap();
            let rate = count as f64 / start.elapsed().as_secs_f64();
            println!("turn {turn}, {layout:?}: {rate:.0} events written a second");
        }
    }
    let [fields_read, families_read] = settings.map(|settings| {
        let start = Instant::now();
        let read = Reader::new(&settings).events(P, &history(&[(1, 0)]), 0..count as i64, &fields);
        let read: Vec<_> = read.collect::<Result<_, _>>().unwrap();
        println!(
            "{:?}: {:.0} events read a second",
            settings.layout,
            count as f64 / start.elapsed().as_secs_f64()
        );
        read
    });
    assert_eq!(fields_read.len(), count);
    assert!(fields_read == families_read);
}
