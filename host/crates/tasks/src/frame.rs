//! The columns of a batch as the pipeline works on them: as they came, and by number where somebody groups by them. Work on
//! strings is done once for each distinct value; the dictionaries last over batches.

use std::sync::Arc;

use clickmill_columns::{Column, Data, Dictionary, Shape, Validity, Values, hash64};
use hashbrown::HashTable;

use crate::plan::{ColumnId, Plan, PlanInput};

/// The code of a null.
pub(crate) const NULL: u32 = Dictionary::NONE;

/// One column of the batch; which of the two there is follows from the plan.
#[derive(Clone, Default)]
pub(crate) struct FrameColumn {
    pub raw: Option<Column>,
    pub codes: Option<Vec<u32>>,
}

#[derive(Default)]
pub(crate) struct Frame {
    pub rows: usize,
    pub columns: Vec<FrameColumn>,
}

impl Frame {
    /// The codes of these columns side by side; of no column, nulls.
    pub fn codes(&self, columns: impl IntoIterator<Item = Option<ColumnId>>) -> Codes<'_> {
        let codes = |id: ColumnId| self.columns[id].codes.as_deref();
        Codes(columns.into_iter().map(|id| id.and_then(codes).unwrap_or_default()).collect())
    }
}

/// Rows that are events, in their order, and what is known of each.
#[derive(Clone, Copy)]
pub(crate) struct Events<'a> {
    pub frame: &'a Frame,
    pub rows: &'a [u32],
    pub times: &'a [i64],
    pub origins: &'a [u64],
    /// The number of the tuple of grouping codes.
    pub tuples: &'a [u32],
}

/// Columns by number; one that is empty is all null.
pub(crate) struct Codes<'a>(Vec<&'a [u32]>);

impl Codes<'_> {
    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// Reads a row into a tuple of this width.
    #[inline]
    pub fn read(&self, row: u32, tuple: &mut [u32]) {
        for (code, codes) in tuple.iter_mut().zip(&self.0) {
            *code = codes.get(row as usize).copied().unwrap_or(NULL);
        }
    }
}

/// A dictionary for each column that is wanted by number.
pub(crate) struct Dictionaries {
    columns: Vec<Dictionary>,
    /// For local codes: which code got which, in which round.
    local: Vec<(u32, u32)>,
    round: u32,
}

impl Dictionaries {
    pub fn new(plan: &Plan) -> Dictionaries {
        Dictionaries {
            columns: plan.columns.iter().map(|_| Dictionary::new()).collect(),
            local: Vec::new(),
            round: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Dictionary::bytes).sum()
    }

    /// The text of a code; none for [`NULL`].
    pub fn text(&self, id: ColumnId, code: u32) -> Option<&[u8]> {
        (code != NULL).then(|| self.columns[id].get(code))
    }

    /// Numbers the text of the rows that are alive; the others get [`NULL`].
    pub fn intern(
        &mut self,
        id: ColumnId,
        column: &Column,
        alive: impl Fn(usize) -> bool + Copy,
    ) -> Vec<u32> {
        let texts = (0..column.rows()).map(|row| if alive(row) { column.text(row) } else { None });
        self.columns[id].intern_all(texts)
    }

    /// Codes as a column of text by number, with a small dictionary of its own.
    pub fn coded(&mut self, id: ColumnId, codes: impl Iterator<Item = u32> + Clone) -> Column {
        self.round += 1;
        let (dictionary, local, round) = (&self.columns[id], &mut self.local, self.round);
        if local.len() < dictionary.len() {
            local.resize(dictionary.len(), (0, 0));
        }
        let mut distinct = Values::new();
        let (mut own, mut nulls) = (Vec::with_capacity(codes.size_hint().0), false);
        for code in codes.clone() {
            if code == NULL {
                nulls = true;
                own.push(0);
                continue;
            }
            let entry = &mut local[code as usize];
            if entry.0 != round {
                *entry = (round, distinct.len() as u32);
                distinct.push(dictionary.get(code));
            }
            own.push(entry.1);
        }
        if distinct.is_empty() {
            distinct.push(b"");
        }
        let valid = match nulls {
            true => {
                let valid: Vec<bool> = codes.map(|code| code != NULL).collect();
                Validity::from_fn(valid.len(), |row| valid[row])
            }
            false => Validity::all(),
        };
        Column { data: Data::Coded { distinct: Arc::new(distinct), codes: own }, valid }
    }

