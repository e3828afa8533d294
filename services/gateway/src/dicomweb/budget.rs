//! What answers about studies have in memory: each so much, and all together so much, for one process answers every hospital.

use std::sync::{Arc, Mutex, PoisonError};

use domain::TenantId;
use domain::limits::INDEX_BYTES_MAX;
use service::{Share, Shares, Turn, Turns};

use crate::problem::{NOT_ACCEPTABLE, Problem, TOO_MANY_REQUESTS, UNAVAILABLE};

const MIB: usize = 1 << 20;
/// Indexes that are read at the same time, in MiB: the largest that there is, alone. Who needs more of it waits.
const READ_MIB: usize = INDEX_BYTES_MAX / MIB;
/// So many times their JSON is what attributes take.
pub const PARSED_TIMES: usize = 8;
/// What one answer may hold of what it has read, in MiB.
const ANSWER_MIB: usize = 32;
/// What all answers may, and those of one hospital.
const ALL_MIB: usize = 96;
const OWN_MIB: usize = 64;

/// The memory of all answers.
#[derive(Clone)]
pub struct Memory {
    reading: Turns<TenantId>,
    held: Shares<TenantId>,
}

/// The memory of one answer, for as long as one of its clones is there.
#[derive(Clone)]
pub struct Budget {
    tenant: TenantId,
    held: Arc<Mutex<Held>>,
}

struct Held {
    bytes: usize,
    /// In MiB; what is less than one is as in any other request.
    share: Share<TenantId>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { reading: Turns::of(READ_MIB), held: Shares::default() }
    }
}

impl Memory {
    /// Room for an index of so many bytes, once there is some; with `attributes` for what its instances say of themselves, too.
    pub async fn room(&self, tenant: TenantId, bytes: u64, attributes: bool) -> Turn<TenantId> {
        let mib = usize::try_from(bytes).unwrap_or(INDEX_BYTES_MAX) / MIB + 1;
        let times = if attributes { PARSED_TIMES } else { 1 };
        self.reading.take_many(tenant, mib.saturating_mul(times)).await
    }

    /// That of one more answer, which holds nothing yet.
    pub fn budget(&self, tenant: TenantId) -> Budget {
        let held = Held { bytes: 0, share: self.held.none(tenant) };
        Budget { tenant, held: Arc::new(Mutex::new(held)) }
    }
}

impl Budget {
    /// Counts what the answer is to hold besides; a problem that says what to do where that is too much.
    pub fn hold(&self, bytes: usize) -> Result<(), Problem> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes = held.bytes.saturating_add(bytes);
        let mib = held.bytes / MIB;
        if mib > ANSWER_MIB {
            return Err(NOT_ACCEPTABLE.problem(format!(
                "what is known of so many instances is more than the {ANSWER_MIB} MiB that one answer has: ask for one series or one instance at a \
                 time, or for fewer attributes"
            )));
        }
        let more = mib.saturating_sub(held.share.count());
        if more == 0 {
            return Ok(());
        }
        let tenant = self.tenant;
        held.share.grow(more, |taken| admit(taken.all() + more, taken.of(&tenant) + more))
    }
}

/// Whether there may be so many MiB in all, and so many of one hospital.
fn admit(all: usize, own: usize) -> Result<(), Problem> {
    if own > OWN_MIB {
        return Err(TOO_MANY_REQUESTS.problem(
            "other answers about studies of your hospital are under way, and the memory left is for others",
        ));
    }
    if all > ALL_MIB {
        return Err(UNAVAILABLE.problem("too many large answers about studies are under way"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn tenants() -> [TenantId; 3] {
        ["7", "8", "9"]
            .map(|last| format!("01890a5d-ac96-774b-bcce-b302099a805{last}").parse().unwrap())
    }

    fn refused(held: Result<(), Problem>) -> Option<u16> {
        held.err().map(|problem| problem.status())
    }

    #[test]
    fn an_answer_one_hospital_and_all_together_hold_so_much_and_give_it_back() {
        let (memory, [one, other, third]) = (Memory::default(), tenants());
        let alone = memory.budget(one);
        assert_eq!(refused(alone.hold(ANSWER_MIB * MIB)), None);
        assert_eq!(refused(alone.hold(MIB)), Some(406));
        drop(alone);
        let full = |tenant| {
            let budget = memory.budget(tenant);
            (refused(budget.hold(ANSWER_MIB * MIB)), budget)
        };
        let held = [full(one), full(one), full(other)];
        assert!(held.iter().all(|(refused, _)| refused.is_none()));
        assert_eq!(full(one).0, Some(429));
        assert_eq!(full(third).0, Some(503));
        // What is small is answered all the same.
        assert_eq!(refused(memory.budget(third).hold(MIB / 2)), None);
        drop(held);
        assert_eq!(full(third).0, None);
    }

    #[tokio::test]
    async fn the_largest_index_is_read_alone_and_small_ones_side_by_side() {
        let (memory, [one, other, _]) = (Memory::default(), tenants());
        let small = [memory.room(one, 1, true).await, memory.room(other, 1, false).await];
        let largest = memory.room(one, INDEX_BYTES_MAX as u64, true);
        let mut largest = Box::pin(largest);
        assert!(largest.as_mut().now_or_never().is_none());
        drop(small);
        assert!(largest.as_mut().now_or_never().is_some());
    }
}
