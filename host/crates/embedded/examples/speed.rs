//! What reading and storing cost: CPU time an event of made-up traffic, of the whole process. `speed FOLDER [EVENTS]`

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_columns::{Buffer, Column, Data, Dictionary, Family, Field, Kind, Validity, Values};
use clickmill_embedded::{EmbeddedStore, FileSource, lines};
use clickmill_settings::{Files, Generate, PartitionBy};
use clickmill_tasks::{
    batch::{EventBatch, RawBatch, StoredColumn},
    env::{Fetched, Reader, Source, Store},
    name::{PartitionId, TaskId},
    row::{Head, PartitionRow, Position, Row},
};
use futures_executor::block_on;

const PARTITION: PartitionId = PartitionId { partition: 0, log: 0 };
const PLACES: [&str; 9] = [
    "event_id",
    "event_type",
    "user_id",
    "session_id",
    "referrer",
    "country",
    "city",
    "ip_address",
    "user_agent",
];

/// Seconds of CPU that the process has used.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn place(line: &[u8], from: usize, name: &str) -> Option<(usize, usize)> {
    let key = format!("\"{name}\":\"");
    let start = from + memchr::memmem::find(line, key.as_bytes())? + key.len();
    let length = memchr::memchr(b'"', &line[start - from..])?;
    Some((start, length))
}

fn column(name: &str, kind: Kind, data: Data, valid: Validity) -> StoredColumn {
    let family = Family::ClickData;
    let field = Field { name: name.into(), kind, unit: String::new(), family, doc: String::new() };
    StoredColumn { field: Arc::new(field), column: Column { data, valid } }
}

/// The columns that parsing and enriching make.
fn event_batch(batch: &RawBatch, urls: &mut Dictionary) -> EventBatch {
    let rows = batch.payloads.len();
    let buffer = Arc::new(Buffer::new(batch.payloads.clone(), Vec::new()));
    let mut columns = vec![column(
        "timestamp",
        Kind::Instant,
        Data::Integers(batch.offsets.iter().map(|offset| 1_772_323_200_000 + offset * 40).collect()),
        Validity::all(),
    )];
    let mut places = |name: &str| {
        let (mut starts, mut lengths, mut from) = (Vec::new(), Vec::new(), 0);
        for line in batch.payloads.iter() {
            let (start, length) = place(line, from, name).unwrap_or((u32::MAX as usize, 0));
            starts.push(start as u32);
            lengths.push(length as u32);
            from += line.len();
        }
        let valid = Validity::from_fn(rows, |row| starts[row] != u32::MAX);
        column(name, Kind::Text, Data::Places { buffer: buffer.clone(), starts, lengths }, valid)
    };
    columns.extend(PLACES.map(&mut places));
    let mut raw = places("url");
    let canonical = |row: usize| {
        raw.column.text(row).and_then(|url| url.split(|byte| *byte == b'?').next()).unwrap_or_default()
    };
    let codes: Vec<u32> = (0..rows).map(|row| urls.intern(canonical(row))).collect();
    let differs = Validity::from_fn(rows, |row| raw.column.text(row).is_some_and(|url| url.contains(&b'?')));
    let distinct: Arc<Values> = Arc::new((0..urls.len() as u32).map(|code| urls.get(code)).collect());
    columns.push(column(
        "url",
        Kind::Text,
        Data::Coded { distinct: distinct.clone(), codes: codes.clone() },
        Validity::all(),
    ));
    raw.column.valid = differs;
    raw.field = column("raw_url", Kind::Text, Data::Booleans(Vec::new()), Validity::all()).field;
    columns.push(raw);
    let few: Arc<Values> = Arc::new([&b"Chrome"[..], b"Firefox", b"Safari", b"Edge"].into_iter().collect());
    for name in ["browser", "operating_system", "device"] {
        let codes = codes.iter().map(|code| code % 4).collect();
        columns.push(column(name, Kind::Text, Data::Coded { distinct: few.clone(), codes }, Validity::all()));
    }
    let nothing = Data::Text((0..rows).map(|_| &b""[..]).collect());
    columns.push(column("region", Kind::Text, nothing, Validity::from_fn(rows, |_| false)));
    let rows = (0..rows as u32).collect();
    EventBatch { partition: PARTITION, fence: 1, offsets: batch.offsets.clone(), rows, columns }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("speed FOLDER [EVENTS]")?);
    let events: u64 = arguments.next().map_or(Ok(1_000_000), |events| events.parse())?;
    fs::create_dir_all(&folder)?;
    let told = |what: &str, begun: (Instant, f64)| {
        let (wall, used) = (begun.0.elapsed().as_secs_f64(), cpu() - begun.1);
        let each = 1e9 / events as f64;
        println!("{what:10} wall {:6.0} ns, CPU {:6.0} ns an event", wall * each, used * each);
    };
    let now = || (Instant::now(), cpu());

    let path = folder.join("events.jsonl");
    let begun = now();
    let settings = Generate { events: Some(events), users: 200_000, urls: 10_000, ..Generate::default() };
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(&path)?);
    for mut line in lines(&settings) {
        line.push(b'\n');
        file.write_all(&line)?;
    }
    file.flush()?;
    told("generate", begun);

    let files = Files {
        base: folder.clone(),
        paths: vec!["events.jsonl".into()],
        partition_by: PartitionBy::Log,
        follow: false,
    };
    let source = FileSource::new(&files, [])?;
    let read = |each: &mut dyn FnMut(RawBatch)| -> Result<(), Box<dyn Error>> {
        let mut reader = block_on(source.open(PARTITION, &Position::default()))?;
        loop {
            match block_on(reader.next(Duration::from_secs(1)))? {
                Fetched::Batch(batch) => each(batch),
                Fetched::Nothing => {}
                Fetched::End => return Ok(()),
            }
        }
    };
    let begun = now();
    read(&mut |_| {})?;
    told("read", begun);

    let mut urls = Dictionary::new();
    let begun = now();
    read(&mut |batch| drop(event_batch(&batch, &mut urls)))?;
    told("columns", begun);

    let store = EmbeddedStore::open(&folder.join("store"))?;
    let mut urls = Dictionary::new();
    let (mut row, mut commit, mut since, mut failed) = (None::<Vec<u8>>, 0, 0, None);
    let task = TaskId::Partition(PARTITION);
    let begun = now();
    read(&mut |batch| {
        let (records, next) = (batch.offsets.len(), batch.next);
        let put = block_on(store.put_events(Arc::new(event_batch(&batch, &mut urls))));
        since += records;
        commit += 1;
        let mut swapped = Ok(true);
        if since >= 150_000 || next == events as i64 {
            since = 0;
            let head = Head { fence: 1, commit, ..Head::default() };
            let position = Position { next, ..Position::default() };
            let new =
                PartitionRow { head, position, fences: vec![(1, 0)], ..PartitionRow::default() }.encode();
            swapped = block_on(store.swap_row(task, row.as_deref(), &new));
            row = Some(new);
        }
        failed = failed.take().or(put.err()).or(swapped.err());
    })?;
    told("store", begun);
    println!("{:?} {failed:?}", store.written());
    Ok(())
}
