//! The columns of an output, known before its first row: rows of several kinds, such as documents of two rollups, become alike. A
//! row has its cells by name; what it lacks is null.

use std::sync::Arc;

use serde_json::Value;

use crate::error::Error;

/// A row: each name once.
pub type Flat = Vec<(Arc<str>, Value)>;

/// Names in the order of the output, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(Vec<Arc<str>>);

impl Columns {
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| **known == *name)
    }

    pub fn add(&mut self, name: impl AsRef<str> + Into<Arc<str>>) {
        if !self.contains(name.as_ref()) {
            self.0.push(name.into());
        }
    }

    /// The row's values, one for each column. A name that is no column came into the store after the columns were told.
    pub fn place(&self, row: Flat) -> Result<Vec<Value>, Error> {
        let mut values = vec![Value::Null; self.0.len()];
        // Most rows have their cells in the order of the columns: the search begins where the last one ended.
        let mut next = 0;
        for (name, value) in row {
            let ahead = self.0.iter().skip(next).position(|known| *known == name).map(|place| next + place);
            let found = ahead.or_else(|| self.0.iter().position(|known| *known == name));
            let place = found.ok_or_else(|| {
                Error::Other(format!("the column `{name}` is new since the output began; try again"))
            })?;
            values[place] = value;
            next = place + 1;
        }
        Ok(values)
    }
}

impl<Name: AsRef<str> + Into<Arc<str>>> Extend<Name> for Columns {
    fn extend<Names: IntoIterator<Item = Name>>(&mut self, names: Names) {
        names.into_iter().for_each(|name| self.add(name));
    }
}

impl<Name: AsRef<str> + Into<Arc<str>>> FromIterator<Name> for Columns {
    fn from_iter<Names: IntoIterator<Item = Name>>(names: Names) -> Columns {
        let mut columns = Columns::default();
        columns.extend(names);
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(&str, i64)]) -> Flat {
        cells.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn cells_go_by_their_names() {
        let columns = Columns::from_iter(["a", "b", "a", "c"]);
        assert_eq!(columns.names(), ["a".into(), "b".into(), "c".into()]);
        let place = |cells: &[(&str, i64)]| columns.place(row(cells)).unwrap();
        assert_eq!(place(&[("a", 1), ("b", 2), ("c", 3)]), [1, 2, 3]);
        assert_eq!(place(&[("c", 3), ("a", 1)]), [1.into(), Value::Null, 3.into()]);
        assert_eq!(place(&[]), [Value::Null, Value::Null, Value::Null]);
    }

    #[test]
    fn a_column_that_nobody_told_of_is_not_dropped() {
        let error = Columns::from_iter(["a"]).place(row(&[("b", 1)])).unwrap_err();
        assert!(error.to_string().contains("`b`"), "{error}");
    }
}
