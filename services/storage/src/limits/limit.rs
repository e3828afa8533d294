//! One limit: what it leaves room for, and how it is told. Neither SQL nor a clock.

use domain::{ErrorKind, Result, TenantId, try_again_in};
use metrics::counter;
use proto::storage::{Amounts, Limit, Quota};
use sqlx::FromRow;

/// What there are limits of.
pub const KINDS: [&str; 4] = ["scans", "bytes", "jobs", "stored"];

const DAY_MS: i64 = 24 * 3_600_000;
const DAY_S: u32 = 24 * 3600;
/// How long whoever has too many jobs is to wait, in seconds: some are done by then, mostly.
const JOBS_PAUSE_S: i64 = 10;
/// The same for whoever has too much stored: somebody has to make room first.
pub const ROOM_PAUSE_S: i64 = 600;
/// How that is done.
pub const MAKE_ROOM: &str =
    "delete scans, keep them for a shorter time or ask the operator for more";

/// A scan that is about to be accepted: what is counted of it, and of whom.
pub struct Arriving {
    pub tenant: TenantId,
    /// The user or the API client.
    pub sender: String,
    pub at_ms: i64,
    /// Of the file as it came.
    pub bytes: i64,
    /// Of all that is stored when it is accepted.
    pub stored: i64,
    /// Whether it waits for its analysis.
    pub waits: bool,
}

/// Somebody's limits, and what is used of them.
#[derive(Clone, FromRow)]
pub struct Row {
    /// Empty: the hospital itself.
    pub client_id: String,
    /// 0: no limit, as of the next three.
    pub scans_max: i64,
    pub bytes_max: i64,
    pub jobs_max: i64,
    /// Of a hospital only.
    pub stored_max: i64,
    pub name: String,
    pub decided_ms: i64,
    pub scans: i64,
    pub bytes: i64,
    /// What the hospital has stored, of whomever the limits are.
    #[sqlx(rename = "stored_bytes")]
    pub stored: i64,
}

impl Row {
    /// Of whom nobody has limited anything.
    pub fn unlimited() -> Row {
        Row {
            client_id: String::new(),
            scans_max: 0,
            bytes_max: 0,
            jobs_max: 0,
            stored_max: 0,
            name: String::new(),
            decided_ms: 0,
            scans: 0,
            bytes: 0,
            stored: 0,
        }
    }

    /// Refuses what is more than may be, where there are so many jobs with it.
    pub fn require(&self, arriving: &Arriving, jobs: i64) -> Result<()> {
        let (scans, bytes) =
            (self.scans.saturating_add(1), self.bytes.saturating_add(arriving.bytes));
        let jobs = if arriving.waits { jobs } else { 0 };
        let stored = self.stored.saturating_add(arriving.stored);
        let (day, left_s) = ("a day", left_s(arriving.at_ms));
        let limits = [
            ("scans", self.scans_max, scans, day, left_s),
            ("bytes", self.bytes_max, bytes, day, left_s),
            ("jobs", self.jobs_max, jobs, "that wait or run at a time", JOBS_PAUSE_S),
            ("stored", self.stored_max, stored, "bytes at a time", ROOM_PAUSE_S),
        ];
        let exceeded = limits.into_iter().find(|(_, most, then, ..)| *most > 0 && then > most);
        let Some((limit, most, _, when, pause_s)) = exceeded else { return Ok(()) };
        counter!("medseg_limit_refusals_total", "limit" => limit).increment(1);
        let whose =
            if self.client_id.is_empty() { "of the hospital" } else { "of this API client" };
        let first = if limit == "stored" { format!("{MAKE_ROOM}, and ") } else { String::new() };
        Err(ErrorKind::Exhausted.error(format!(
            "the limit {whose}, {most} {limit} {when}, leaves no room for it: {first}{}",
            try_again_in(pause_s)
        )))
    }

    pub fn told(self, jobs: i64) -> Limit {
        let amounts = |[scans, bytes, jobs, stored]: [i64; 4]| Amounts {
            scans: unsigned(scans),
            bytes: unsigned(bytes),
            jobs: unsigned(jobs),
            stored: unsigned(stored),
        };
        let stored = if self.client_id.is_empty() { self.stored } else { 0 };
        Limit {
            most: Some(amounts(self.most().map(|(_, most)| most))),
            used: Some(amounts([self.scans, self.bytes, jobs, stored])),
            client_id: self.client_id,
            decided_by: self.name,
            decided_ms: self.decided_ms,
        }
    }

