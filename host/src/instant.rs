//! Times in arguments: a day, or an instant of RFC 3339, of the years 0 to 9999.

use jiff::{civil::DateTime, fmt::temporal::Pieces};

/// The years 0 to 9999, in milliseconds since 1970.
const YEARS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Milliseconds since 1970. `jiff::Timestamp` would do it, but it ends a day before the year 9999 does.
pub fn instant(text: &str) -> Result<i64, String> {
    let help = "write a day as 2026-03-01 or a time as 2026-03-01T10:00:00Z, of the years 0 to 9999";
    millis(text).filter(|millis| YEARS.contains(millis)).ok_or_else(|| help.to_owned())
}

fn millis(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = match (pieces.time(), pieces.to_numeric_offset()) {
        // A day begins at midnight UTC; a time without its offset could be any.
        (None, None) => 0,
        (_, offset) => offset?.seconds(),
    };
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let since_1970 = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let millis = since_1970.as_nanos().div_euclid(1_000_000) - i128::from(offset) * 1_000;
    i64::try_from(millis).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_of_ten_thousand_years() {
        let cases = [
            ("1970-01-01", 0),
            ("2026-03-01", 1_772_323_200_000),
            ("0000-01-01", *YEARS.start()),
            ("9999-12-31", 253_402_214_400_000),
            ("9999-12-31T23:59:59.999Z", *YEARS.end()),
            ("9999-12-31T23:59:59.9999Z", *YEARS.end()),
            ("0000-01-01T00:00:00Z", *YEARS.start()),
            ("0000-01-01T01:00:00+01:00", *YEARS.start()),
            ("2026-03-01T10:00:00+02:30", 1_772_350_200_000),
            ("2026-03-01t10:00:00-00:00", 1_772_359_200_000),
            ("1969-12-31T23:59:59.9995Z", -1),
        ];
        for (text, millis) in cases {
            assert_eq!(instant(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let cases = [
            "",
            "yesterday",
            "2026-02-30",
            "2026-03-01T10:00:00",
            "10000-01-01",
            "-000001-12-31",
            "+010000-01-01",
            "0000-01-01T00:59:59+01:00",
            "9999-12-31T23:00:00-01:00",
        ];
        for text in cases {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
