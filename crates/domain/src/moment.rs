use time::OffsetDateTime;
use time::macros::format_description;

const NANOSECONDS_PER_MS: i128 = 1_000_000;

/// A moment, given in milliseconds since 1970, as RFC 3339 writes it: in UTC, to the millisecond. None beyond its years.
pub fn rfc3339(ms: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * NANOSECONDS_PER_MS);
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment.ok().filter(|moment| (0..=9999).contains(&moment.year()))?.format(form).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_to_the_millisecond() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ms).as_deref(), Some(text));
        }
        assert_eq!((rfc3339(i64::MAX), rfc3339(i64::MIN)), (None, None));
    }

    #[test]
    fn a_leap_day_and_both_ends_of_the_calendar_are_written() {
        for (ms, text) in [
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (4_107_542_400_000, Some("2100-03-01T00:00:00.000Z")),
            (253_402_300_799_999, Some("9999-12-31T23:59:59.999Z")),
            (253_402_300_800_000, None),
            (-62_167_219_200_000, Some("0000-01-01T00:00:00.000Z")),
            (-62_167_219_200_001, None),
        ] {
            assert_eq!(rfc3339(ms).as_deref(), text, "{ms}");
        }
    }
}
