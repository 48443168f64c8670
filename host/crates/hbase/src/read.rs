//! What is true, read beside running hosts: a cell counts if its timestamp is the fence under which its offset was committed.
//! Blocking, on a connection of its own; meant for commands, not for tasks.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use clickmill_columns::Field;
use clickmill_settings::Hbase;
use clickmill_tasks::{Fences, batch::DeadLetter, env::Trouble, name::PartitionId, read::StoredEvent};
use hbase_thrift::hbase::{Mutation, TCell, THbaseSyncClient, TRowResult};

use crate::{
    connection::Client,
    events::Wanted,
    keys,
    mutations::{put, scan},
    round::Round,
    tables::Tables,
    trouble::trouble,
};

/// Rows in the first answer, and in any. Rows may bear whole records, and the gateway has all of an answer in memory: how many
/// are asked for follows from how large those before were.
const FIRST_ROWS: i32 = 16;
const MOST_ROWS: i32 = 1000;
/// What an answer should have.
const ANSWER_BYTES: usize = 1 << 20;
/// Or one for each gateway, if those are more.
const TRIES: usize = 3;

type Cells = BTreeMap<Vec<u8>, TCell>;

/// Reads events and dead letters.
pub struct Reader {
    settings: Hbase,
    tables: Tables,
}

impl Reader {
    /// Connects when something is read.
    pub fn new(settings: &Hbase) -> Reader {
        Reader { settings: settings.clone(), tables: Tables::new(&settings.table) }
    }

    /// The true events of a partition with an offset in `offsets` (its end no greater than the position's next offset), in
    /// order. `fences` is the fence history of the row that has this position. Columns come in the order of `fields`.
    pub fn events(
        &self,
        partition: PartitionId,
        fences: &Fences,
        offsets: Range<i64>,
        fields: &[Arc<Field>],
    ) -> Events {
        Events {
            wanted: Wanted::new(fields),
            rows: Rows::new(self, self.tables.events.clone(), partition, fences, offsets),
        }
    }

    /// The true dead letters of a partition, as [`Reader::events`].
    pub fn dead_letters(&self, partition: PartitionId, fences: &Fences, offsets: Range<i64>) -> DeadLetters {
        DeadLetters { rows: Rows::new(self, self.tables.dead_letters.clone(), partition, fences, offsets) }
    }
}

/// Events in the order of their offsets; ends after the first trouble.
pub struct Events {
    wanted: Wanted,
    rows: Rows,
}

impl Iterator for Events {
    type Item = Result<StoredEvent, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let (row, partition) = (self.rows.next()?, self.rows.partition);
        let event = row.and_then(|TrueRow { offset, fence: _, cells }| match self.wanted.texts(cells) {
            Ok(cells) => Ok(StoredEvent { partition, offset, cells }),
            Err(damage) => {
                Err(Trouble::Final(format!("the event {offset} of partition {partition}: {damage}")))
            }
        });
        self.rows.done |= event.is_err();
        Some(event)
    }
}

/// Dead letters in the order of their offsets; ends after the first trouble.
pub struct DeadLetters {
    rows: Rows,
}

impl Iterator for DeadLetters {
    type Item = Result<DeadLetter, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.map(|row| letter(self.rows.partition, row)))
    }
}

/// A row of which only the true cells are left.
struct TrueRow {
    offset: i64,
    fence: u64,
    cells: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The true rows of a partition in one table.
struct Rows {
    settings: Hbase,
    round: Round,
    table: Vec<u8>,
    /// Rows in the next answer.
    bite: i32,
    partition: PartitionId,
    fences: Fences,
    /// What is still to be asked for.
    offsets: Range<i64>,
    scanner: Option<(Client, i32)>,
    ready: VecDeque<TrueRow>,
    done: bool,
}

impl Rows {
    fn new(
        reader: &Reader,
        table: Vec<u8>,
        partition: PartitionId,
        fences: &Fences,
        offsets: Range<i64>,
    ) -> Rows {
        Rows {
            settings: reader.settings.clone(),
            round: Round::new(&reader.settings, 0),
            table,
            bite: FIRST_ROWS,
            partition,
            fences: fences.clone(),
            done: offsets.is_empty(),
            offsets,
            scanner: None,
            ready: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Option<Result<TrueRow, Trouble>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            if self.done {
                return None;
            }
            if let Err(trouble) = self.fill() {
                self.done = true;
                return Some(Err(trouble));
            }
        }
    }

