//! The fence history of a partition: under which fence each offset was committed, and so which event rows and dead letters are
//! true (rule 6). Its newest entries are in the row; beyond a bound the older half of them goes into a block that the row lists.

use clickmill_columns::{Damaged, hash64};

use crate::{context::Ended, env::Env, fault::Fault, name::BlockKind, owner::Owner, row::PartitionRow};

/// A whole fence history: each fence that committed an offset, and the first offset that it did or may commit; both rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fences(Vec<(u64, i64)>);

impl Fences {
    /// The history of a row. `older` is the content of the block `older_fences` that the row lists, empty where it lists none.
    pub fn new(row: &PartitionRow, older: &[u8]) -> Result<Fences, Damaged> {
        let mut all = match &row.older_fences {
            Some(block) if block.length == older.len() as u64 && block.hash == hash64(older) => {
                decode(older)?
            }
            Some(block) => return Err(Damaged(format!("{} has other bytes than were written", block.name))),
            None => Vec::new(),
        };
        all.extend_from_slice(&row.fences);
        rising(all).map(Fences)
    }

    /// The content of a block of older fences.
    pub fn encode(older: &[(u64, i64)]) -> Vec<u8> {
        // Plain data; postcard fails only where a writer does, and a vector does not.
        postcard::to_allocvec(older).unwrap_or_default()
    }

    /// The fence under which an offset before the position was committed; none where it lies before all that was.
    pub fn at(&self, offset: i64) -> Option<u64> {
        let later = self.0.partition_point(|(_, first)| *first <= offset);
        self.0[..later].last().map(|(fence, _)| *fence)
    }
}

/// Moves the older half of the history into the block, where the row that is about to be committed has more than the bound.
///
/// A take-over moves nothing, for it has no fence yet by which to name a block. It adds an entry only after a commit that moved the
/// position, so a row never has more than one entry beyond the bound.
pub(crate) async fn shorten<E: Env>(
    owner: &mut Owner<E, PartitionRow>,
    row: &mut PartitionRow,
) -> Result<(), Ended> {
    if row.fences.len() <= owner.context.bounds.fences {
        return Ok(());
    }
    let mut older = match &row.older_fences {
        Some(block) if !owner.context.planted.is(Fault::FencesForgotten) => decode(&owner.get(block).await?)?,
        _ => Vec::new(),
    };
    // The newest one stays: the next take-over drops it if it committed no offset.
    older.extend(row.fences.drain(..row.fences.len() / 2));
    row.older_fences = Some(owner.put(BlockKind::Fences, Fences::encode(&older)).await?);
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<Vec<(u64, i64)>, Damaged> {
    rising(postcard::from_bytes(bytes).map_err(|error| Damaged(format!("old fences: {error}")))?)
}

fn rising(fences: Vec<(u64, i64)>) -> Result<Vec<(u64, i64)>, Damaged> {
    let rises = |pair: &[(u64, i64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
    match fences.windows(2).find(|pair| !rises(pair)) {
        Some(pair) => Err(Damaged(format!("a fence history that does not rise: {pair:?}"))),
        None => Ok(fences),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::{BlockName, PartitionId, TaskId},
        row::{BlockRef, Row},
    };

    const OLD: [(u64, i64); 3] = [(1, -5), (4, 10), (9, i64::MAX - 9)];

    fn row(older: Option<&[u8]>, fences: &[(u64, i64)]) -> PartitionRow {
        let task = TaskId::Partition(PartitionId { partition: 0, log: 0 });
        let name = BlockName { task, fence: 9, commit: 30, kind: BlockKind::Fences, number: 1 };
        let block = |bytes: &[u8]| BlockRef { name, length: bytes.len() as u64, hash: hash64(bytes) };
        PartitionRow { fences: fences.to_vec(), older_fences: older.map(block), ..PartitionRow::default() }
    }

    #[test]
    fn old_fences_come_back() {
        let bytes = Fences::encode(&OLD);
        assert_eq!(decode(&bytes).unwrap(), OLD);
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&Fences::encode(&[(1, 5), (2, 5)])).is_err());
        assert!(decode(&Fences::encode(&[(2, 0), (2, 5)])).is_err());
    }

    #[test]
    fn a_history_is_the_block_and_the_row() {
        let bytes = Fences::encode(&OLD[..2]);
        let row = row(Some(&bytes), &[(7, 20), (8, 30)]);
        assert_eq!(row.listed().len(), 1);
        let fences = Fences::new(&row, &bytes).unwrap();
        let at = [-6, -5, 9, 10, 19, 20, 29, 30, 1000].map(|offset| fences.at(offset));
        let want = [None, Some(1), Some(1), Some(4), Some(4), Some(7), Some(7), Some(8), Some(8)];
        assert_eq!(at, want);
    }

    #[test]
    fn a_history_without_its_block_is_damaged() {
        let bytes = Fences::encode(&OLD[..2]);
        let whole = row(Some(&bytes), &[(7, 20)]);
        assert!(Fences::new(&whole, &[]).is_err());
        assert!(Fences::new(&whole, &Fences::encode(&OLD[..1])).is_err());
        assert!(Fences::new(&row(Some(&bytes), &[(4, 20)]), &bytes).is_err());
        assert_eq!(Fences::new(&row(None, &[(7, 20)]), &[]).unwrap().at(19), None);
    }
}
