//! How often answers may be found wrong, and how often it is cried that they are too often.

use domain::evidence::{ErrorTest, Evidence};
use domain::{ErrorKind, Result};

use super::reviewed::Reviewed;

/// What part of a model's confirmed answers may be wrong before somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, clap::Args)]
pub struct Bound {
    /// The part of confirmed answers that may be wrong; what speaks against it raises an alarm. Above 0 and below 1.
    #[arg(long = "quality-error-max", env = "QUALITY_ERROR_MAX", default_value_t = 0.2)]
    pub error_max: f64,

    /// The false-alarm budget: of a model that is no worse, one alarm in so many confirmed scans is raised at most, on average.
    #[arg(long = "quality-budget-scans", env = "QUALITY_BUDGET_SCANS", default_value_t = 1000)]
    pub budget_scans: u32,
}

impl Default for Bound {
    fn default() -> Bound {
        Bound { error_max: 0.2, budget_scans: 1000 }
    }
}

/// What a model's confirmed answers come to beside the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    pub bound: Bound,
    pub evidence: Evidence,
}

impl Bound {
    /// Refuses what bounds nothing, before a port is opened.
    pub fn check(self) -> Result<Bound> {
        match self.test() {
            Some(_) => Ok(self),
            None => Err(ErrorKind::Invalid.error(
                "a bound that bounds nothing: quality-error-max lies between 0 and 1, and quality-budget-scans is 1 or more",
            )),
        }
    }

    fn test(self) -> Option<ErrorTest> {
        ErrorTest::new(self.error_max, self.budget_scans)
    }

    /// In the order in which scans were completed, whenever they were reviewed: a scan stays in its place when readers think again.
    pub fn alarm(self, reviewed: &[&Reviewed]) -> Option<Alarm> {
        let mut known: Vec<(i64, bool)> =
            reviewed.iter().filter_map(|scan| Some((scan.at_ms, scan.is_wrong()?))).collect();
        known.sort_by_key(|(at_ms, _)| *at_ms);
        let evidence = self.test()?.evidence(known.into_iter().map(|(_, is_wrong)| is_wrong));
        Some(Alarm { bound: self, evidence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_bounds_nothing_is_refused() {
        assert!(Bound::default().check().is_ok());
        for (error_max, budget_scans) in [(0.0, 10), (1.0, 10), (f64::NAN, 10), (0.1, 0)] {
            let error = Bound { error_max, budget_scans }.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error_max} {budget_scans}");
        }
    }
}
