/// The start of the window of `size` milliseconds in which the instant lies: `t - t mod size`, the remainder never negative.
/// Saturates at the end of the range of `i64`.
#[inline]
pub fn window_start(instant: i64, size: i64) -> i64 {
    instant.saturating_sub(instant.rem_euclid(size))
}

/// RFC 3339 in UTC: with three decimals where `millis`, else with none. Instants lie in the years 0000 to 9999, but a window may
/// begin before them or end after them: then the year has a sign and four digits, or five digits.
pub fn format_instant(instant: i64, millis: bool) -> String {
    let (days, within) = (instant.div_euclid(86_400_000), instant.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (within / 3_600_000, within / 60_000 % 60, within / 1000 % 60);
    // The width of a number counts its sign.
    let sign = if year < 0 { "-" } else { "" };
    let year = year.unsigned_abs();
    let date = format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if millis { format!("{date}.{:03}Z", within % 1000) } else { format!("{date}Z") }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar, by Howard Hinnant's
/// `civil_from_days`: years begin in March, eras have 400 of them.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_to_the_epoch() {
        assert_eq!(window_start(119_999, 60_000), 60_000);
        assert_eq!(window_start(-1, 60_000), -60_000);
        assert_eq!(window_start(-60_000, 60_000), -60_000);
    }

    #[test]
    fn instants_are_shown_in_utc() {
        assert_eq!(format_instant(0, false), "1970-01-01T00:00:00Z");
        assert_eq!(format_instant(-1, true), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_instant(1_772_359_200_000, false), "2026-03-01T10:00:00Z");
        assert_eq!(format_instant(-62_167_219_200_000, true), "0000-01-01T00:00:00.000Z");
        assert_eq!(format_instant(253_402_300_799_999, true), "9999-12-31T23:59:59.999Z");
        assert_eq!(format_instant(951_782_400_000, false), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn windows_at_the_ends_of_time_have_readable_starts_and_ends() {
        let week = 7 * 86_400_000;
        let first = window_start(-62_167_219_200_000, week);
        assert_eq!(format_instant(first, false), "-0001-12-30T00:00:00Z");
        assert_eq!(format_instant(-62_167_219_200_001, true), "-0001-12-31T23:59:59.999Z");
        assert_eq!(format_instant(253_402_300_800_000, false), "10000-01-01T00:00:00Z");
    }
}