    /// The next rows; a broken scan goes on behind the last row that came.
    fn fill(&mut self) -> Result<(), Trouble> {
        let mut tries = 1;
        let rows = loop {
            match self.bite() {
                Ok(rows) => break rows,
                Err(Trouble::Passing(_)) if tries < TRIES.max(self.round.len()) => {
                    tries += 1;
                    self.round.next();
                }
                Err(trouble) => return Err(trouble),
            }
        };
        self.done = rows.is_empty();
        self.bite = next_bite(self.bite, rows.iter().map(size).sum());
        for row in rows {
            let Some(offset) = row.row.as_deref().and_then(keys::event_offset) else { continue };
            self.offsets.start = offset + 1;
            self.ready.extend(true_row(&self.fences, offset, row.columns.unwrap_or_default()));
        }
        Ok(())
    }

    fn bite(&mut self) -> Result<Vec<TRowResult>, Trouble> {
        let (mut client, scanner) = match self.scanner.take() {
            Some(open) => open,
            None => self.open()?,
        };
        let rows = client
            .scanner_get_list(scanner, self.bite)
            .map_err(|error| trouble(&self.settings, &self.round.gateway(), "reading stored rows", &error))?;
        if rows.is_empty() {
            // The gateway forgets a scanner by itself too, later.
            let _ = client.scanner_close(scanner);
        } else {
            self.scanner = Some((client, scanner));
        }
        Ok(rows)
    }

    fn open(&mut self) -> Result<(Client, i32), Trouble> {
        let mut client = self.round.connect()?;
        let (start, stop) =
            (keys::event(self.partition, self.offsets.start), keys::event(self.partition, self.offsets.end));
        let scanner = client
            .scanner_open_with_scan(self.table.clone(), scan(start, stop, None, None), Default::default())
            .map_err(|error| trouble(&self.settings, &self.round.gateway(), "opening a scan", &error))?;
        Ok((client, scanner))
    }
}

/// How many rows to ask for after an answer of `rows` asked for, and so many bytes.
fn next_bite(rows: i32, bytes: usize) -> i32 {
    let fitting = i64::from(rows) * ANSWER_BYTES as i64 / (bytes.max(1) as i64);
    fitting.clamp(1, i64::from(rows) * 8).min(i64::from(MOST_ROWS)) as i32
}

fn size(row: &TRowResult) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    row.columns.iter().flatten().map(|(column, cell)| column.len() + length(&cell.value)).sum()
}

/// What is true of a row; none where nothing is. A row read is a merge by column, so each cell is judged.
fn true_row(fences: &Fences, offset: i64, cells: Cells) -> Option<TrueRow> {
    let fence = fences.at(offset)?;
    let at = i64::try_from(fence).ok()?;
    let cells: BTreeMap<_, _> = cells
        .into_iter()
        .filter(|(_, cell)| cell.timestamp == Some(at))
        .map(|(column, cell)| (column, cell.value.unwrap_or_default()))
        .collect();
    (!cells.is_empty()).then_some(TrueRow { offset, fence, cells })
}

