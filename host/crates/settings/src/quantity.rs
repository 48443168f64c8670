//! Durations (`250ms`, `1s`, `30d`) and sizes (`64MiB`) as text: a whole number and a unit, with nothing between them.
//!
//! The grammar has one spelling for each pair of number and unit, since the names of windows come from it.

use std::time::Duration;

/// Why a text is no duration or no size. Displays as one line that says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {help}")]
pub struct QuantityError {
    /// What was wrong, with the text.
    pub problem: String,
    /// What would be right.
    pub help: String,
}

struct Grammar {
    what: &'static str,
    units: &'static [(&'static str, u64)],
    example: &'static str,
}

const SECOND: u64 = 1_000;
const DURATION: Grammar = Grammar {
    what: "duration",
    units: &[("ms", 1), ("s", SECOND), ("m", 60 * SECOND), ("h", 3_600 * SECOND), ("d", 86_400 * SECOND)],
    example: "5s",
};
const SIZE: Grammar = Grammar {
    what: "size",
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
    example: "64MiB",
};

/// A duration: a whole number and one of `ms`, `s`, `m`, `h`, `d` (24 hours). At most the milliseconds that 63 bits hold.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    DURATION.parse(text).map(Duration::from_millis)
}

/// A size in bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1,024). At most 63 bits.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    SIZE.parse(text)
}

/// A duration as [`parse_duration`] reads it, in the greatest unit that keeps it whole; what is below a millisecond goes.
pub fn show_duration(duration: Duration) -> String {
    DURATION.show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A size as [`parse_size`] reads it, in the greatest unit that keeps it whole.
pub fn show_size(bytes: u64) -> String {
    SIZE.show(bytes)
}

impl Grammar {
    fn parse(&self, text: &str) -> Result<u64, QuantityError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let refuse = |problem: String, help: String| Err(QuantityError { problem, help });
        let shown = crate::fault::quote(text);
        let usual = || format!("write a whole number and {}: `{}`", self.unit_names(), self.example);
        if number.is_empty() {
            return refuse(
                format!("{shown} is no {}: it does not begin with a whole number", self.what),
                usual(),
            );
        }
        if unit.is_empty() {
            return refuse(format!("{shown} is no {}: it has no unit", self.what), usual());
        }
        if number.len() > 1 && number.starts_with('0') {
            let meant = Some(number.trim_start_matches('0')).filter(|rest| !rest.is_empty()).unwrap_or("0");
            return refuse(
                format!("{shown} is no {}: its number begins with a zero", self.what),
                format!("write `{meant}{unit}`"),
            );
        }
        let Some((_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let problem = format!("{shown} is no {}: {} is no unit", self.what, crate::fault::quote(unit));
            return match self.meant(unit) {
                Some(meant) => refuse(problem, format!("write `{number}{meant}`")),
                None => refuse(problem, usual()),
            };
        };
        let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        match value.filter(|&value| i64::try_from(value).is_ok()) {
            Some(value) => Ok(value),
            None => {
                refuse(format!("{shown} is too great for a {}", self.what), "write a smaller one".to_owned())
            }
        }
    }

    /// The unit that a reader most likely meant: other case, white space around it, a longer or decimal name.
    fn meant(&self, unit: &str) -> Option<&'static str> {
        let unit = unit.trim();
        let same = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| *name);
        same.or(match unit.to_ascii_lowercase().as_str() {
            "millis" | "msec" | "millisecond" | "milliseconds" => Some("ms"),
            "sec" | "secs" | "second" | "seconds" => Some("s"),
            "min" | "mins" | "minute" | "minutes" => Some("m"),
            "hr" | "hrs" | "hour" | "hours" => Some("h"),
            "day" | "days" => Some("d"),
            "byte" | "bytes" => Some("B"),
            "k" | "kb" => Some("KiB"),
            "m" | "mb" => Some("MiB"),
            "g" | "gb" => Some("GiB"),
            "t" | "tb" => Some("TiB"),
            _ => None,
        })
        .filter(|meant| self.units.iter().any(|(name, _)| name == meant))
    }

    fn unit_names(&self) -> String {
        let names: Vec<_> = self.units.iter().map(|(name, _)| *name).collect();
        crate::fault::alternatives(&names)
    }

    fn show(&self, value: u64) -> String {
        let whole = self.units.iter().rev().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
        let (name, factor) = whole.or(self.units.first()).copied().unwrap_or(("", 1));
        format!("{}{name}", value / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("90s"), Ok(90_000));
        assert_eq!(millis("1m"), Ok(60_000));
        assert_eq!(millis("2h"), Ok(7_200_000));
        assert_eq!(millis("30d"), Ok(2_592_000_000));
        assert_eq!(parse_size("17B"), Ok(17));
        assert_eq!(parse_size("64MiB"), Ok(67_108_864));
        assert_eq!(parse_size("2TiB"), Ok(2_199_023_255_552));
    }

    #[test]
    fn what_is_none_is_refused_with_what_would_be_right() {
        let duration = |text| parse_duration(text).err().map(|error| error.to_string());
        let size = |text| parse_size(text).err().map(|error| error.to_string());
        let refused = |text: &str| Some(text.to_owned());
        assert_eq!(
            duration("5"),
            refused(
                "`5` is no duration: it has no unit; write a whole number and `ms`, `s`, `m`, `h` or `d`: `5s`"
            )
        );
        assert_eq!(
            duration("5 Minutes"),
            refused("`5 Minutes` is no duration: ` Minutes` is no unit; write `5m`")
        );
        assert_eq!(
            duration("007s"),
            refused("`007s` is no duration: its number begins with a zero; write `7s`")
        );
        assert_eq!(
            duration("00s"),
            refused("`00s` is no duration: its number begins with a zero; write `0s`")
        );
        assert_eq!(
            duration("9999999999999d"),
            refused("`9999999999999d` is too great for a duration; write a smaller one")
        );
        assert_eq!(size("64mb"), refused("`64mb` is no size: `mb` is no unit; write `64MiB`"));
        assert_eq!(size("8388608TiB"), refused("`8388608TiB` is too great for a size; write a smaller one"));
    }

    #[test]
    fn quantities_are_shown_in_the_greatest_unit_that_keeps_them_whole() {
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(7_200)), "2h");
        assert_eq!(show_duration(Duration::ZERO), "0ms");
        assert_eq!(show_size(1 << 30), "1GiB");
        assert_eq!(show_size(1_000), "1000B");
        assert_eq!(show_size(0), "0B");
    }
}
