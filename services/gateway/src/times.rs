//! Times as people and other programs write them (RFC 3339) instead of milliseconds since 1970.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::problem::{INVALID, Problem};

const NANOSECONDS_PER_MS: i128 = 1_000_000;

/// The milliseconds since 1970 of a moment that the parameter `name` gives.
pub fn ms_of(name: &str, moment: &str) -> Result<i64, Problem> {
    let said = OffsetDateTime::parse(moment, &Rfc3339).map_err(|_| {
        INVALID.problem(format!(
            "`{name}` is a time as RFC 3339 writes it, such as 2026-11-27T08:50:00Z (in a query, `+` is written %2B)"
        ))
    })?;
    let ms = said.unix_timestamp_nanos().div_euclid(NANOSECONDS_PER_MS);
    i64::try_from(ms).map_err(|_| INVALID.problem(format!("`{name}` is too far away")))
}

/// The same of a parameter that may be left out.
pub fn ms_if_given(name: &str, moment: Option<&str>) -> Result<Option<i64>, Problem> {
    moment.map(|moment| ms_of(name, moment)).transpose()
}

/// A moment as headers say it (RFC 9110, 5.6.7), to the second before. None beyond its years.
pub fn http_date(ms: i64) -> Option<String> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok();
    moment.filter(|moment| (0..=9999).contains(&moment.year()))?.format(form).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_whatever_its_zone_and_nothing_else_is_a_time() {
        for text in ["2023-11-14T22:13:20.007Z", "2023-11-14T23:13:20.007+01:00"] {
            assert_eq!(ms_of("from", text).ok(), Some(1_700_000_000_007));
        }
        for text in ["", "yesterday", "2023-11-14", "1700000000007", "2023-11-14T23:13:20 01:00"] {
            let problem = ms_of("from", text).unwrap_err().to_string();
            assert!(problem.starts_with("`from` is a time"), "{problem}");
        }
    }

    #[test]
    fn a_header_says_a_time_as_rfc_9110_writes_it() {
        // Its own example.
        assert_eq!(http_date(784_111_777_999).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(http_date(i64::MAX), None);
    }
}
