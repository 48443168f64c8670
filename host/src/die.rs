//! Dying on purpose: the environment variable `CLICKMILL_DIE_AT` names a point of a commit, and the process ends there, at once
//! and without a word to anybody, as if it had been killed. For tests of what the next host makes of it.

use std::sync::atomic::{AtomicU32, Ordering};

use clickmill_tasks::{Point, name::TaskId};

use crate::error::Error;

const VARIABLE: &str = "CLICKMILL_DIE_AT";

/// Where to die.
#[derive(Debug)]
pub struct Die {
    shards: bool,
    point: Point,
    /// Passages that are still survived.
    left: AtomicU32,
}

impl Die {
    /// As the environment says: `partition-swapped` or `shard-indexed:5`, the fifth time that a task of that kind comes there.
    pub fn from_environment() -> Result<Option<Die>, Error> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
        parse(&text.to_string_lossy())
            .map(Some)
            .map_err(|fault| Error::Usage(format!("the environment variable {VARIABLE}: {fault}")))
    }

    /// A task has come to a point.
    pub fn reached(&self, task: TaskId, point: Point) {
        let kind = match task {
            TaskId::Partition(_) => !self.shards,
            TaskId::Shard(_) => self.shards,
            TaskId::Meta => false,
        };
        if kind && point == self.point && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            tracing::warn!("{task} dies at {point}, as {VARIABLE} says");
            std::process::abort();
        }
    }
}

fn parse(text: &str) -> Result<Die, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => {
            let count = count.parse().ok().filter(|count| *count > 0);
            (name, count.ok_or_else(|| format!("`{text}` ends in no count, from 1 on"))?)
        }
        None => (text, 1),
    };
    let (kind, point) = name.split_once('-').unwrap_or((name, ""));
    let shards = match kind {
        "partition" => false,
        "shard" => true,
        _ => return Err(format!("`{text}` begins with neither `partition-` nor `shard-`")),
    };
    Ok(Die { shards, point: point.parse()?, left: AtomicU32::new(count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_by_task_point_and_count() {
        let die = parse("shard-indexed:5").unwrap();
        assert_eq!((die.shards, die.point, die.left.into_inner()), (true, Point::Indexed, 5));
        for point in Point::ALL {
            assert_eq!(parse(&format!("partition-{point}")).unwrap().point, point);
        }
        let fault = |text| parse(text).unwrap_err();
        assert_eq!(fault("host-written"), "`host-written` begins with neither `partition-` nor `shard-`");
        assert_eq!(fault("shard-written:0"), "`shard-written:0` ends in no count, from 1 on");
        assert_eq!(
            fault("shard-dead"),
            "`dead` is no point of a commit; there are taken-over, written, swapped, handed-on, tidied, indexed"
        );
    }
}
