//! Row keys: fixed width and big-endian, so that they sort as what they name; and the state table's columns. Part of the store's format.
//!
//! Events and dead letters: a spread of two bytes, made of the partition, so that partitions lie far apart and one partition's
//! events in order; then partition, log, offset. The state table: `r/` task rows, `b/` parts of blocks, `c/` cold state.

use clickmill_tasks::name::{BlockKind, BlockName, PartName, PartitionId, TaskId};
use xxhash_rust::xxh3::xxh3_128;

/// Longer names are kept under a hash: a row key has at most 32,767 bytes.
const LONGEST_NAME: usize = 16 << 10;

/// The cell of a task row, of a part and of cold state.
pub(crate) const VALUE: &[u8] = b"s:v";
/// What cold state is of, where its key bears only a hash.
pub(crate) const NAME: &[u8] = b"s:g";
/// Only keys are wanted: one cell a row, without its value.
pub(crate) const KEYS_ONLY: &str = "FirstKeyOnlyFilter() AND KeyOnlyFilter()";

/// Before a task's own bytes; all task rows.
pub(crate) const ROWS: &[u8] = b"r/";

/// The key of a record's place in the log. Offsets are never negative.
pub(crate) fn event(partition: PartitionId, offset: i64) -> Vec<u8> {
    let mut key = partition_events(partition);
    key.extend_from_slice(&offset.to_be_bytes());
    key
}

/// The prefix of a partition's events and dead letters.
pub(crate) fn partition_events(partition: PartitionId) -> Vec<u8> {
    // Fibonacci hashing: any run of partition numbers is spread evenly.
    let spread = (partition.partition.wrapping_mul(0x9e37_79b1) >> 16) as u16;
    let mut key = Vec::with_capacity(18);
    key.extend_from_slice(&spread.to_be_bytes());
    key.extend_from_slice(&partition.partition.to_be_bytes());
    key.extend_from_slice(&partition.log.to_be_bytes());
    key
}

pub(crate) fn event_offset(key: &[u8]) -> Option<i64> {
    key.get(10..).and_then(|offset| offset.try_into().ok()).map(i64::from_be_bytes)
}

pub(crate) fn task_row(task: TaskId) -> Vec<u8> {
    let mut key = ROWS.to_vec();
    push_task(&mut key, task);
    key
}

pub(crate) fn task_of_row(key: &[u8]) -> Option<TaskId> {
    let mut rest = key.strip_prefix(ROWS)?;
    take_task(&mut rest).filter(|_| rest.is_empty())
}

/// The prefix of a task's parts.
pub(crate) fn task_parts(task: TaskId) -> Vec<u8> {
    let mut key = b"b/".to_vec();
    push_task(&mut key, task);
    key
}

