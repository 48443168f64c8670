//! The store on a real HBase, at `HBASE_THRIFT` (tests/services/services.sh up hbase).

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
use clickmill_hbase::{HbaseStore, Reader};
use clickmill_settings::Hbase;
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
    Hbase { host: host.into(), port: port.parse().unwrap(), table, ..Hbase::default() }
}

fn store(settings: &Hbase) -> HbaseStore {
    block_on(HbaseStore::open(settings)).expect("HBase answers")
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
    let settings = settings();
    let store = store(&settings);
    block_on(async {
        store.put_events(events(1, 0..10)).await.unwrap();
        // An owner that was fenced off writes on, after its successor.
        store.put_events(events(2, 5..8)).await.unwrap();
        store.put_events(events(1, 5..12)).await.unwrap();
        // A fence whose offsets never were committed, and whose cells lie above the true ones.
        store.put_events(events(2, 8..9)).await.unwrap();
    });
    let read = read(&settings, &[(1, 0), (2, 5)], 0..9);
    let agents: Vec<_> = read.iter().map(|(offset, cells)| (*offset, cells[2].as_deref().unwrap())).collect();
    let one = (0..5).map(|offset| (offset, "agent 1"));
    assert_eq!(agents, one.chain((5..9).map(|offset| (offset, "agent 2"))).collect::<Vec<_>>());
    let cells = |at: usize| read[at].1.iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(cells(1), [Some("1970-01-01T00:00:01.000Z"), None, Some("agent 1")]);
    assert_eq!(cells(6), [Some("1970-01-01T00:00:06.000Z"), Some("DE"), Some("agent 2")]);
}

#[test]
fn a_dead_letter_deletes_the_event_of_its_fence() {
    let settings = settings();
    let store = store(&settings);
    let large = vec![b'x'; 1 << 20];
    let letters = [letter(4, 1, b"{"), letter(4, 2, b""), letter(4, 3, &large), letter(4, 4, &large)];
    block_on(async {
        store.put_events(events(3, 0..6)).await.unwrap();
        store.put_events(events(4, 0..6)).await.unwrap();
        store.put_dead_letters(Rc::from(letters.clone())).await.unwrap();
        // Of an owner that was fenced off.
        store.put_dead_letters(Rc::from([letter(3, 0, b"late")])).await.unwrap();
    });
    let offsets: Vec<i64> = read(&settings, &[(4, 0)], 0..6).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [0, 5]);
    let read = Reader::new(&settings).dead_letters(P, &history(&[(4, 0)]), 0..6);
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
        let open = || scope.spawn(|| block_on(HbaseStore::open(&settings)).map(|_| ()));
        let (one, two) = (open(), open());
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!((one, two), (Ok(()), Ok(())));
    store(&settings);
}

#[test]
fn a_gateway_that_is_away_is_a_passing_trouble() {
    let nowhere = Hbase { port: 1, ..settings() };
    let Err(Trouble::Passing(text)) = block_on(HbaseStore::open(&nowhere)).map(|_| ()) else { panic!() };
    assert!(text.contains("no connection: Connection refused"), "{text}");
    let framed = Hbase {
        transport: clickmill_settings::Transport::Framed,
        timeout: Duration::from_secs(2),
        ..settings()
    };
    let Err(Trouble::Passing(text)) = block_on(HbaseStore::open(&framed)).map(|_| ()) else { panic!() };
    println!("{text}");
}

/// Forwards to the gateway; what it returns can be cut.
fn proxy(settings: &Hbase) -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, open) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let (gateway, cut) = ((settings.host.clone(), settings.port), open.clone());
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
    let store = store(&Hbase { host: "127.0.0.1".into(), port, connections: 1, ..settings });
    let task = TaskId::Shard(1);
    assert_eq!(block_on(store.swap_row(task, None, b"one")), Ok(true));
    for _ in 0..3 {
        open.lock().unwrap().drain(..).for_each(|stream| stream.shutdown(Shutdown::Both).unwrap_or_default());
        assert!(matches!(block_on(store.read_row(task)), Err(Trouble::Passing(_))));
        assert_eq!(block_on(store.read_row(task)), Ok(Some(b"one".to_vec())));
    }
}

#[test]
fn many_events_are_written_and_read() {
    let settings = settings();
    let store = store(&settings);
    let (count, start) = (20_000, Instant::now());
    block_on(store.put_events(events(1, 0..count))).unwrap();
    let (written, start) = (start.elapsed(), Instant::now());
    assert_eq!(read(&settings, &[(1, 0)], 0..count).len() as i64, count);
    println!("{count} events of three cells written in {written:?}, read in {:?}", start.elapsed());
}