    fn plain(&self, id: ColumnId, codes: &[u32], rows: &[u32]) -> Column {
        let mut text = Values::with_capacity(rows.len(), rows.len() * 16);
        for &row in rows {
            text.push(self.text(id, codes[row as usize]).unwrap_or_default());
        }
        let valid = validity(codes, rows);
        Column { data: Data::Text(text), valid }
    }

    fn hashes(&self, id: ColumnId, codes: &[u32], rows: &[u32]) -> Column {
        let hash = |code: u32| if code == NULL { 0 } else { self.columns[id].hash(code) };
        let hashes = rows.iter().map(|&row| hash(codes[row as usize])).collect();
        Column { data: Data::Unsigned(hashes), valid: validity(codes, rows) }
    }

    /// A column as a plugin wants it, for the rows named.
    pub fn input(&mut self, frame: &Frame, input: &PlanInput, rows: &[u32]) -> Column {
        let Some(id) = input.column else { return all_null(rows.len()) };
        let column = &frame.columns[id];
        match (input.shape, &column.codes, &column.raw) {
            (Shape::Hash64, Some(codes), _) => self.hashes(id, codes, rows),
            (Shape::Coded, Some(codes), _) => self.coded(id, rows.iter().map(|&row| codes[row as usize])),
            (_, _, Some(raw)) if rows.len() == frame.rows => raw.clone(),
            // Few rows are those with values that are new: they lie together in the dictionary.
            (_, Some(codes), _) => self.plain(id, codes, rows),
            (_, None, Some(raw)) => raw.take(rows),
            (_, None, None) => all_null(rows.len()),
        }
    }

    pub fn nulls(&self, rows: usize) -> Column {
        all_null(rows)
    }

    /// Forgets everything; every code is void.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Dictionary::clear);
        self.local.clear();
    }
}

fn validity(codes: &[u32], rows: &[u32]) -> Validity {
    Validity::from_fn(rows.len(), |row| codes[rows[row] as usize] != NULL)
}

fn all_null(rows: usize) -> Column {
    let mut text = Values::new();
    (0..rows).for_each(|_| text.push(b""));
    Column { data: Data::Text(text), valid: Validity::from_fn(rows, |_| false) }
}

/// A column of derived rows as a metric wants it.
pub(crate) fn reshape(column: &Column, shape: Shape) -> Column {
    if !matches!(column.data, Data::Text(_) | Data::Coded { .. }) {
        return column.clone();
    }
    let rows = column.rows();
    match shape {
        Shape::Plain => column.clone(),
        Shape::Hash64 => {
            let hashes = (0..rows).map(|row| column.text(row).map_or(0, hash64)).collect();
            Column { data: Data::Unsigned(hashes), valid: column.valid.clone() }
        }
        Shape::Coded => {
            let (mut distinct, mut table) = (Values::new(), HashTable::<u32>::new());
            let mut codes = Vec::with_capacity(rows);
            for row in 0..rows {
                let text = column.text(row).unwrap_or_default();
                let same = |&code: &u32| distinct.get(code as usize) == text;
                let code = table.find(hash64(text), same).copied().unwrap_or_else(|| {
                    let code = distinct.len() as u32;
                    distinct.push(text);
                    let rehash = |&code: &u32| hash64(distinct.get(code as usize));
                    table.insert_unique(hash64(text), code, rehash);
                    code
                });
                codes.push(code);
            }
            Column { data: Data::Coded { distinct: Arc::new(distinct), codes }, valid: column.valid.clone() }
        }
    }
}
