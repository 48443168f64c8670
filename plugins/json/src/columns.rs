//! A column of the reply, made row by row.

use crate::bindings::clickmill::plugin::columns as wit;
use crate::fields::Rule;

/// What a payload brought for a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Absent,
    /// Something was there, but the field's rule cannot use it.
    Unusable,
    /// Text, by its place in the payloads or behind them.
    Place {
        start: u32,
        length: u32,
    },
    Integer(i64),
    Unsigned(u64),
    Real(f64),
    Boolean(bool),
}

enum Data {
    Places { starts: Vec<u32>, lengths: Vec<u32> },
    Integers(Vec<i64>),
    Unsigned(Vec<u64>),
    Reals(Vec<f64>),
    Booleans(Vec<u8>),
}

/// A column under construction.
pub struct Column {
    data: Data,
    /// One bit a row, set until a null comes.
    valid: Vec<u8>,
    nulls: bool,
    row: usize,
    /// What stands where nothing usable came; [`Cell::Absent`] makes that a null.
    default: Cell,
    pub unusable: u32,
}

impl Column {
    /// A column for a field's values, of so many rows.
    pub fn new(rule: Rule, rows: usize, default: Cell) -> Self {
        let data = match rule {
            Rule::Timestamp | Rule::Instant | Rule::Duration | Rule::Integer => {
                Data::Integers(Vec::with_capacity(rows))
            }
            Rule::Unsigned => Data::Unsigned(Vec::with_capacity(rows)),
            Rule::Real => Data::Reals(Vec::with_capacity(rows)),
            Rule::Boolean => Data::Booleans(Vec::with_capacity(rows)),
            Rule::UserId
            | Rule::Url
            | Rule::EventType
            | Rule::Country
            | Rule::Address
            | Rule::Text
            | Rule::Json => {
                Data::Places { starts: Vec::with_capacity(rows), lengths: Vec::with_capacity(rows) }
            }
        };
        let mut valid = vec![0xff; rows.div_ceil(8)];
        if let (Some(last), used @ 1..) = (valid.last_mut(), rows % 8) {
            *last = (1 << used) - 1;
        }
        Self { data, valid, nulls: false, row: 0, default, unusable: 0 }
    }

    /// Adds the next row to a column of text.
    #[inline(always)]
    pub fn push_place(&mut self, start: u32, length: u32) {
        match &mut self.data {
            Data::Places { starts, lengths } => {
                starts.push(start);
                lengths.push(length);
                self.row += 1;
            }
            _ => self.push_nothing(true),
        }
    }

    /// Adds the next row.
    #[inline(never)]
    pub fn push(&mut self, cell: Cell) {
        match (&mut self.data, cell) {
            (Data::Places { .. }, Cell::Place { start, length }) => return self.push_place(start, length),
            (Data::Integers(integers), Cell::Integer(integer)) => integers.push(integer),
            (Data::Unsigned(integers), Cell::Unsigned(integer)) => integers.push(integer),
            (Data::Reals(reals), Cell::Real(real)) => reals.push(real),
            (Data::Booleans(booleans), Cell::Boolean(boolean)) => booleans.push(u8::from(boolean)),
            _ => return self.push_nothing(cell == Cell::Unusable),
        }
        self.row += 1;
    }

    fn push_nothing(&mut self, unusable: bool) {
        self.unusable += u32::from(unusable);
        if self.default == Cell::Absent
            && let Some(byte) = self.valid.get_mut(self.row / 8)
        {
            *byte &= !(1 << (self.row % 8));
            self.nulls = true;
        }
        self.push_anything();
    }

    /// Adds a row that is no event.
    pub fn push_anything(&mut self) {
        match &mut self.data {
            Data::Places { starts, lengths } => {
                let (start, length) = match self.default {
                    Cell::Place { start, length } => (start, length),
                    _ => (0, 0),
                };
                starts.push(start);
                lengths.push(length);
            }
            Data::Integers(integers) => integers.push(0),
            Data::Unsigned(integers) => integers.push(0),
            Data::Reals(reals) => reals.push(0.0),
            Data::Booleans(booleans) => booleans.push(0),
        }
        self.row += 1;
    }

    /// The column as it crosses to the host.
    pub fn finish(self) -> wit::Column {
        let data = match self.data {
            Data::Places { starts, lengths } => wit::Data::Places(wit::Places { starts, lengths }),
            Data::Integers(integers) => wit::Data::Integers(integers),
            Data::Unsigned(integers) => wit::Data::Unsigned(integers),
            Data::Reals(reals) => wit::Data::Reals(reals),
            Data::Booleans(booleans) => wit::Data::Booleans(booleans),
        };
        wit::Column { data, valid: if self.nulls { self.valid } else { Vec::new() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_bits_and_absent_where_there_are_none() {
        let mut column = Column::new(Rule::Integer, 11, Cell::Absent);
        for row in 0..11 {
            match row {
                2 => column.push(Cell::Absent),
                9 => column.push(Cell::Unusable),
                10 => column.push_anything(),
                row => column.push(Cell::Integer(row)),
            }
        }
        assert_eq!(column.unusable, 1);
        let column = column.finish();
        assert_eq!(column.data, wit::Data::Integers(vec![0, 1, 0, 3, 4, 5, 6, 7, 8, 0, 0]));
        assert_eq!(column.valid, [0b1111_1011, 0b101]);

        let mut column = Column::new(Rule::Boolean, 2, Cell::Absent);
        column.push(Cell::Boolean(true));
        column.push_anything();
        assert_eq!(column.finish(), wit::Column { data: wit::Data::Booleans(vec![1, 0]), valid: vec![] });
    }

    #[test]
    fn a_default_stands_in_for_nothing() {
        let mut column = Column::new(Rule::Country, 2, Cell::Place { start: 7, length: 2 });
        column.push(Cell::Absent);
        column.push(Cell::Unusable);
        assert_eq!(column.unusable, 1);
        let places = wit::Places { starts: vec![7, 7], lengths: vec![2, 2] };
        assert_eq!(column.finish(), wit::Column { data: wit::Data::Places(places), valid: vec![] });
    }
}
