//! What one instance may take of the machine. A limit refuses, it does not trap: a guest may cope with a refusal. What was
//! refused is remembered, for a guest that does not cope traps with a text that says nothing of memory.

use wasmtime::ResourceLimiter;

/// Memories, tables and inner instances of a component. Compilers make one memory, one to three tables and up to ten inner
/// instances; these bounds are far from both that and harm.
const MAX_MEMORIES: usize = 8;
const MAX_TABLES: usize = 32;
const MAX_INSTANCES: usize = 64;
/// Entries of all tables together: functions that are called by pointer. Large programs have some ten thousand.
const MAX_TABLE_ENTRIES: usize = 1 << 20;

/// Counts what an instance has against what it may have.
pub struct Limiter {
    memory: usize,
    used: usize,
    table_entries: usize,
    refused: bool,
}

impl Limiter {
    /// At most `memory` bytes over all memories of the instance.
    pub fn new(memory: u64) -> Limiter {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Limiter { memory, used: 0, table_entries: 0, refused: false }
    }

    /// Whether memory was refused since this was last asked.
    pub fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.memory || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let entries = self.table_entries.saturating_sub(current).saturating_add(desired);
        if entries > MAX_TABLE_ENTRIES || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_entries = entries;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_counted_together() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.take_refused());
        assert!(!limiter.take_refused());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.memory_growing(60, 61, None).unwrap());
    }

    #[test]
    fn a_memory_keeps_to_its_own_maximum() {
        assert!(!Limiter::new(100).memory_growing(0, 60, Some(50)).unwrap());
    }
}
