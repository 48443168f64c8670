//! What tasks put and no row lists yet: in memory, until the transaction that swaps the task's row takes it along.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clickmill_tasks::{
    batch::DeadLetter,
    env::ColdCell,
    name::{PartName, TaskId},
};
use rusqlite::Connection;

use super::database;

/// Of one task.
#[derive(Default)]
pub struct Put {
    parts: BTreeMap<PartName, Arc<[u8]>>,
    deleted: HashSet<PartName>,
    letters: BTreeMap<(i64, u64), DeadLetter>,
    /// The newest of each name, with its commit.
    cells: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

impl Put {
    /// Forgets what an owner with a lower fence left: it was never listed, and nobody will.
    fn keep_from(&mut self, fence: u64) {
        self.parts.retain(|name, _| name.block.fence >= fence);
        self.letters.retain(|(_, of), _| *of >= fence);
    }

    pub fn write(&self, connection: &Connection, task: TaskId) -> rusqlite::Result<()> {
        self.parts.iter().try_for_each(|(name, bytes)| database::put_part(connection, *name, bytes))?;
        self.deleted.iter().try_for_each(|name| database::delete_part(connection, *name))?;
        self.letters.values().try_for_each(|letter| database::put_letter(connection, letter))?;
        let mut cells = self.cells.iter();
        cells.try_for_each(|(name, (commit, value))| {
            database::put_cold(connection, task, name, *commit, value)
        })
    }

    /// Puts back what was taken, under whatever was put since.
    fn add(&mut self, taken: Put) {
        for (name, bytes) in taken.parts {
            if !self.deleted.contains(&name) {
                self.parts.entry(name).or_insert(bytes);
            }
        }
        self.deleted.extend(taken.deleted);
        for (key, letter) in taken.letters {
            self.letters.entry(key).or_insert(letter);
        }
        for (name, (commit, value)) in taken.cells {
            self.put_cell(name, commit, value);
        }
    }

    fn put_cell(&mut self, name: Vec<u8>, commit: u64, value: Vec<u8>) {
        let newest = self.cells.entry(name).or_default();
        if commit > newest.0 {
            *newest = (commit, value);
        }
    }
}

#[derive(Clone, Default)]
pub struct Pending(Arc<Mutex<HashMap<TaskId, Put>>>);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Put>> {
        // Whoever panicked with the lock held left whole entries behind: each change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put_part(&self, name: PartName, bytes: Arc<[u8]>) {
        let mut all = self.lock();
        let put = all.entry(name.block.task).or_default();
        put.deleted.remove(&name);
        put.parts.insert(name, bytes);
    }

    pub fn get_part(&self, name: PartName) -> Option<Arc<[u8]>> {
        self.lock().get(&name.block.task)?.parts.get(&name).cloned()
    }

    pub fn delete_part(&self, name: PartName) {
        let mut all = self.lock();
        let put = all.entry(name.block.task).or_default();
        put.parts.remove(&name);
        put.deleted.insert(name);
    }

    /// The parts of a task as they will be, from those that the database lists.
    pub fn parts(&self, task: TaskId, mut listed: Vec<PartName>) -> Vec<PartName> {
        if let Some(put) = self.lock().get(&task) {
            listed.retain(|name| !put.deleted.contains(name) && !put.parts.contains_key(name));
            listed.extend(put.parts.keys());
        }
        listed
    }

    pub fn put_letter(&self, letter: &DeadLetter) {
        let mut all = self.lock();
        let letters = &mut all.entry(TaskId::Partition(letter.partition)).or_default().letters;
        letters.entry((letter.offset, letter.fence)).or_insert_with(|| letter.clone());
    }

    pub fn put_cells(&self, task: TaskId, commit: u64, cells: &[ColdCell]) {
        let mut all = self.lock();
        let put = all.entry(task).or_default();
        cells.iter().for_each(|cell| put.put_cell(cell.name.clone(), commit, cell.value.clone()));
    }

    /// The cells of these names.
    pub fn cells(&self, task: TaskId, names: &[Vec<u8>]) -> Vec<Option<(u64, Vec<u8>)>> {
        let all = self.lock();
        let put = all.get(&task);
        names.iter().map(|name| put?.cells.get(name).cloned()).collect()
    }

    /// The cells whose names lie from `from` on.
    pub fn cells_from(&self, task: TaskId, from: &[u8]) -> Vec<(u64, ColdCell)> {
        let all = self.lock();
        let cells = all.get(&task).into_iter().flat_map(|put| put.cells.range(from.to_vec()..));
        let cell = |name: &Vec<u8>, value: &Vec<u8>| ColdCell { name: name.clone(), value: value.clone() };
        cells.map(|(name, (commit, value))| (*commit, cell(name, value))).collect()
    }

    /// Takes what a swap of the task's row makes durable; `fence`: of the new row.
    pub fn take(&self, task: TaskId, fence: Option<u64>) -> Put {
        let mut put = self.lock().remove(&task).unwrap_or_default();
        if let Some(fence) = fence {
            put.keep_from(fence);
        }
        put
    }

    pub fn put_back(&self, task: TaskId, taken: Put) {
        self.lock().entry(task).or_default().add(taken);
    }
}
