use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use domain::neighbourhood;
use rustix::process::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;

use crate::proxies::Proxies;
use crate::shares::{Share, Shares};

/// The limit on open files where the system has none.
const OPEN_FILES: u64 = 1 << 16;
/// Of the files that the process may open, connections take this part at most: the others are its own.
const PART_OF_FILES: u64 = 2;
/// Once this part of all connections is open, an address has the other at most.
const CROWDED: usize = 2;
const PART_OF_ADDRESS: usize = 8;
/// So many more may be open for the moment that one that was sent away takes to close.
const PART_CLOSING: usize = 8;

/// The connections that a listener has open. While there is room, anybody may have any number of them; when it becomes scarce, no
/// address keeps others out but those of the proxies in front of all callers. When there is none, the connection that has waited
/// longest for its first request makes room: who has a request sends it at once.
#[derive(Clone)]
pub struct Connections {
    most: usize,
    proxies: Proxies,
    open: Shares<IpAddr>,
    waiting: Arc<Mutex<VecDeque<Weak<FirstRequest>>>>,
}

/// An open connection; it counts until this is dropped.
pub struct Admitted {
    /// What is known of its first request.
    pub first_request: Arc<FirstRequest>,
    _share: Share<IpAddr>,
}

/// Whether the first request of a connection has come, or is waited for no longer.
#[derive(Default)]
pub struct FirstRequest {
    came: AtomicBool,
    given_up: CancellationToken,
}

impl FirstRequest {
    /// It is here, whole but for its body: from now on the connection stays.
    pub fn came(&self) {
        self.came.store(true, Ordering::Relaxed);
    }

    /// Returns once the connection has to make room.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// Returns after that `time`, if it has not come by then, and else never.
    pub async fn late(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.came.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn give_up(&self) -> bool {
        let waits = self.waits();
        if waits {
            self.given_up.cancel();
        }
        waits
    }

    fn waits(&self) -> bool {
        !self.came.load(Ordering::Relaxed) && !self.given_up.is_cancelled()
    }
}

impl Connections {
    /// As many as the process's limit on open files bears.
    pub fn limited_by_the_system(proxies: &Proxies) -> Connections {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES).min(OPEN_FILES);
        let most = (files / PART_OF_FILES).max(1) as usize;
        Connections { proxies: proxies.clone(), ..Connections::at_most(most) }
    }

    fn at_most(most: usize) -> Connections {
        let (proxies, open) = (Proxies::default(), Shares::default());
        Connections { most, proxies, open, waiting: Arc::default() }
    }

    /// Admits a connection from `address`, if there is room or somebody to make it.
    pub fn admit(&self, address: IpAddr) -> Option<Admitted> {
        let is_proxy = self.proxies.have(address);
        let (address, most) = (neighbourhood(address), self.most);
        let admitted = self.open.take(address, |open| {
            let is_crowded = open.all() >= most / CROWDED;
            let has_its_part = !is_proxy && open.of(&address) >= (most / PART_OF_ADDRESS).max(1);
            if is_crowded && has_its_part {
                return Err(());
            }
            let is_full = open.all() >= most;
            let may_close_one = open.all() < most + most / PART_CLOSING;
            if is_full && !(may_close_one && self.make_room()) { Err(()) } else { Ok(()) }
        });
        let first_request = Arc::<FirstRequest>::default();
        let admitted = Admitted { first_request, _share: admitted.ok()? };
        self.remember(&admitted.first_request);
        Some(admitted)
    }

    fn remember(&self, first_request: &Arc<FirstRequest>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // No server waits long for a first request, so what is done with is soon at the front.
        while waiting.front().is_some_and(|first| !first.upgrade().is_some_and(|it| it.waits())) {
            waiting.pop_front();
        }
        waiting.push_back(Arc::downgrade(first_request));
    }

    /// Gives up the connection that has waited longest for its first request; whether there was one.
    fn make_room(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = waiting.pop_front() {
            if first.upgrade().is_some_and(|first| first.give_up()) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_may_have_much_while_there_is_room_and_keeps_nobody_out() {
        let connections = Connections::at_most(64);
        let flood: Vec<_> =
            (0..1000).filter_map(|_| connections.admit(address("192.0.2.1"))).collect();
        assert_eq!(flood.len(), 32);
        let others: Vec<_> = (2..6)
            .filter_map(|last| connections.admit(address(&format!("192.0.2.{last}"))))
            .collect();
        assert_eq!(others.len(), 4);
        drop(flood);
        assert!(connections.admit(address("192.0.2.1")).is_some());
        drop(others);
        let last = connections.open.take(address("192.0.2.1"), |open| {
            assert_eq!(open.all(), 0);
            Ok::<(), ()>(())
        });
        assert!(last.is_ok());
    }

    #[test]
    fn a_proxy_in_front_of_all_callers_may_have_all_of_them() {
        let proxies = Proxies::within(&["192.0.2.1/32".parse().unwrap()]);
        let connections = Connections { proxies, ..Connections::at_most(64) };
        let busy = |text: &str| {
            let admitted = connections.admit(address(text))?;
            admitted.first_request.came();
            Some(admitted)
        };
        let open: Vec<_> = (0..100).filter_map(|_| busy("192.0.2.1")).collect();
        assert_eq!(open.len(), 64);
        drop(open);
        assert_eq!((0..100).filter_map(|_| busy("192.0.2.2")).collect::<Vec<_>>().len(), 32);
    }

    #[test]
    fn no_more_than_all_and_a_network_of_addresses_is_one() {
        let connections = Connections::at_most(16);
        let busy = |text: String| {
            let admitted = connections.admit(address(&text))?;
            admitted.first_request.came();
            Some(admitted)
        };
        let near: Vec<_> = (1..100).filter_map(|last| busy(format!("2001:db8::{last}"))).collect();
        assert_eq!(near.len(), 8);
        let far: Vec<_> =
            (1..100).filter_map(|last| busy(format!("2001:db8:0:{last}::1"))).collect();
        assert_eq!(far.len(), 8);
        assert!(connections.admit(address("::ffff:192.0.2.1")).is_none());
    }

    #[test]
    fn silent_connections_from_everywhere_make_room_and_those_with_a_request_stay() {
        let connections = Connections::at_most(16);
        let mut open: Vec<_> = (1..=16)
            .filter_map(|last| connections.admit(address(&format!("192.0.2.{last}"))))
            .collect();
        open[0].first_request.came();
        let given_up = |open: &[Admitted]| -> Vec<usize> {
            (0..open.len()).filter(|&at| open[at].first_request.given_up.is_cancelled()).collect()
        };
        assert_eq!((open.len(), given_up(&open)), (16, vec![]));
        // Two may be closing at a time, which here never end.
        for last in 17..30 {
            open.extend(connections.admit(address(&format!("192.0.2.{last}"))));
        }
        assert_eq!((open.len(), given_up(&open)), (18, vec![1, 2]));
        drop(open.remove(1));
        open.extend(connections.admit(address("192.0.2.30")));
        assert_eq!((open.len(), given_up(&open)), (18, vec![1, 2]));
    }

    #[test]
    fn connections_that_are_done_with_leave_nothing_behind() {
        let connections = Connections::at_most(16);
        for _ in 0..1000 {
            connections.admit(address("192.0.2.1")).unwrap().first_request.came();
        }
        assert_eq!(connections.waiting.lock().unwrap().len(), 1);
    }
}
