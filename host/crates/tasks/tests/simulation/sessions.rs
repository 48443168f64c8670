//! The operator: the time from each event of a user to the user's next one, however late an event is.

use clickmill_columns::{Column, Data, Values};
use clickmill_tasks::env::{CallError, Derived, Extent, Operator};

use crate::plugins::{Alive, by_chance, save_by_chance};

#[derive(Clone, Copy)]
struct Visit {
    time: i64,
    origin: u64,
    /// No two have the same, so that one which comes back twice is seen.
    id: u64,
}

impl Visit {
    fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [self.time as u64, self.origin, self.id];
        bytes
            .chunks_exact_mut(8)
            .zip(words)
            .for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    fn of(bytes: &[u8]) -> Visit {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        Visit { time: word(0) as i64, origin: word(8), id: word(16) }
    }
}

/// Events by time, among equal times by arrival; and those that came since the last save.
#[derive(Clone, Default)]
struct Visits {
    all: Vec<Visit>,
    added: Vec<Visit>,
}

impl Visits {
    fn insert(&mut self, visit: Visit) -> usize {
        let place = self.all.partition_point(|other| other.time <= visit.time);
        self.all.insert(place, visit);
        place
    }
}

pub struct Sessions {
    alive: Alive,
    slots: Vec<Visits>,
    horizon: i64,
    gap: i64,
}

impl Sessions {
    pub fn new(alive: Alive, gap: i64) -> Sessions {
        Sessions { alive, slots: Vec::new(), horizon: i64::MIN, gap }
    }

    fn slot(&mut self, slot: u32) -> &mut Visits {
        if self.slots.len() <= slot as usize {
            self.slots.resize_with(slot as usize + 1, Visits::default);
        }
        &mut self.slots[slot as usize]
    }

    fn fail(&self, inputs: &[Column], patient: bool) -> Result<(), CallError> {
        by_chance(&self.alive.world, inputs[0].rows(), "operator")?;
        for row in 0..inputs[0].rows() {
            match inputs[0].text(row).unwrap_or_default() {
                b"OperatorRow" => return Err(CallError::Row(row as u32, "on purpose".into())),
                b"OperatorTrap" => return Err(CallError::Call("a trap on purpose".into())),
                b"OperatorSlow" if !patient => return Err(CallError::TimedOut("slow on purpose".into())),
                b"OperatorStuck" => return Err(CallError::TimedOut("stuck on purpose".into())),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Operator for Sessions {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, CallError> {
        self.alive.begin().await;
        self.alive.world.borrow_mut().counts.add("calls of an operator");
        self.alive.need(times.iter().all(|&time| time >= self.horizon), "an event before the horizon");
        let failed = self.fail(inputs, patient);
        self.alive.called(failed)?;
        let mut rows: Vec<(Visit, i64, i64)> = Vec::new();
        let gap = self.gap;
        for ((&time, &origin), &slot) in times.iter().zip(origins).zip(slots) {
            let visit = Visit { time, origin, id: self.alive.world.borrow_mut().next_visit() };
            let visits = self.slot(slot);
            let place = visits.insert(visit);
            visits.added.push(visit);
            let before = place.checked_sub(1).map(|place| visits.all[place]);
            let after = visits.all.get(place + 1).copied();
            for (from, to, weight) in [(before, after, -1), (before, Some(visit), 1), (Some(visit), after, 1)]
            {
                if let (Some(from), Some(to)) = (from, to)
                    && to.time - from.time <= gap
                {
                    rows.push((from, to.time - from.time, weight));
                }
            }
        }
        self.alive.need(horizon >= self.horizon, "the horizon fell");
        self.horizon = horizon;
        Ok(Derived {
            times: rows.iter().map(|row| row.0.time).collect(),
            origins: rows.iter().map(|row| row.0.origin).collect(),
            columns: vec![
                Column::new(Data::Integers(rows.iter().map(|row| row.1).collect())),
                Column::new(Data::Integers(rows.iter().map(|row| row.2).collect())),
            ],
        })
    }

    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError> {
        self.alive.begin().await;
        let failed = save_by_chance(&self.alive.world, "operator");
        self.alive.called(failed)?;
        let keep = horizon.saturating_sub(self.gap);
        let mut states = Values::new();
        for &slot in slots {
            let visits = self.slot(slot);
            visits.all.retain(|visit| visit.time >= keep);
            visits.added.retain(|visit| visit.time >= keep);
            let saved = match extent {
                Extent::Whole => &visits.all,
                Extent::Added => &visits.added,
            };
            states.push(&saved.iter().flat_map(|visit| visit.bytes()).collect::<Vec<u8>>());
            visits.added.clear();
        }
        Ok(states)
    }

    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        self.alive.begin().await;
        self.alive.need(version == 1, "a state of another version");
        for (&slot, state) in slots.iter().zip(states.iter()) {
            for visit in state.chunks_exact(24).map(Visit::of) {
                let twice = self.slot(slot).all.iter().any(|known| known.id == visit.id);
                self.alive.need(!twice, "state comes back twice");
                self.slot(slot).insert(visit);
            }
        }
        Ok(())
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        self.alive.begin().await;
        for &slot in slots {
            *self.slot(slot) = Visits::default();
        }
        Ok(())
    }
}
