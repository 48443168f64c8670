//! What is written, with every field set: the defaults of the generated types turn the write-ahead log off.

use hbase_thrift::hbase::{BatchMutation, ColumnDescriptor, Mutation, TScan};

/// Rows in a call, and bytes: more gains nothing, and much more ends the gateway for everybody. A framed gateway takes
/// messages of 2 MiB.
pub(crate) const CALL_ROWS: usize = 500;
pub(crate) const CALL_BYTES: usize = 3 << 19;
/// What a cell costs in a message beside its value and column, its share of the row's key included.
pub(crate) const CELL_BYTES: usize = 32;

pub(crate) fn put(column: &[u8], value: Vec<u8>) -> Mutation {
    Mutation {
        is_delete: Some(false),
        column: Some(column.to_vec()),
        value: Some(value),
        write_to_w_a_l: Some(true),
    }
}

/// Deletes a column (`family:qualifier`) or a family (`family`; with a colon it would be the column without a name), at the call's timestamp and below.
pub(crate) fn delete(column: &[u8]) -> Mutation {
    Mutation {
        is_delete: Some(true),
        column: Some(column.to_vec()),
        value: Some(Vec::new()),
        write_to_w_a_l: Some(true),
    }
}

pub(crate) fn row(key: Vec<u8>, mutations: Vec<Mutation>) -> BatchMutation {
    BatchMutation { row: Some(key), mutations: Some(mutations) }
}

/// One version, for ever.
pub(crate) fn family(name: &str, compression: &str) -> ColumnDescriptor {
    ColumnDescriptor {
        name: Some(format!("{name}:").into_bytes()),
        max_versions: Some(1),
        compression: Some(compression.into()),
        in_memory: Some(false),
        bloom_filter_type: Some("ROW".into()),
        bloom_filter_vector_size: None,
        bloom_filter_nb_hashes: None,
        block_cache_enabled: Some(true),
        time_to_live: None,
    }
}

/// Rows from `start` up to before `stop`; all columns where none is named.
pub(crate) fn scan(
    start: Vec<u8>,
    stop: Vec<u8>,
    columns: Option<Vec<Vec<u8>>>,
    filter: Option<&str>,
) -> TScan {
    TScan {
        start_row: Some(start),
        stop_row: Some(stop),
        timestamp: None,
        columns,
        caching: None,
        filter_string: filter.map(|filter| filter.as_bytes().to_vec()),
        batch_size: None,
        sort_columns: None,
        reversed: None,
        cache_blocks: None,
    }
}

/// Cuts rows into calls of a safe size. A row that is larger goes alone.
pub(crate) fn calls(rows: impl Iterator<Item = BatchMutation>) -> impl Iterator<Item = Vec<BatchMutation>> {
    let mut rows = rows.peekable();
    std::iter::from_fn(move || {
        let (mut call, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next_if(|row| call.is_empty() || bytes + size(row) <= CALL_BYTES) {
            bytes += size(&row);
            call.push(row);
            if call.len() == CALL_ROWS {
                break;
            }
        }
        (!call.is_empty()).then_some(call)
    })
}

fn size(row: &BatchMutation) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let cells = row.mutations.iter().flatten();
    length(&row.row)
        + cells.map(|cell| CELL_BYTES + length(&cell.column) + length(&cell.value)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_goes_to_the_write_ahead_log() {
        assert_eq!(put(b"a:b", vec![1]).write_to_w_a_l, Some(true));
        assert_eq!(delete(b"a:").write_to_w_a_l, Some(true));
    }

    #[test]
    fn calls_are_bounded_by_rows_and_bytes_and_lose_nothing() {
        let rows = |n: usize, size: usize| {
            (0..n).map(move |i| row(i.to_be_bytes().to_vec(), vec![put(b"a:b", vec![0; size])]))
        };
        let sizes = |n, size| calls(rows(n, size)).map(|call| call.len()).collect::<Vec<_>>();
        assert_eq!(sizes(1100, 10), [500, 500, 100]);
        assert_eq!(sizes(3, 1 << 20), [1, 1, 1]);
        assert_eq!(sizes(2, 4 << 20), [1, 1]);
        assert_eq!(sizes(0, 1), [0; 0]);
        let keys: Vec<_> = calls(rows(1700, 3000)).flatten().map(|row| row.row.unwrap()).collect();
        assert_eq!(keys, rows(1700, 0).map(|row| row.row.unwrap()).collect::<Vec<_>>());
        assert!(calls(rows(1700, 3000)).all(|call| call.iter().map(size).sum::<usize>() <= CALL_BYTES));
    }
}
