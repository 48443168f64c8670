//! A part of a block as a cell has it: a frame of zstd.

use std::{io, sync::Arc};

use clickmill_tasks::{env::Trouble, name::PartName};

/// State is written often and read seldom: what counts is that it is quick, and that a region server has less of it to log, to keep
/// in memory, to flush and to compact.
const LEVEL: i32 = 1;

pub(crate) fn pack(part: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(part, LEVEL)
}

pub(crate) fn unpack(name: PartName, cell: &[u8]) -> Result<Arc<[u8]>, Trouble> {
    zstd::decode_all(cell).map(Arc::from).map_err(|error| {
        let PartName { block, part } = name;
        Trouble::Final(format!(
            "part {part} of the {block} is damaged: {error}; restore the store from a copy"
        ))
    })
}

#[cfg(test)]
mod tests {
    use clickmill_tasks::name::{BlockKind, BlockName, TaskId};

    use super::*;

    fn name() -> PartName {
        let block =
            BlockName { task: TaskId::Shard(1), fence: 2, commit: 3, kind: BlockKind::Base, number: 4 };
        PartName { block, part: 5 }
    }

    #[test]
    fn what_is_packed_is_smaller_and_comes_back() {
        for part in [vec![], b"x".to_vec(), vec![7; 1 << 20]] {
            let cell = pack(&part).unwrap();
            assert!(cell.len() < part.len().max(20));
            assert_eq!(&*unpack(name(), &cell).unwrap(), part);
        }
    }

    #[test]
    fn what_was_not_packed_or_was_cut_is_damaged() {
        let cell = pack(b"a part of a block").unwrap();
        for cell in [&b"a part of a block"[..], &cell[..cell.len() - 1]] {
            let Err(Trouble::Final(text)) = unpack(name(), cell) else { panic!("it is taken") };
            assert!(text.starts_with("part 5 of the "), "{text}");
            assert!(
                text.contains(" is damaged: ") && text.ends_with("; restore the store from a copy"),
                "{text}"
            );
        }
    }
}
