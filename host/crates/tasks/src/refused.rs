//! Documents that the index refused for good: the newest refusal of each is kept in a block of the shard's state, until the
//! index takes a later version. So what is kept is true as of the row that lists it, like everything else.

use std::collections::BTreeMap;

use clickmill_columns::{Damaged, Tuple, document_id, format_instant};
use serde::{Deserialize, Serialize};

/// Refusals that a shard keeps; beyond them the oldest go, and are only counted: what refuses more documents than a person looks at
/// is one mistake, not many.
pub const KEPT: usize = 1000;

/// By the name of the group; see [`name`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusals(BTreeMap<Vec<u8>, Refusal>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refusal {
    version: u64,
    message: String,
}

/// A document that the index refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedDocument {
    /// Its `_id`.
    pub id: String,
    pub rollup: String,
    pub window: String,
    /// The start of its window, milliseconds.
    pub start: i64,
    /// The values of its group's columns.
    pub by: Vec<Option<String>>,
    /// The version that was refused.
    pub version: u64,
    /// What the index said.
    pub message: String,
}

/// The name of a group among all groups of a shard, the same for whatever order of rollups and windows in the settings.
pub(crate) fn name(rollup: &str, window: &str, start: i64, tuple: &[u8]) -> Vec<u8> {
    let start = start.to_be_bytes();
    let name = [Some(rollup.as_bytes()), Some(window.as_bytes()), Some(&start[..]), Some(tuple)];
    Tuple::new(name).bytes().to_vec()
}

impl Refusals {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn refused(&mut self, group: Vec<u8>, version: u64, message: String) {
        self.0.insert(group, Refusal { version, message });
    }

    /// The index took a later version; says whether an earlier one had been refused.
    pub fn taken(&mut self, group: &[u8]) -> bool {
        self.0.remove(group).is_some()
    }

    /// Keeps the newest.
    pub fn trim(&mut self) {
        if self.0.len() <= KEPT {
            return;
        }
        let mut versions: Vec<u64> = self.0.values().map(|refusal| refusal.version).collect();
        versions.sort_unstable();
        let mut over = self.0.len() - KEPT;
        let last = versions[over - 1];
        self.0.retain(|_, refusal| {
            let goes = over > 0 && refusal.version <= last;
            over -= usize::from(goes);
            !goes
        });
    }

    pub fn encode(&self) -> Vec<u8> {
        // Plain data; postcard fails only where a writer does, and a vector does not.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub fn decode(bytes: &[u8]) -> Result<Refusals, Damaged> {
        postcard::from_bytes(bytes).map_err(|error| Damaged(format!("refused documents: {error}")))
    }
}

/// What a shard's block of refused documents holds, in the order of their groups.
pub fn documents(block: &[u8]) -> Result<Vec<RefusedDocument>, Damaged> {
    let refusals = Refusals::decode(block)?.0.into_iter();
    refusals.map(|(group, refusal)| document(&group, refusal)).collect()
}

fn document(group: &[u8], refusal: Refusal) -> Result<RefusedDocument, Damaged> {
    let damaged = || Damaged("the group of a refused document".into());
    let values = Tuple::values(group).map_err(|error| Damaged(error.to_string()))?;
    let [Some(rollup), Some(window), Some(start), Some(tuple)] = values[..] else { return Err(damaged()) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (rollup, window) = (text(rollup), text(window));
    let start = i64::from_be_bytes(start.try_into().map_err(|_| damaged())?);
    let by = Tuple::values(tuple).map_err(|error| Damaged(error.to_string()))?;
    let id = document_id(&rollup, &window, &format_instant(start, false), by.iter().copied());
    let by = by.into_iter().map(|value| value.map(text)).collect();
    let Refusal { version, message } = refusal;
    Ok(RefusedDocument { id, rollup, window, start, by, version, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_refusals_are_kept() {
        let mut refusals = Refusals::default();
        for number in 0..KEPT as u32 + 10 {
            refusals.refused(number.to_be_bytes().to_vec(), u64::from(number / 4), "no".into());
        }
        refusals.refused(0u32.to_be_bytes().to_vec(), 1000, "again".into());
        refusals.trim();
        assert_eq!(refusals.0.len(), KEPT);
        assert!(refusals.taken(&0u32.to_be_bytes()));
        assert!(!refusals.taken(&1u32.to_be_bytes()));
        assert_eq!(Refusals::decode(&refusals.encode()).unwrap(), refusals);
    }

    #[test]
    fn a_refused_document_is_known_by_its_id() {
        let tuple = Tuple::new([Some(&b"https://a/"[..]), None]);
        let mut refusals = Refusals::default();
        refusals.refused(name("r", "1h", 3_600_000, tuple.bytes()), 7, "400 no".into());
        let id = document_id("r", "1h", "1970-01-01T01:00:00Z", [Some(&b"https://a/"[..]), None]);
        let wanted = RefusedDocument {
            id,
            rollup: "r".into(),
            window: "1h".into(),
            start: 3_600_000,
            by: vec![Some("https://a/".into()), None],
            version: 7,
            message: "400 no".into(),
        };
        assert_eq!(documents(&refusals.encode()).unwrap(), [wanted]);
        assert!(documents(&[1, 2, 3]).is_err());
    }
}
