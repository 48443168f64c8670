//! What there is of a store, before it is used: whether its tables are there, fit, and belong together. A store begins with its
//! three tables, then the store's own row in the state table, then all else. So whatever is there without what comes before it
//! was lost, and is never made anew: old events would lie over new ones, whose fences would begin at 1 again.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use clickmill_tasks::{env::Trouble, name::TaskId};
use hbase_thrift::hbase::{ColumnDescriptor, THbaseSyncClient};

use crate::{
    connection::Client,
    keys::{self, KEYS_ONLY, VALUE},
    mutations::{family, scan},
    pool::Pool,
    tables::{Tables, check},
    trouble::{already_exists, name, names},
};

/// What it means that tables are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The store is new, and they are made: for who runs.
    Make,
    /// There is no store: for who reads one.
    Refuse,
    /// The store is empty; nothing is made: for who looks whether all is ready.
    Tell,
}

/// Tables of different moments are no store: fences of the one would lie below those of the other. Nor is the index of a later moment
/// its answer, for its documents have later versions.
const RESTORE: &str =
    "restore all three tables from snapshots of one moment, delete the indices and run `clickmill reindex`";

/// How long a table may be neither absent nor enabled: another host makes it, or somebody enables it.
const IN_BETWEEN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Makes sure of all three tables; the names of those that are absent and may be. Final troubles: a table is unfit, tables are
/// absent that may not be, or a part of the store was lost.
pub(crate) async fn ensure(pool: &Pool, tables: &Tables, absent: Absent) -> Result<Vec<String>, Trouble> {
    let mut seen = see(pool, tables).await?;
    if matches!(seen, Seen::Lost(_)) {
        // Another host may have begun the store between one look and the other. It has made all three tables by now.
        seen = see(pool, tables).await?;
    }
    let missing = match seen {
        Seen::Lost(what) => return Err(unfit(pool, &what)),
        Seen::Whole => return Ok(Vec::new()),
        Seen::New(missing) => missing,
    };
    match absent {
        Absent::Make => {
            for (table, families) in tables.each() {
                if missing.iter().any(|missing| missing.as_bytes() == table) {
                    make(pool, table, &families).await?;
                }
            }
            Ok(Vec::new())
        }
        Absent::Refuse if !missing.is_empty() => Err(unfit(
            pool,
            &format!(
                "there is no store: {}; name the right one in [store] table, or begin a new store with `clickmill run`",
                are_absent(&missing)
            ),
        )),
        Absent::Refuse | Absent::Tell => Ok(missing),
    }
}

enum Seen {
    /// The store was begun, and its tables are there.
    Whole,
    /// It was not begun; the tables that are absent.
    New(Vec<String>),
    /// What is there, and what is not, of a store that was begun.
    Lost(String),
}

/// Looks at the tables and for what is in them.
async fn see(pool: &Pool, tables: &Tables) -> Result<Seen, Trouble> {
    let mut missing = Vec::new();
    for (table, families) in tables.each() {
        if !is_there(pool, table, &families, Found::rests).await? {
            missing.push(shown(table));
        }
    }
    let has = |table: &[u8]| missing.iter().all(|missing| missing.as_bytes() != table);
    let state = shown(&tables.state);
    if has(&tables.state) && has_own_row(pool, tables).await? {
        return Ok(match missing.is_empty() {
            true => Seen::Whole,
            false => Seen::Lost(format!(
                "{}, though the table {state} has the rest of the store: {RESTORE}, or name another table in [store] table for a \
                 new store",
                are_absent(&missing)
            )),
        });
    }
    let mut filled = Vec::new();
    for table in [&tables.events, &tables.dead_letters] {
        if has(table) && has_rows(pool, table).await? {
            filled.push(shown(table));
        }
    }
    if filled.is_empty() {
        return Ok(Seen::New(missing));
    }
    let what = if has(&tables.state) { "has no row of the store" } else { "is absent" };
    let truncate: Vec<String> = filled.iter().map(|table| format!("truncate '{table}'")).collect();
    Ok(Seen::Lost(format!(
        "the table {state} {what}, though there are rows in {}: the state of this store was lost, and events of a \
         new one would lie unseen under the old ones; {RESTORE}, or name another table in [store] table for a new store, or give up the old rows (hbase shell: {})",
        filled.join(" and "),
        truncate.join(", then ")
    )))
}

/// Whether the state table has the store's own row.
async fn has_own_row(pool: &Pool, tables: &Tables) -> Result<bool, Trouble> {
    let (table, key) = (tables.state.clone(), keys::task_row(TaskId::Meta));
    let cells = pool.call("looking for the store's row", move |client| {
        client.get(table, key, VALUE.to_vec(), BTreeMap::new())
    });
    Ok(!cells.await?.is_empty())
}

