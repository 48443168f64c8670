//! The store over the tables. One cell a task row, one cell a part, one cell a field of an event or one a family of its fields.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use clickmill_settings::{Gateway, Hbase};
use clickmill_tasks::{
    batch::{DeadLetter, EventBatch},
    env::{ColdCell, ColdPage, Store, Trouble},
    name::{PartName, TaskId},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use hbase_thrift::hbase::{BatchMutation, THbaseSyncClient, TRowResult};

use crate::{
    connection::Client,
    events::Format,
    keys::{self, Cold, KEYS_ONLY, NAME, VALUE},
    message::Message,
    mutations::{CALL_BYTES, CALL_ROWS, calls, delete, put, row, scan},
    opening::{Absent, ensure},
    parts::{pack, unpack},
    pool::Pool,
    read::letter_cells,
    round::Round,
    tables::{self, Region, Tables},
    trouble::trouble,
};

const SCAN_ROWS: i32 = 1000;
/// Cells of cold state in an answer: a cell may be some ten thousand bytes, and they are all in one message.
const COLD: usize = 200;

/// The store in HBase. Several hosts may use it at once.
pub struct HbaseStore {
    pool: Pool,
    tables: Tables,
    /// The tables that are absent; none but where they may be.
    absent: Vec<String>,
    /// Calls in flight of one batch.
    parallel: usize,
}

impl HbaseStore {
    /// Connects, and checks the tables; `absent` says what is to become of those that are not there. Fails with a passing
    /// trouble where no gateway answers, with a final one where a table is not ours to use, where there is no store and there
    /// should be, and where a part of it was lost.
    pub async fn open(settings: &Hbase, absent: Absent) -> Result<HbaseStore, Trouble> {
        let (pool, tables) = (Pool::new(settings)?, Tables::new(&settings.table));
        let mut tries = settings.gateways.len();
        loop {
            tries = tries.saturating_sub(1);
            match ensure(&pool, &tables, absent).await {
                // The thread that found its gateway wanting has turned to the next one.
                Err(Trouble::Passing(_)) if tries > 0 => {}
                Err(trouble) => return Err(trouble),
                Ok(absent) => {
                    let parallel = 2 * settings.connections.max(1);
                    return Ok(HbaseStore { pool, tables, absent, parallel });
                }
            }
        }
    }

    /// Asks each gateway by itself; blocks, for commands. Of several, a store uses whichever answers, so one that is wrong would
    /// go unnoticed until another one fails.
    pub fn gateways(settings: &Hbase) -> Vec<(Gateway, Result<(), Trouble>)> {
        let table = Tables::new(&settings.table).events;
        let ask = |gateway: &Gateway| {
            let mut round = Round::new(&Hbase { gateways: vec![gateway.clone()], ..settings.clone() }, 0);
            // Also where there is no such table yet, and without the master.
            let regions = round.connect()?.get_table_regions(table.clone());
            regions.map(|_| ()).map_err(|error| trouble(settings, gateway, "asking for a table", &error))
        };
        settings.gateways.iter().map(|gateway| (gateway.clone(), ask(gateway))).collect()
    }

    /// The tables that are absent, of a store that was opened to be told so ([`Absent::Tell`]).
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Where there is no state table there is no state.
    fn is_stateless(&self) -> bool {
        self.absent.iter().any(|table| table.as_bytes() == self.tables.state)
    }

    /// The regions of the event table, in order of their keys. Partitions are spread over the keys evenly, so over these.
    pub async fn regions(&self) -> Result<Vec<Region>, Trouble> {
        tables::regions(&self.pool, self.tables.events.clone()).await
    }

    /// What would be better about the tables, though all works: a line each, with what to do. Asks the master, so it waits
    /// while there is none.
    pub async fn advice(&self) -> Result<Vec<String>, Trouble> {
        tables::advice(&self.pool, &self.tables, &self.absent).await
    }

    /// Disables the tables of a store, all of which must be there: HBase writes out what it has of them in memory, and does no more
    /// for them.
    pub async fn disable(settings: &Hbase) -> Result<(), Trouble> {
        let pool = Pool::new(settings)?;
        for (table, _) in Tables::new(&settings.table).each() {
            let table = table.to_vec();
            pool.call("disabling its tables", move |client| client.disable_table(table)).await?;
        }
        Ok(())
    }

    /// Sends calls, a few at a time, until all are acknowledged or one is not.
    async fn send(
        &self,
        doing: &'static str,
        table: &[u8],
        timestamp: i64,
        rows: impl Iterator<Item = BatchMutation>,
    ) -> Result<(), Trouble> {
        let mut flying = FuturesUnordered::new();
        for call in calls(rows) {
            if flying.len() == self.parallel {
                flying.next().await.transpose()?;
            }
            let table = table.to_vec();
            flying.push(self.pool.call(doing, move |client| {
                client.mutate_rows_ts(table, call, timestamp, Default::default())
            }));
        }
        while flying.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn value(&self, doing: &'static str, key: Vec<u8>) -> Result<Option<Vec<u8>>, Trouble> {
        if self.is_stateless() {
            return Ok(None);
        }
        let table = self.tables.state.clone();
        let cells =
            self.pool.call(doing, move |client| client.get(table, key, VALUE.to_vec(), Default::default()));
        Ok(cells.await?.into_iter().next().map(|cell| cell.value.unwrap_or_default()))
    }

    async fn rows(
        &self,
        doing: &'static str,
        prefix: Vec<u8>,
        columns: Option<Vec<Vec<u8>>>,
        filter: Option<&'static str>,
    ) -> Result<Vec<TRowResult>, Trouble> {
        if self.is_stateless() {
            return Ok(Vec::new());
        }
        let table = self.tables.state.clone();
        self.pool.call(doing, move |client| scan_prefix(client, table, prefix, columns, filter)).await
    }

    async fn keys(&self, doing: &'static str, prefix: Vec<u8>) -> Result<Vec<Vec<u8>>, Trouble> {
        let rows = self.rows(doing, prefix, None, Some(KEYS_ONLY)).await?;
        Ok(rows.into_iter().filter_map(|row| row.row).collect())
    }
}

fn scan_prefix(
    client: &mut Client,
    table: Vec<u8>,
    prefix: Vec<u8>,
    columns: Option<Vec<Vec<u8>>>,
    filter: Option<&str>,
) -> thrift::Result<Vec<TRowResult>> {
    let end = keys::behind(&prefix);
    let scanner =
        client.scanner_open_with_scan(table, scan(prefix, end, columns, filter), Default::default())?;
    let mut all = Vec::new();
    loop {
        let mut rows = client.scanner_get_list(scanner, SCAN_ROWS)?;
        if rows.is_empty() {
            client.scanner_close(scanner)?;
            return Ok(all);
        }
        all.append(&mut rows);
    }
}

/// A fence or commit as a timestamp.
fn timestamp(number: u64) -> Result<i64, Trouble> {
    i64::try_from(number).map_err(|_| Trouble::Final(format!("the number {number} is no timestamp of HBase")))
}

impl Store for HbaseStore {
    async fn read_row(&self, task: TaskId) -> Result<Option<Vec<u8>>, Trouble> {
        self.value("reading a task's row", keys::task_row(task)).await
    }

    async fn swap_row(&self, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Trouble> {
        // To HBase an empty value and none are the same.
        if new.is_empty() || old.is_some_and(<[u8]>::is_empty) {
            return Err(Trouble::Final(format!("the row of {task} would be empty")));
        }
        let (table, key) = (self.tables.state.clone(), keys::task_row(task));
        let (old, new) = (old.unwrap_or_default().to_vec(), put(VALUE, new.to_vec()));
        let swapped = self.pool.call("swapping a task's row", move |client| {
            client.check_and_put(table, key, VALUE.to_vec(), old, new, Default::default())
        });
        swapped.await
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, Trouble> {
        let keys = self.keys("listing the tasks", keys::ROWS.to_vec()).await?;
        Ok(keys.iter().filter_map(|key| keys::task_of_row(key)).collect())
    }

    async fn put_part(&self, name: PartName, bytes: Arc<[u8]>) -> Result<(), Trouble> {
        let (table, key) = (self.tables.state.clone(), keys::part(name));
        let at = timestamp(name.block.fence)?;
        let written = self.pool.call("writing a block", move |client| {
            client.mutate_row_ts(table, key, vec![put(VALUE, pack(&bytes)?)], at, Default::default())
        });
        written.await
    }

    async fn get_part(&self, name: PartName) -> Result<Option<Arc<[u8]>>, Trouble> {
        let cell = self.value("reading a block", keys::part(name)).await?;
        cell.map(|cell| unpack(name, &cell)).transpose()
    }

    async fn list_parts(&self, task: TaskId) -> Result<Vec<PartName>, Trouble> {
        let keys = self.keys("listing blocks", keys::task_parts(task)).await?;
        Ok(keys.iter().filter_map(|key| keys::part_of(key)).collect())
    }

    async fn delete_parts(&self, names: &[PartName]) -> Result<(), Trouble> {
        // A delete hides what is at and below its timestamp, and names never recur.
        let newest = names.iter().map(|name| name.block.fence).max().unwrap_or_default();
        let rows = names.iter().map(|name| row(keys::part(*name), vec![delete(VALUE)]));
        self.send("deleting blocks", &self.tables.state, timestamp(newest)?, rows).await
    }

    async fn put_events(&self, batch: Arc<EventBatch>) -> Result<(), Trouble> {
        let at = timestamp(batch.fence)?;
        let format = Arc::new(Format::new(&batch.columns, self.pool.settings().layout));
        let mut flying = FuturesUnordered::new();
        for first in (0..batch.offsets.len()).step_by(CALL_ROWS) {
            if flying.len() == self.parallel {
                flying.next().await.transpose()?;
            }
            let (table, batch, format) = (self.tables.events.clone(), batch.clone(), format.clone());
            // Rows are made where they are sent, by a thread of the pool, and never more than a call of them.
            flying.push(self.pool.call("writing events", move |client| {
                let mut message = Message::default();
                for event in first..batch.offsets.len().min(first + CALL_ROWS) {
                    format.push(&mut message, &batch, event);
                    if message.size() > CALL_BYTES / 2 {
                        message.send(client, &table, &format.names, at)?;
                    }
                }
                message.send(client, &table, &format.names, at)
            }));
        }
        while flying.next().await.transpose()?.is_some() {}
        Ok(())
    }

    fn settle(&self, _task: TaskId) {}

    async fn put_dead_letters(&self, letters: Rc<[DeadLetter]>) -> Result<(), Trouble> {
        for same in letters.chunk_by(|a, b| a.fence == b.fence) {
            let at = timestamp(same[0].fence)?;
            let rows = same
                .iter()
                .map(|letter| row(keys::event(letter.partition, letter.offset), letter_cells(letter)));
            self.send("writing dead letters", &self.tables.dead_letters, at, rows).await?;
            let families = clickmill_columns::Family::ALL.map(|family| family.name().as_bytes());
            let rows = same.iter().map(|letter| {
                let deletes = families.iter().map(|family| delete(family)).collect();
                row(keys::event(letter.partition, letter.offset), deletes)
            });
            self.send("deleting events that became dead letters", &self.tables.events, at, rows).await?;
        }
        Ok(())
    }

    async fn freeze(&self, task: TaskId, commit: u64, cells: Rc<[ColdCell]>) -> Result<(), Trouble> {
        let rows = cells.iter().map(|cell| {
            let value = put(VALUE, cell.value.clone());
            match keys::cold(task, &cell.name) {
                Cold::Plain(key) => row(key, vec![value]),
                Cold::Hashed(key) => row(key, vec![value, put(NAME, cell.name.clone())]),
            }
        });
        self.send("writing cold state", &self.tables.state, timestamp(commit)?, rows).await
    }

    async fn thaw(&self, task: TaskId, names: Rc<[Vec<u8>]>) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
        let keys: Vec<Vec<u8>> = names
            .iter()
            .map(|name| {
                let (Cold::Plain(key) | Cold::Hashed(key)) = keys::cold(task, name);
                key
            })
            .collect();
        let (mut flying, mut found) = (FuturesUnordered::new(), HashMap::new());
        for call in keys.chunks(COLD) {
            if flying.len() == self.parallel {
                found.extend(values_by_key(flying.next().await.transpose()?));
            }
            let (table, call) = (self.tables.state.clone(), call.to_vec());
            flying.push(self.pool.call("reading cold state", move |client| {
                client.get_rows_with_columns(table, call, vec![VALUE.to_vec()], Default::default())
            }));
        }
        while let Some(rows) = flying.next().await.transpose()? {
            found.extend(values_by_key(Some(rows)));
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn frozen(&self, task: TaskId, from: &[u8], most: usize) -> Result<ColdPage, Trouble> {
        let prefix = keys::cold_state(task);
        let from = if from.is_empty() { prefix.clone() } else { from.to_vec() };
        let most = most.clamp(1, COLD) as i32;
        let (table, end) = (self.tables.state.clone(), keys::behind(&prefix));
        let rows = self.pool.call("listing cold state", move |client| {
            let scan = scan(from, end, None, None);
            let scanner = client.scanner_open_with_scan(table, scan, Default::default())?;
            let rows = client.scanner_get_list(scanner, most)?;
            client.scanner_close(scanner)?;
            Ok(rows)
        });
        let mut page = ColdPage::default();
        for row in rows.await? {
            let (key, mut cells) = (row.row.unwrap_or_default(), row.columns.unwrap_or_default());
            // The next page begins at the first key behind this one.
            page.next = Some([&key[..], &[0]].concat());
            let Some(value) = cells.remove(VALUE) else { continue };
            let commit = value.timestamp.and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
            let name = match cells.remove(NAME) {
                Some(name) => name.value.unwrap_or_default(),
                None => keys::cold_name(task, &key).unwrap_or_default().to_vec(),
            };
            page.cells.push((commit, ColdCell { name, value: value.value.unwrap_or_default() }));
        }
        Ok(page)
    }
}

/// Rows that are not there are left out of an answer, so it is matched by key.
fn values_by_key(rows: Option<Vec<TRowResult>>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    rows.into_iter().flatten().filter_map(|row| {
        let cell = row.columns?.into_values().next()?;
        Some((row.row?, cell.value?))
    })
}
