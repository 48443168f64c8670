//! The three tables: their names, what makes them unfit, what would be better about them.

use clickmill_columns::Family;
use clickmill_tasks::env::Trouble;
use hbase_thrift::hbase::{ColumnDescriptor, THbaseSyncClient};

use crate::pool::Pool;

/// The family of the state and dead-letter tables.
pub(crate) const STATE: &str = "s";
pub(crate) const LETTER: &str = "d";

/// The names of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) events: Vec<u8>,
    pub(crate) state: Vec<u8>,
    pub(crate) dead_letters: Vec<u8>,
}

impl Tables {
    pub(crate) fn new(table: &str) -> Tables {
        Tables {
            events: table.as_bytes().to_vec(),
            state: format!("{table}_state").into_bytes(),
            dead_letters: format!("{table}_dead_letters").into_bytes(),
        }
    }

    /// Each with its families.
    pub(crate) fn each(&self) -> [(&[u8], Vec<&'static str>); 3] {
        [
            (&self.events, Family::ALL.map(Family::name).to_vec()),
            (&self.state, vec![STATE]),
            (&self.dead_letters, vec![LETTER]),
        ]
    }
}

/// A part of a table, and who serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first key of it; empty: from the beginning.
    pub start: Vec<u8>,
    /// The region server's host and port; none while nobody has it.
    pub server: Option<String>,
}

fn name_of(family: &ColumnDescriptor) -> String {
    String::from_utf8_lossy(family.name.as_deref().unwrap_or_default()).trim_end_matches(':').to_owned()
}

/// What makes a table unfit, and how it is mended.
pub(crate) fn check(table: &str, wanted: &[&str], found: &[ColumnDescriptor]) -> Option<String> {
    for wanted in wanted {
        let Some(family) = found.iter().find(|family| name_of(family) == *wanted) else {
            return Some(format!(
                "the table {table} has no column family {wanted}; name another table in [store] table, or add the family \
                 (hbase shell: alter '{table}', NAME => '{wanted}', VERSIONS => 1)"
            ));
        };
        // Timestamps are fences, so any limit makes every row vanish at once.
        let forever = family.time_to_live.is_none_or(|seconds| seconds <= 0 || seconds == i32::MAX);
        if !forever {
            return Some(format!(
                "the column family {wanted} of the table {table} has a time to live, under which everything written there \
                 would vanish (hbase shell: alter '{table}', NAME => '{wanted}', TTL => 'FOREVER')"
            ));
        }
        if let Some(versions) = family.max_versions.filter(|versions| *versions > 1) {
            return Some(format!(
                "the column family {wanted} of the table {table} keeps {versions} versions of each cell, of which only the \
                 newest is ever read (hbase shell: alter '{table}', NAME => '{wanted}', VERSIONS => 1)"
            ));
        }
    }
    None
}

/// What would be better, though all works; for each table but those that are absent, with what to do.
pub(crate) async fn advice(pool: &Pool, tables: &Tables, absent: &[String]) -> Result<Vec<String>, Trouble> {
    let is_absent = |table: &[u8]| absent.iter().any(|absent| absent.as_bytes() == table);
    let mut lines = Vec::new();
    for (table, wanted) in tables.each() {
        if is_absent(table) {
            continue;
        }
        let shown = String::from_utf8_lossy(table).into_owned();
        let table = table.to_vec();
        let found = pool.call("looking at its tables", move |client| client.get_column_descriptors(table));
        let found: Vec<ColumnDescriptor> = found.await?.into_values().collect();
        let families = found.iter().filter(|family| wanted.contains(&name_of(family).as_str()));
        lines.extend(families.filter_map(|family| improvement(&shown, family)));
    }
    if !is_absent(&tables.events) && regions(pool, tables.events.clone()).await?.len() == 1 {
        let table = String::from_utf8_lossy(&tables.events);
        lines.push(format!(
            "the table {table} is one region, so one region server takes all events until HBase splits it; where there are \
             several, split it (hbase shell: split '{table}', \"\\x80\", then each half), or make it in several regions before \
             the first start"
        ));
    }
    Ok(lines)
}

/// The setting of a family that would be better, if any.
fn improvement(table: &str, family: &ColumnDescriptor) -> Option<String> {
    let mut better = Vec::new();
    let mut why = Vec::new();
    if family.compression.as_deref().is_none_or(|compression| compression.eq_ignore_ascii_case("NONE")) {
        better.push("COMPRESSION => 'GZ'");
        why.push("is not compressed");
    }
    if family.bloom_filter_type.as_deref().is_none_or(|bloom| bloom.eq_ignore_ascii_case("NONE")) {
        better.push("BLOOMFILTER => 'ROW'");
        why.push("has no bloom filter");
    }
    if family.block_cache_enabled == Some(false) {
        better.push("BLOCKCACHE => true");
        why.push("is not cached");
    }
    let name = name_of(family);
    (!better.is_empty()).then(|| {
        format!(
            "the column family {name} of the table {table} {} (hbase shell: alter '{table}', NAME => '{name}', {})",
            why.join(" and "),
            better.join(", ")
        )
    })
}

/// The regions of a table, in order.
pub(crate) async fn regions(pool: &Pool, table: Vec<u8>) -> Result<Vec<Region>, Trouble> {
    let found = pool.call("listing the regions of a table", move |client| client.get_table_regions(table));
    let mut regions: Vec<Region> = found
        .await?
        .into_iter()
        .map(|region| {
            let server = region.server_name.filter(|name| !name.is_empty()).map(|name| {
                format!("{}:{}", String::from_utf8_lossy(&name), region.port.unwrap_or_default())
            });
            Region { start: region.start_key.unwrap_or_default(), server }
        })
        .collect();
    regions.sort_by(|a, b| a.start.cmp(&b.start));
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutations::family;

    #[test]
    fn an_unfit_table_is_a_clear_error() {
        let found = |ttl| ColumnDescriptor { time_to_live: ttl, ..family("s", "NONE") };
        assert_eq!(check("t_state", &["s"], &[found(None)]), None);
        assert_eq!(check("t_state", &["s"], &[found(Some(i32::MAX))]), None);
        assert_eq!(
            check("t_state", &["s"], &[found(Some(60))]).unwrap(),
            "the column family s of the table t_state has a time to live, under which everything written there would vanish \
             (hbase shell: alter 't_state', NAME => 's', TTL => 'FOREVER')"
        );
        assert_eq!(
            check("t_state", &["s"], &[]).unwrap(),
            "the table t_state has no column family s; name another table in [store] table, or add the family (hbase shell: \
             alter 't_state', NAME => 's', VERSIONS => 1)"
        );
        let versions = ColumnDescriptor { max_versions: Some(3), ..family("s", "GZ") };
        assert_eq!(
            check("t_state", &["s"], &[versions]).unwrap(),
            "the column family s of the table t_state keeps 3 versions of each cell, of which only the newest is ever read \
             (hbase shell: alter 't_state', NAME => 's', VERSIONS => 1)"
        );
    }

    #[test]
    fn what_would_be_better_is_said_with_its_command() {
        assert_eq!(improvement("t", &family("s", "GZ")), None);
        let poor = ColumnDescriptor {
            bloom_filter_type: Some("NONE".into()),
            block_cache_enabled: Some(false),
            ..family("s", "NONE")
        };
        assert_eq!(
            improvement("t", &poor).unwrap(),
            "the column family s of the table t is not compressed and has no bloom filter and is not cached (hbase shell: \
             alter 't', NAME => 's', COMPRESSION => 'GZ', BLOOMFILTER => 'ROW', BLOCKCACHE => true)"
        );
    }
}