async fn has_rows(pool: &Pool, table: &[u8]) -> Result<bool, Trouble> {
    let table = table.to_vec();
    let rows = pool.call("looking for rows", move |client| {
        let all = scan(Vec::new(), Vec::new(), None, Some(KEYS_ONLY));
        let scanner = client.scanner_open_with_scan(table, all, BTreeMap::new())?;
        let rows = client.scanner_get_list(scanner, 1)?;
        client.scanner_close(scanner)?;
        Ok(rows)
    });
    Ok(!rows.await?.is_empty())
}

/// Makes a table; also where another host does so at the same time.
async fn make(pool: &Pool, table: &[u8], families: &[&'static str]) -> Result<(), Trouble> {
    let (made, of) = (table.to_vec(), families.to_vec());
    pool.call("making its tables", move |client| create(client, &made, &of)).await?;
    match is_there(pool, table, families, Found::is_enabled).await? {
        true => Ok(()),
        false => Err(Trouble::Passing(format!(
            "{}: the table {} was made and is not there yet",
            name(pool.settings()),
            shown(table)
        ))),
    }
}

/// Whether there is a table, once it is `settled` or has had time to be. A final trouble where it is unfit.
async fn is_there(
    pool: &Pool,
    table: &[u8],
    families: &[&'static str],
    settled: fn(&Found) -> bool,
) -> Result<bool, Trouble> {
    let (looked_at, of, until) = (table.to_vec(), families.to_vec(), Instant::now() + IN_BETWEEN);
    let found = pool.call("making sure of its tables", move |client| {
        loop {
            let found = look(client, &looked_at, &of)?;
            if settled(&found) || Instant::now() > until {
                return Ok(found);
            }
            thread::sleep(PAUSE);
        }
    });
    let table = shown(table);
    let problem = match found.await? {
        Found::Absent => return Ok(false),
        Found::Disabled => {
            Some(format!("the table {table} is disabled; enable it (hbase shell: enable '{table}')"))
        }
        Found::Enabled(found) => check(&table, families, &found),
    };
    problem.map_or(Ok(true), |problem| Err(unfit(pool, &problem)))
}

enum Found {
    Absent,
    /// Or about to be enabled: the gateway does not tell the one from the other.
    Disabled,
    Enabled(Vec<ColumnDescriptor>),
}

impl Found {
    fn is_enabled(&self) -> bool {
        matches!(self, Found::Enabled(_))
    }

    fn rests(&self) -> bool {
        !matches!(self, Found::Disabled)
    }
}

fn look(client: &mut Client, table: &[u8], families: &[&str]) -> thrift::Result<Found> {
    match descriptors(client, table, families) {
        Ok(Some(found)) => Ok(Found::Enabled(found)),
        Ok(None) => Ok(Found::Disabled),
        Err(error) if names(&error, "TableNotEnabledException") => Ok(Found::Disabled),
        Err(error) if names(&error, "TableNotFoundException") => Ok(Found::Absent),
        Err(error) => Err(error),
    }
}

/// Whether a table is there is asked of the region servers: the master's own list of tables is long in coming, or does not come
/// at all, while there is no master. Only what the table's families are like, and making it, is the master's to say.
fn descriptors(
    client: &mut Client,
    table: &[u8],
    families: &[&str],
) -> thrift::Result<Option<Vec<ColumnDescriptor>>> {
    let columns = families.iter().map(|family| family.as_bytes().to_vec()).collect();
    let read = client.get_row_with_columns(table.to_vec(), b"?".to_vec(), columns, BTreeMap::new());
    match read {
        Err(error) if !names(&error, "NoSuchColumnFamilyException") => return Err(error),
        _ => {}
    }
    let found = client.get_column_descriptors(table.to_vec())?;
    let enabled = client.is_table_enabled(table.to_vec())?;
    Ok(enabled.then(|| found.into_values().collect()))
}

/// Compressed where the region servers can. The gateway's interface has no split keys: the table is one region.
fn create(client: &mut Client, table: &[u8], families: &[&str]) -> thrift::Result<()> {
    let mut create = |compression| {
        let families = families.iter().map(|name| family(name, compression)).collect();
        match client.create_table(table.to_vec(), families) {
            // By another host, meanwhile.
            Err(error) if already_exists(&error) => Ok(()),
            made => made,
        }
    };
    match create("GZ") {
        Err(error) if names(&error, REFUSED) => create("NONE"),
        made => made,
    }
}

/// What HBase says of a table whose description it does not take, a codec that it lacks above all.
const REFUSED: &str = "hbase.table.sanity.checks";

fn are_absent(tables: &[String]) -> String {
    match tables {
        [table] => format!("the table {table} is absent"),
        tables => format!("the tables {} are absent", tables.join(", ")),
    }
}

fn shown(table: &[u8]) -> String {
    String::from_utf8_lossy(table).into_owned()
}

fn unfit(pool: &Pool, what: &str) -> Trouble {
    Trouble::Final(format!("{}: {what}", name(pool.settings())))
}
