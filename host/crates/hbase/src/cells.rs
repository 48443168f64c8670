//! The text of a cell, as the contract writes it.

use clickmill_columns::{Column, Data, Kind, format_instant};

/// The cell of a row; none where the value is absent.
pub(crate) fn text(kind: Kind, column: &Column, row: usize) -> Option<Vec<u8>> {
    if !column.valid.get(row) {
        return None;
    }
    match &column.data {
        Data::Integers(values) if kind == Kind::Instant => {
            Some(format_instant(values[row], true).into_bytes())
        }
        Data::Integers(values) => Some(values[row].to_string().into_bytes()),
        Data::Unsigned(values) => Some(values[row].to_string().into_bytes()),
        Data::Reals(values) => Some(values[row].to_string().into_bytes()),
        Data::Booleans(values) => Some(values[row].to_string().into_bytes()),
        Data::Text(_) | Data::Places { .. } | Data::Coded { .. } => column.text(row).map(<[u8]>::to_vec),
    }
}

#[cfg(test)]
mod tests {
    use clickmill_columns::Validity;

    use super::*;

    #[test]
    fn a_value_is_text() {
        let shown =
            |kind, data| text(kind, &Column::new(data), 0).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(shown(Kind::Instant, Data::Integers(vec![1])).unwrap(), "1970-01-01T00:00:00.001Z");
        assert_eq!(shown(Kind::Duration, Data::Integers(vec![-1])).unwrap(), "-1");
        assert_eq!(shown(Kind::Unsigned, Data::Unsigned(vec![u64::MAX])).unwrap(), u64::MAX.to_string());
        assert_eq!(shown(Kind::Real, Data::Reals(vec![34.5])).unwrap(), "34.5");
        assert_eq!(shown(Kind::Boolean, Data::Booleans(vec![true])).unwrap(), "true");
        assert_eq!(shown(Kind::Text, Data::Text([&b"x"[..]].into_iter().collect())).unwrap(), "x");
        let null = Column { data: Data::Integers(vec![1]), valid: Validity::from_fn(1, |_| false) };
        assert_eq!(text(Kind::Integer, &null, 0), None);
    }
}