pub(crate) fn part(name: PartName) -> Vec<u8> {
    let PartName { block: BlockName { task, fence, commit, kind, number }, part } = name;
    let mut key = task_parts(task);
    key.extend_from_slice(&fence.to_be_bytes());
    key.extend_from_slice(&commit.to_be_bytes());
    key.push(kind_code(kind));
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

pub(crate) fn part_of(key: &[u8]) -> Option<PartName> {
    let mut rest = key.strip_prefix(b"b/")?;
    let task = take_task(&mut rest)?;
    let fence = u64::from_be_bytes(take(&mut rest)?);
    let commit = u64::from_be_bytes(take(&mut rest)?);
    let kind = kind_of_code(u8::from_be_bytes(take(&mut rest)?))?;
    let number = u32::from_be_bytes(take(&mut rest)?);
    let part = u32::from_be_bytes(take(&mut rest)?);
    rest.is_empty().then_some(PartName { block: BlockName { task, fence, commit, kind, number }, part })
}

/// Where cold state lies.
pub(crate) enum Cold {
    /// The key bears the name.
    Plain(Vec<u8>),
    /// The key bears a hash; the name is in a cell beside the value.
    Hashed(Vec<u8>),
}

pub(crate) fn cold(task: TaskId, name: &[u8]) -> Cold {
    let mut key = cold_state(task);
    if name.len() <= LONGEST_NAME {
        key.push(PLAIN);
        key.extend_from_slice(name);
        Cold::Plain(key)
    } else {
        key.push(HASHED);
        key.extend_from_slice(&xxh3_128(name).to_be_bytes());
        Cold::Hashed(key)
    }
}

/// The name that a key bears; none where it bears a hash.
pub(crate) fn cold_name(task: TaskId, key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(&cold_state(task)[..])?.strip_prefix(&[PLAIN])
}

/// The prefix of a task's cold state.
pub(crate) fn cold_state(task: TaskId) -> Vec<u8> {
    let mut key = b"c/".to_vec();
    push_task(&mut key, task);
    key
}

const PLAIN: u8 = b'g';
const HASHED: u8 = b'h';

/// The first key behind all that begin with `prefix`; empty (no bound) where there is none.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}

fn push_task(key: &mut Vec<u8>, task: TaskId) {
    match task {
        TaskId::Meta => key.push(b'm'),
        TaskId::Partition(PartitionId { partition, log }) => {
            key.push(b'p');
            key.extend_from_slice(&partition.to_be_bytes());
            key.extend_from_slice(&log.to_be_bytes());
        }
        TaskId::Shard(shard) => {
            key.push(b's');
            key.extend_from_slice(&shard.to_be_bytes());
        }
    }
}

fn take_task(rest: &mut &[u8]) -> Option<TaskId> {
    match u8::from_be_bytes(take(rest)?) {
        b'm' => Some(TaskId::Meta),
        b'p' => {
            let partition = u32::from_be_bytes(take(rest)?);
            let log = u32::from_be_bytes(take(rest)?);
            Some(TaskId::Partition(PartitionId { partition, log }))
        }
        b's' => Some(TaskId::Shard(u32::from_be_bytes(take(rest)?))),
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn kind_code(kind: BlockKind) -> u8 {
    match kind {
        BlockKind::Change => 1,
        BlockKind::Base => 2,
        BlockKind::Delta => 3,
        BlockKind::Log => 4,
        BlockKind::Refused => 5,
        BlockKind::Fences => 6,
    }
}

fn kind_of_code(code: u8) -> Option<BlockKind> {
    use BlockKind::{Base, Change, Delta, Fences, Log, Refused};
    [Change, Base, Delta, Log, Refused, Fences].into_iter().find(|kind| kind_code(*kind) == code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions() -> impl Strategy<Value = PartitionId> {
        (any::<u32>(), any::<u32>()).prop_map(|(partition, log)| PartitionId { partition, log })
    }

    fn tasks() -> impl Strategy<Value = TaskId> {
        prop_oneof![
            Just(TaskId::Meta),
            partitions().prop_map(TaskId::Partition),
            any::<u32>().prop_map(TaskId::Shard)
        ]
    }

    fn parts() -> impl Strategy<Value = PartName> {
        let kinds = prop_oneof![
            Just(BlockKind::Change),
            Just(BlockKind::Base),
            Just(BlockKind::Delta),
            Just(BlockKind::Log),
            Just(BlockKind::Refused),
            Just(BlockKind::Fences)
        ];
        (tasks(), any::<u64>(), any::<u64>(), kinds, any::<u32>(), any::<u32>()).prop_map(
            |(task, fence, commit, kind, number, part)| PartName {
                block: BlockName { task, fence, commit, kind, number },
                part,
            },
        )
    }

    proptest! {
        #[test]
        fn task_rows_sort_as_tasks_and_come_back(a in tasks(), b in tasks()) {
            prop_assert_eq!(task_of_row(&task_row(a)), Some(a));
            prop_assert_eq!(task_row(a).cmp(&task_row(b)), a.cmp(&b));
        }

        #[test]
        fn parts_sort_as_their_names_and_come_back(a in parts(), b in parts()) {
            prop_assert_eq!(part_of(&part(a)), Some(a));
            prop_assert_eq!(part(a).cmp(&part(b)), a.cmp(&b));
            prop_assert!(part(a).starts_with(&task_parts(a.block.task)));
            prop_assert_eq!(part(b).starts_with(&task_parts(a.block.task)), a.block.task == b.block.task);
        }

        #[test]
        fn the_events_of_a_partition_lie_together_in_order(a in partitions(), b in partitions(), m: u32, n: u32) {
            let (m, n) = (i64::from(m), i64::from(n));
            prop_assert_eq!(event_offset(&event(a, m)), Some(m));
            prop_assert_eq!(event(a, m).cmp(&event(a, n)), m.cmp(&n));
            prop_assert_eq!(event(b, n).starts_with(&partition_events(a)), a == b);
        }

        #[test]
        fn nothing_with_the_prefix_lies_behind_it(prefix: Vec<u8>, rest: Vec<u8>) {
            let end = behind(&prefix);
            let key = [prefix, rest].concat();
            prop_assert!(end.is_empty() || key < end);
        }
    }

    #[test]
    fn a_long_name_has_a_short_key() {
        let task = TaskId::Shard(1);
        let Cold::Hashed(key) = cold(task, &[7; 40_000]) else { panic!() };
        assert!(key.len() < 100);
        assert_eq!(cold_name(task, &key), None);
        let Cold::Plain(key) = cold(task, b"short") else { panic!() };
        assert_eq!(cold_name(task, &key), Some(&b"short"[..]));
    }

    #[test]
    fn sixteen_partitions_spread_over_four_regions() {
        let mut regions = [0; 4];
        for partition in 0..16 {
            regions[usize::from(partition_events(PartitionId { partition, log: 0 })[0] >> 6)] += 1;
        }
        assert!(regions.iter().all(|n| (3..=5).contains(n)), "{regions:?}");
    }
}
