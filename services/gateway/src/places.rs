//! Places for what takes long, such as uploads that are under way, shared out among hospitals.

use domain::TenantId;
use service::{Share, Shares};

use crate::problem::{Problem, TOO_MANY_REQUESTS, UNAVAILABLE};

/// Once this part (in quarters) of all places is taken, a hospital has at most the other.
const CROWDED_QUARTERS: usize = 3;
const OWN_QUARTERS: usize = 2;

/// The places for uploads, or for something else. While many are free, a hospital may take what it likes; the last quarter is kept for those that
/// have less than half of all.
#[derive(Clone)]
pub struct Places {
    most: usize,
    /// What they are for, as the problems call it.
    what: &'static str,
    taken: Shares<TenantId>,
}

impl Places {
    /// So many places for these.
    pub fn of(most: usize, what: &'static str) -> Places {
        Places { most, what, taken: Shares::default() }
    }

    /// A place for one of that hospital; a problem that says to come back where there is none.
    pub fn take(&self, tenant: TenantId) -> Result<Share<TenantId>, Problem> {
        let Places { most, what, .. } = *self;
        self.taken.take(tenant, |taken| {
            let (all, own) = (taken.all(), taken.of(&tenant));
            if all >= most {
                return Err(UNAVAILABLE.problem(format!("too many {what} are under way")));
            }
            if 4 * all >= CROWDED_QUARTERS * most && 4 * own >= OWN_QUARTERS * most {
                return Err(TOO_MANY_REQUESTS.problem(format!(
                    "{own} {what} of your hospital are under way, and the places left are for others"
                )));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hospital_keeps_no_other_out() {
        let (places, [one, other]) = (Places::of(64, "uploads"), tenants());
        let flood: Vec<_> = (0..200).filter_map(|_| places.take(one).ok()).collect();
        assert_eq!(flood.len(), 48);
        assert_eq!(places.take(one).err().map(|problem| problem.status()), Some(429));
        let others: Vec<_> = (0..200).filter_map(|_| places.take(other).ok()).collect();
        assert_eq!(others.len(), 16);
        assert_eq!(places.take(other).err().map(|problem| problem.status()), Some(503));
        drop(flood);
        assert!(places.take(one).is_ok());
        drop(others);
        let last = places.taken.take(one, |taken| {
            assert_eq!(taken.all(), 0);
            Ok::<(), ()>(())
        });
        assert!(last.is_ok());
    }

    fn tenants() -> [TenantId; 2] {
        ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"]
            .map(|id| id.parse().unwrap())
    }
}
