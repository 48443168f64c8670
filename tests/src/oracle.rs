//! The answer by SQL over the same clicks, by a database that has nothing to do with the host.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::traffic::Click;

/// The windows of the default rollup.
const WINDOWS: [(&str, i64); 3] = [("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000)];

/// The numbers of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub clicks: i64,
    pub unique_users: i64,
    pub time_samples: i64,
    pub total_time_seconds: f64,
    pub avg_time_seconds: Option<f64>,
}

/// Window, start (RFC 3339), URL, country.
pub type Key = (String, String, String, String);

/// Every document that the clicks make.
pub fn answer(clicks: &[Click]) -> rusqlite::Result<BTreeMap<Key, Document>> {
    let mut database = Connection::open_in_memory()?;
    database.execute_batch(
        "create table click (partition integer, offset integer, user text, time integer, url text, country text)",
    )?;
    let insert = database.transaction()?;
    {
        let mut row = insert.prepare("insert into click values (?, ?, ?, ?, ?, ?)")?;
        for click in clicks {
            let Click { partition, offset, user, time, url, country } = click;
            row.execute((partition, offset, user, time, url, country))?;
        }
    }
    insert.commit()?;
    let mut documents = BTreeMap::new();
    for (window, size) in WINDOWS {
        let mut query = database.prepare(
            "with visit as (
                 select *, lead(time) over (partition by partition, user order by time, offset) - time as gap
                 from click
             ), measured as (
                 select *, case when gap <= 1800000 then gap end as spent from visit
             )
             select time - ((time % ?1) + ?1) % ?1 as start, url, country, count(*), count(distinct user),
                    count(spent), coalesce(sum(spent), 0)
             from measured group by 1, 2, 3",
        )?;
        let mut rows = query.query([size])?;
        while let Some(row) = rows.next()? {
            let (start, samples, spent): (i64, i64, i64) = (row.get(0)?, row.get(5)?, row.get(6)?);
            let start: String = database.query_row(
                "select strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')",
                [start / 1000],
                |row| row.get(0),
            )?;
            let total = spent as f64 / 1000.0;
            documents.insert(
                (window.to_owned(), start, row.get(1)?, row.get(2)?),
                Document {
                    clicks: row.get(3)?,
                    unique_users: row.get(4)?,
                    time_samples: samples,
                    total_time_seconds: total,
                    avg_time_seconds: (samples > 0).then(|| total / samples as f64),
                },
            );
        }
    }
    Ok(documents)
}

/// Says what differs, the first few of it; nothing if nothing does. Means may differ in the last bit that a double has.
pub fn compare(found: &BTreeMap<Key, Document>, wanted: &BTreeMap<Key, Document>) -> Result<(), String> {
    let mut faults = Vec::new();
    for (key, want) in wanted {
        match found.get(key) {
            None => faults.push(format!("{key:?} is missing, want {want:?}")),
            Some(have) if !equal(have, want) => faults.push(format!("{key:?}: {have:?}, want {want:?}")),
            Some(_) => {}
        }
    }
    for key in found.keys().filter(|key| !wanted.contains_key(*key)) {
        faults.push(format!("{key:?} is there and should not be"));
    }
    match faults.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} of {} documents differ:\n{}",
            wanted.len(),
            faults[..count.min(5)].join("\n")
        )),
    }
}

/// Says what of the first stored event that is not its click; nothing if each is. Both are in the order of the log.
pub fn compare_events(events: &[Value], clicks: &[Click]) -> Result<(), String> {
    if events.len() != clicks.len() {
        return Err(format!("{} events, want {}", events.len(), clicks.len()));
    }
    let database = Connection::open_in_memory().map_err(|error| error.to_string())?;
    let stored =
        "select strftime('%Y-%m-%dT%H:%M:%S', ?1 / 1000, 'unixepoch') || format('.%03dZ', ?1 % 1000)";
    let mut stored = database.prepare(stored).map_err(|error| error.to_string())?;
    for (event, click) in events.iter().zip(clicks) {
        let time: String =
            stored.query_row([click.time], |row| row.get(0)).map_err(|error| error.to_string())?;
        let wanted: [(&str, Value); 6] = [
            ("partition", click.partition.into()),
            ("offset", click.offset.into()),
            ("user_id", (*click.user).into()),
            ("timestamp", time.into()),
            ("url", (*click.url).into()),
            ("country", (*click.country).into()),
        ];
        if let Some((name, want)) = wanted.iter().find(|(name, want)| event[name] != *want) {
            return Err(format!("{name} is to be {want}: {event}"));
        }
    }
    Ok(())
}

fn equal(a: &Document, b: &Document) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
    let mean = match (a.avg_time_seconds, b.avg_time_seconds) {
        (Some(a), Some(b)) => near(a, b),
        (None, None) => true,
        _ => false,
    };
    mean && near(a.total_time_seconds, b.total_time_seconds)
        && (a.clicks, a.unique_users, a.time_samples) == (b.clicks, b.unique_users, b.time_samples)
}
