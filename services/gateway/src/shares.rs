//! Uploads that are under way, shared out among hospitals.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::TenantId;

use crate::problem::{Problem, TOO_MANY_REQUESTS, UNAVAILABLE};

/// Once this part (in quarters) of all places is taken, a hospital has at most the other.
const CROWDED_QUARTERS: usize = 3;
const OWN_QUARTERS: usize = 2;

/// The places for uploads. While many are free, a hospital may take what it likes; the last quarter is kept for those that
/// have less than half of all.
#[derive(Clone)]
pub struct Shares(Arc<Inner>);

struct Inner {
    most: usize,
    taken: Mutex<HashMap<TenantId, usize>>,
}

/// A place for one upload; free again when this is dropped.
pub struct Place {
    shares: Shares,
    tenant: TenantId,
}

impl Shares {
    /// So many places.
    pub fn of(most: usize) -> Shares {
        Shares(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// A place for an upload of that hospital; a problem that says to come back where there is none.
    pub fn take(&self, tenant: TenantId) -> Result<Place, Problem> {
        let mut taken = self.taken();
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&tenant).copied().unwrap_or(0));
        let most = self.0.most;
        if all >= most {
            return Err(UNAVAILABLE.problem("too many uploads are under way"));
        }
        if 4 * all >= CROWDED_QUARTERS * most && 4 * own >= OWN_QUARTERS * most {
            return Err(TOO_MANY_REQUESTS.problem(format!(
                "{own} uploads of your hospital are under way, and the places left are for others"
            )));
        }
        *taken.entry(tenant).or_default() += 1;
        drop(taken);
        Ok(Place { shares: self.clone(), tenant })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        // Counts are whole whatever panics beside them.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hospital_keeps_no_other_out() {
        let (shares, [one, other]) = (Shares::of(64), tenants());
        let flood: Vec<_> = (0..200).filter_map(|_| shares.take(one).ok()).collect();
        assert_eq!(flood.len(), 48);
        assert_eq!(shares.take(one).err().map(|problem| problem.status()), Some(429));
        let others: Vec<_> = (0..200).filter_map(|_| shares.take(other).ok()).collect();
        assert_eq!(others.len(), 16);
        assert_eq!(shares.take(other).err().map(|problem| problem.status()), Some(503));
        drop(flood);
        assert!(shares.take(one).is_ok());
        drop(others);
        assert!(shares.taken().is_empty());
    }

    fn tenants() -> [TenantId; 2] {
        ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"]
            .map(|id| id.parse().unwrap())
    }
}