    /// What is left of each limit there is.
    pub fn quotas(&self, jobs: i64, now_ms: i64) -> Vec<Quota> {
        let whose = if self.client_id.is_empty() { "" } else { "client-" };
        let reset_s = u32::try_from(left_s(now_ms)).unwrap_or(DAY_S);
        let limits = [
            ("scans", self.scans_max, self.scans, "", (DAY_S, reset_s)),
            ("bytes", self.bytes_max, self.bytes, "content-bytes", (DAY_S, reset_s)),
            ("jobs", self.jobs_max, jobs, "concurrent-requests", (0, 0)),
            ("stored", self.stored_max, self.stored, "content-bytes", (0, 0)),
        ];
        let limits = limits.into_iter().filter(|(_, most, ..)| *most > 0);
        let quota =
            |(name, most, used, unit, (window_s, reset_s)): (&str, i64, i64, &str, _)| Quota {
                name: format!("{whose}{name}"),
                quota: unsigned(most),
                remaining: unsigned(most.saturating_sub(used)),
                window_s,
                reset_s,
                unit: unit.to_owned(),
            };
        limits.map(quota).collect()
    }

    /// The limits with what they are of.
    pub fn most(&self) -> [(&'static str, i64); 4] {
        let [scans, bytes, jobs, stored] = KINDS;
        [
            (scans, self.scans_max),
            (bytes, self.bytes_max),
            (jobs, self.jobs_max),
            (stored, self.stored_max),
        ]
    }
}

/// The day (UTC) of that moment, counted from 1970.
pub fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// How many seconds that day has left: 1 at least.
fn left_s(at_ms: i64) -> i64 {
    (DAY_MS - at_ms.rem_euclid(DAY_MS)).saturating_add(999) / 1000
}

pub fn amount(said: u64) -> i64 {
    i64::try_from(said).unwrap_or(i64::MAX)
}

fn unsigned(amount: i64) -> u64 {
    u64::try_from(amount).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::seconds_said;

    use super::*;

    fn arriving(at_ms: i64, bytes: i64) -> Arriving {
        let tenant = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        Arriving {
            tenant,
            sender: "c".to_owned(),
            at_ms,
            bytes,
            stored: bytes.saturating_mul(2),
            waits: true,
        }
    }

    #[test]
    fn a_limit_is_reached_and_not_passed_and_who_is_refused_is_told_until_when() {
        let limit = Row {
            scans_max: 2,
            bytes_max: 10,
            jobs_max: 3,
            stored_max: 20,
            scans: 1,
            bytes: 4,
            stored: 8,
            ..Row::unlimited()
        };
        let noon = arriving(DAY_MS / 2, 6);
        assert!(limit.require(&noon, 3).is_ok());
        let refused = |limit: &Row, of: &Arriving, jobs: i64| {
            let error = limit.require(of, jobs).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Exhausted);
            (
                error.to_string().split(' ').nth(6).unwrap().to_owned(),
                seconds_said(&error.to_string()),
            )
        };
        let half_a_day = Some(DAY_S / 2);
        let said = |kind: &str, pause_s| (kind.to_owned(), pause_s);
        assert_eq!(
            refused(&Row { scans: 2, ..limit.clone() }, &noon, 0),
            said("scans", half_a_day)
        );
        assert_eq!(refused(&limit, &arriving(DAY_MS / 2, 7), 0), said("bytes", half_a_day));
        assert_eq!(refused(&limit, &noon, 4), said("jobs", Some(10)));
        assert_eq!(
            refused(&Row { stored: 9, ..limit.clone() }, &noon, 0),
            said("stored", Some(600))
        );
        // What is only kept is no job.
        assert!(limit.require(&Arriving { waits: false, ..noon }, 4).is_ok());
        assert!(Row::unlimited().require(&arriving(0, i64::MAX), i64::MAX).is_ok());
    }

    #[test]
    fn a_day_ends_at_midnight_and_has_a_second_left_until_then() {
        assert_eq!((day_of(DAY_MS - 1), day_of(DAY_MS)), (0, 1));
        assert_eq!((left_s(0), left_s(DAY_MS - 1), left_s(DAY_MS)), (86_400, 1, 86_400));
    }

    #[test]
    fn what_is_left_is_told_of_each_limit_there_is_and_is_never_less_than_nothing() {
        let limit =
            Row { client_id: "c".into(), scans_max: 5, scans: 7, jobs_max: 3, ..Row::unlimited() };
        let told = |limit: &Row| -> Vec<(String, u64, u32)> {
            let quotas = limit.quotas(1, DAY_MS - 2000).into_iter();
            quotas.map(|quota| (quota.name, quota.remaining, quota.reset_s)).collect()
        };
        let named = |name: &str, left: u64, reset_s: u32| (name.to_owned(), left, reset_s);
        assert_eq!(told(&limit), [named("client-scans", 0, 2), named("client-jobs", 2, 0)]);
        let limit = Row { stored_max: 9, stored: 4, ..Row::unlimited() };
        assert_eq!(told(&limit), [named("stored", 5, 0)]);
    }
}