/// The cells of a dead letter. Two are always there, so a letter is a row also when the record was empty.
pub(crate) fn letter_cells(letter: &DeadLetter) -> Vec<Mutation> {
    let DeadLetter {
        partition: _,
        fence: _,
        offset: _,
        source,
        time,
        reason,
        message,
        at,
        plugin,
        digest,
        length,
        value,
    } = letter;
    let text = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
    let cells = [
        (&b"d:reason"[..], Some(reason.clone().into_bytes())),
        (b"d:length", Some(length.to_string().into_bytes())),
        (b"d:source", text(source)),
        (b"d:time", time.map(|time| time.to_string().into_bytes())),
        (b"d:message", text(message)),
        (b"d:at", at.map(|at| at.to_string().into_bytes())),
        (b"d:plugin", text(plugin)),
        (b"d:digest", text(digest)),
        (b"d:value", (!value.is_empty()).then(|| value.clone())),
    ];
    cells.into_iter().filter_map(|(column, value)| Some(put(column, value?))).collect()
}

fn letter(partition: PartitionId, mut row: TrueRow) -> DeadLetter {
    let mut bytes = |column: &[u8]| row.cells.remove(column);
    let mut text = |column: &[u8]| bytes(column).map(|text| String::from_utf8_lossy(&text).into_owned());
    DeadLetter {
        partition,
        fence: row.fence,
        offset: row.offset,
        source: Arc::from(text(b"d:source").unwrap_or_default()),
        time: text(b"d:time").and_then(|time| time.parse().ok()),
        reason: text(b"d:reason").unwrap_or_default(),
        message: text(b"d:message").unwrap_or_default(),
        at: text(b"d:at").and_then(|at| at.parse().ok()),
        plugin: text(b"d:plugin").unwrap_or_default(),
        digest: text(b"d:digest").unwrap_or_default(),
        length: text(b"d:length").and_then(|length| length.parse().ok()).unwrap_or_default(),
        value: bytes(b"d:value").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use clickmill_tasks::row::PartitionRow;

    use super::*;

    fn fences(fences: &[(u64, i64)]) -> Fences {
        let row = PartitionRow { fences: fences.to_vec(), ..PartitionRow::default() };
        Fences::new(&row, &[]).unwrap()
    }

    #[test]
    fn only_cells_at_the_fence_of_their_offset_are_true() {
        let cell = |at| TCell { value: Some(b"x".to_vec()), timestamp: Some(at) };
        let row = |offset| {
            let cells = Cells::from([(b"a:x".to_vec(), cell(3)), (b"a:y".to_vec(), cell(5))]);
            true_row(&fences(&[(3, 10), (5, 20)]), offset, cells)
                .map(|row| row.cells.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(row(9), None);
        assert_eq!(row(10), Some(vec![b"a:x".to_vec()]));
        assert_eq!(row(19), Some(vec![b"a:x".to_vec()]));
        assert_eq!(row(20), Some(vec![b"a:y".to_vec()]));
        assert!(true_row(&fences(&[(4, 0)]), 1, Cells::from([(b"a:x".to_vec(), cell(3))])).is_none());
    }

    #[test]
    fn answers_grow_while_rows_are_small() {
        let bites = |size: usize| {
            let next = |bite: &i32| Some(next_bite(*bite, *bite as usize * size));
            std::iter::successors(Some(FIRST_ROWS), next).take(5).collect::<Vec<_>>()
        };
        assert_eq!(bites(400), [16, 128, 1000, 1000, 1000]);
        assert_eq!(bites(1 << 20), [16, 1, 1, 1, 1]);
        assert_eq!(bites(100 << 10), [16, 10, 10, 10, 10]);
        assert_eq!(next_bite(1, 0), 8);
    }

    #[test]
    fn a_dead_letter_comes_back() {
        let partition = PartitionId { partition: 2, log: 0 };
        let letter_in = DeadLetter {
            partition,
            fence: 7,
            offset: 9,
            source: "topic".into(),
            time: Some(-1),
            reason: "invalid-json".into(),
            message: "…".into(),
            at: Some(0),
            plugin: String::new(),
            digest: String::new(),
            length: 0,
            value: Vec::new(),
        };
        let cells =
            letter_cells(&letter_in).into_iter().map(|cell| (cell.column.unwrap(), cell.value.unwrap()));
        assert_eq!(letter(partition, TrueRow { offset: 9, fence: 7, cells: cells.collect() }), letter_in);
    }
}
