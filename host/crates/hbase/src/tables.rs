//! The three tables: made where they are absent, looked at where they are not.

use clickmill_columns::Family;
use clickmill_settings::Hbase;
use clickmill_tasks::env::Trouble;
use hbase_thrift::hbase::{ColumnDescriptor, THbaseSyncClient};

use crate::{
    connection::Client,
    mutations::family,
    pool::Pool,
    trouble::{already_exists, name, spoils},
};

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
}

/// Makes sure of all three.
pub(crate) async fn ensure(pool: &Pool, tables: &Tables) -> Result<(), Trouble> {
    let events = Family::ALL.map(Family::name);
    for (table, families) in
        [(&tables.events, &events[..]), (&tables.state, &[STATE][..]), (&tables.dead_letters, &[LETTER][..])]
    {
        let families: Vec<String> = families.iter().map(ToString::to_string).collect();
        let (table, wanted) = (table.clone(), families.clone());
        let shown = String::from_utf8_lossy(&table).into_owned();
        let found = pool.call("making sure of its tables", move |client| {
            if !client.get_table_names()?.contains(&table) {
                create(client, &table, &wanted)?;
            }
            client.get_column_descriptors(table)
        });
        check(pool.settings(), &shown, &families, found.await?.into_values())?;
    }
    Ok(())
}

/// Compressed where the region servers can.
fn create(client: &mut Client, table: &[u8], families: &[String]) -> thrift::Result<()> {
    let mut made = Ok(());
    for compression in ["GZ", "NONE"] {
        let families = families.iter().map(|name| family(name, compression)).collect();
        made = client.create_table(table.to_vec(), families);
        match &made {
            Ok(()) => break,
            // By another host, meanwhile.
            Err(error) if already_exists(error) => return Ok(()),
            Err(error) if spoils(error) => break,
            Err(_) => {}
        }
    }
    made
}

fn check(
    settings: &Hbase,
    table: &str,
    wanted: &[String],
    found: impl Iterator<Item = ColumnDescriptor>,
) -> Result<(), Trouble> {
    let found: Vec<ColumnDescriptor> = found.collect();
    for wanted in wanted {
        let name_of = |family: &ColumnDescriptor| {
            String::from_utf8_lossy(family.name.as_deref().unwrap_or_default())
                .trim_end_matches(':')
                .to_owned()
        };
        let Some(family) = found.iter().find(|family| name_of(family) == *wanted) else {
            return Err(Trouble::Final(format!(
                "{}: the table {table} has no column family {wanted}; name another table in [store] table, or add \
                 the family (hbase shell: alter '{table}', '{wanted}')",
                name(settings)
            )));
        };
        // Timestamps are fences, so any limit makes every row vanish at once.
        let forever = family.time_to_live.is_none_or(|seconds| seconds <= 0 || seconds == i32::MAX);
        if !forever {
            return Err(Trouble::Final(format!(
                "{}: the column family {wanted} of the table {table} has a time to live, under which everything \
                 written there would vanish (hbase shell: alter '{table}', NAME => '{wanted}', TTL => 'FOREVER')",
                name(settings)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_table_is_a_clear_error() {
        let wanted = ["s".to_owned()];
        let found = |ttl| ColumnDescriptor { time_to_live: ttl, ..family("s", "NONE") };
        let settings = Hbase::default();
        assert_eq!(check(&settings, "t_state", &wanted, [found(None)].into_iter()), Ok(()));
        assert_eq!(check(&settings, "t_state", &wanted, [found(Some(i32::MAX))].into_iter()), Ok(()));
        let Err(Trouble::Final(text)) = check(&settings, "t_state", &wanted, [found(Some(60))].into_iter())
        else {
            panic!()
        };
        assert!(text.contains("time to live"), "{text}");
        let Err(Trouble::Final(text)) = check(&settings, "t_state", &wanted, [].into_iter()) else {
            panic!()
        };
        assert!(text.contains("alter 't_state', 's'"), "{text}");
    }
}
