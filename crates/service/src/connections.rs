use std::net::{IpAddr, Ipv6Addr};

use rustix::process::{Resource, getrlimit};

use crate::shares::{Share, Shares};

/// The limit on open files where the system has none.
const OPEN_FILES: u64 = 1 << 16;
/// Of the files that the process may open, connections take this part at most: the others are its own.
const PART_OF_FILES: u64 = 2;
/// Once this part of all connections is open, an address has the other at most.
const CROWDED: usize = 2;
const PART_OF_ADDRESS: usize = 8;

/// The connections that a listener has open. While there is room, anybody may have any number of them, as a proxy in front of
/// all callers does; when it becomes scarce, no address keeps others out.
#[derive(Clone)]
pub struct Connections {
    most: usize,
    open: Shares<IpAddr>,
}

impl Connections {
    /// As many as the process's limit on open files bears.
    pub fn limited_by_the_system() -> Connections {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES).min(OPEN_FILES);
        Connections::at_most((files / PART_OF_FILES).max(1) as usize)
    }

    fn at_most(most: usize) -> Connections {
        Connections { most, open: Shares::default() }
    }

    /// Admits a connection from `address`, if there is room; it counts until the share is dropped.
    pub fn admit(&self, address: IpAddr) -> Option<Share<IpAddr>> {
        let (address, most) = (neighbourhood(address), self.most);
        let admitted = self.open.take(address, |open| {
            let is_crowded = open.all() >= most / CROWDED;
            let has_its_part = open.of(&address) >= (most / PART_OF_ADDRESS).max(1);
            if open.all() >= most || (is_crowded && has_its_part) { Err(()) } else { Ok(()) }
        });
        admitted.ok()
    }
}

/// The addresses that count as one: an IPv6 host has the whole /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
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
    fn no_more_than_all_and_a_network_of_addresses_is_one() {
        let connections = Connections::at_most(16);
        let near: Vec<_> = (1..100)
            .filter_map(|last| connections.admit(address(&format!("2001:db8::{last}"))))
            .collect();
        assert_eq!(near.len(), 8);
        let far: Vec<_> = (1..100)
            .filter_map(|last| connections.admit(address(&format!("2001:db8:0:{last}::1"))))
            .collect();
        assert_eq!(far.len(), 8);
        assert!(connections.admit(address("::ffff:192.0.2.1")).is_none());
    }
}
