//! The text of a cell, as the contract writes it.

use std::io::Write as _;

use clickmill_columns::{Column, Data, Kind, format_instant};

/// Appends the text of a row's value; nothing, and false, where the value is absent.
pub(crate) fn push_text(out: &mut Vec<u8>, kind: Kind, column: &Column, row: usize) -> bool {
    if !column.valid.get(row) {
        return false;
    }
    let written = match &column.data {
        Data::Integers(values) if kind == Kind::Instant => {
            out.extend_from_slice(format_instant(values[row], true).as_bytes());
            Ok(())
        }
        Data::Integers(values) => write!(out, "{}", values[row]),
        Data::Unsigned(values) => write!(out, "{}", values[row]),
        Data::Reals(values) => write!(out, "{}", values[row]),
        Data::Booleans(values) => write!(out, "{}", values[row]),
        Data::Text(_) | Data::Places { .. } | Data::Coded { .. } => {
            let text = column.text(row);
            out.extend_from_slice(text.unwrap_or_default());
            return text.is_some();
        }
    };
    // Nothing fails that is written to memory.
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use clickmill_columns::Validity;

    use super::*;

    fn text(kind: Kind, column: &Column) -> Option<String> {
        let mut out = b"before".to_vec();
        let there = push_text(&mut out, kind, column, 0);
        let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        assert!(there || text.is_empty());
        there.then_some(text)
    }

    #[test]
    fn a_value_is_text() {
        let shown = |kind, data| text(kind, &Column::new(data));
        assert_eq!(shown(Kind::Instant, Data::Integers(vec![1])).unwrap(), "1970-01-01T00:00:00.001Z");
        assert_eq!(shown(Kind::Duration, Data::Integers(vec![-1])).unwrap(), "-1");
        assert_eq!(shown(Kind::Unsigned, Data::Unsigned(vec![u64::MAX])).unwrap(), u64::MAX.to_string());
        assert_eq!(shown(Kind::Real, Data::Reals(vec![34.5])).unwrap(), "34.5");
        assert_eq!(shown(Kind::Boolean, Data::Booleans(vec![true])).unwrap(), "true");
        assert_eq!(shown(Kind::Text, Data::Text([&b"x"[..]].into_iter().collect())).unwrap(), "x");
        let null = Column { data: Data::Integers(vec![1]), valid: Validity::from_fn(1, |_| false) };
        assert_eq!(text(Kind::Integer, &null), None);
    }
}
