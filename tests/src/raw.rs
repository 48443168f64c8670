//! Lines as `clickmill generate` makes them, read by SQLite's own JSON functions: clicks and dead letters without a line of the
//! host's code. It knows just the spellings that such lines have.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::traffic::Click;

/// Query names that say where a visitor came from.
const TRACKING: [&str; 4] = ["gclid", "fbclid", "msclkid", "mc_cid"];

/// What lines are, by the contract.
#[derive(Debug, Default)]
pub struct Raw {
    pub clicks: Vec<Click>,
    pub dead: BTreeMap<String, u64>,
}

impl Raw {
    /// The lines of one partition, the first of offset 0.
    pub fn read(partition: u32, lines: &[u8]) -> rusqlite::Result<Raw> {
        let mut database = Connection::open_in_memory()?;
        database.execute_batch("create table raw (offset integer primary key, line text)")?;
        let mut raw = Raw::default();
        let insert = database.transaction()?;
        for (offset, line) in
            (0i64..).zip(lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n'))
        {
            match std::str::from_utf8(line) {
                Ok(line) => drop(insert.execute("insert into raw values (?, ?)", (offset, line))?),
                Err(_) => *raw.dead.entry("invalid-utf8".into()).or_default() += 1,
            }
        }
        insert.commit()?;
        let mut query = database.prepare(
            "select offset, reason, line ->> 'user_id', time, line ->> 'url', coalesce(line ->> 'country', 'ZZ') from (
                 select offset, time, iif(json_valid(line), line, '{}') as line, case
                     when not json_valid(line) then 'invalid-json'
                     when json_type(line) <> 'object' then 'not-an-object'
                     when coalesce(line ->> 'user_id', '') = '' then 'missing-field'
                     when time is null then 'invalid-timestamp'
                     when line ->> 'url' not like 'https://%' then 'invalid-url' end as reason
                 from (select *, iif(json_valid(line),
                     cast(round(unixepoch(line ->> 'timestamp', 'subsec') * 1000) as integer), null) as time from raw))
             order by offset",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            match row.get::<_, Option<String>>(1)? {
                Some(reason) => *raw.dead.entry(reason).or_default() += 1,
                None => raw.clicks.push(Click {
                    partition,
                    offset: row.get(0)?,
                    user: row.get(2)?,
                    time: row.get(3)?,
                    url: canonical(&row.get::<_, String>(4)?),
                    country: row.get(5)?,
                }),
            }
        }
        Ok(raw)
    }
}

/// These URLs are canonical but for the tracking names.
fn canonical(url: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/:.-".contains(&byte);
    let (page, query) = url.split_once('?').unwrap_or((url, ""));
    assert!(
        page.bytes().all(plain) && !url.contains(['#', '%']),
        "{url} has a spelling that nobody has thought of"
    );
    let tracking = |piece: &&str| {
        let name = piece.split('=').next().unwrap_or_default();
        name.starts_with("utm_") || TRACKING.contains(&name)
    };
    let kept: Vec<&str> = query.split('&').filter(|piece| !piece.is_empty() && !tracking(piece)).collect();
    if kept.is_empty() { page.into() } else { format!("{page}?{}", kept.join("&")) }
}
