use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// The prefix of all addresses of IPv4 that are written as IPv6 (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A network in the notation of CIDR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let network = text.trim().parse::<IpNet>().map(|written| Network(canonical(written)));
        network.map_err(|_| format!("`{text}` is no network, such as 10.20.0.0/16 or fd00::/8"))
    }
}

impl Network {
    /// Whether `address` is in it; what is written as IPv6 is looked at as what it reaches.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether it is all there is of its version of IP.
    pub fn is_everything(self) -> bool {
        self.0.prefix_len() == 0
    }
}

/// What is IPv4 and written as IPv6 (`::ffff:10.0.0.0/104`), as IPv4: so are the addresses that are looked for in it.
fn canonical(written: IpNet) -> IpNet {
    let IpNet::V6(network) = written else { return written };
    let mapped = network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(MAPPED_BITS));
    let canonical = mapped.and_then(|(address, bits)| IpNet::new(address.into(), bits).ok());
    canonical.unwrap_or(written)
}

/// The address that stands for all that count as one: an IPv6 host has the whole /64.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
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

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, address, is_within) in [
            ("10.20.0.0/16", "10.20.255.1", true),
            ("10.20.0.0/16", "::ffff:10.20.0.1", true),
            ("10.20.7.7/16", "10.20.0.1", true),
            ("::ffff:10.20.0.0/112", "10.20.255.1", true),
            ("::ffff:10.20.0.0/112", "::ffff:10.20.255.1", true),
            ("::ffff:10.20.0.0/112", "10.21.0.1", false),
            ("::ffff:a14:0/112", "10.20.255.1", true),
            ("::ffff:192.0.2.7/128", "192.0.2.7", true),
            ("10.20.0.0/16", "10.21.0.1", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.8", false),
            ("fd00:1::/32", "fd00:1:2::3", true),
            ("fd00:1::/32", "fd00:2::3", false),
            ("0.0.0.0/0", "127.0.0.1", true),
            ("0.0.0.0/0", "::1", false),
        ] {
            let said = network.parse::<Network>().unwrap().contains(address.parse().unwrap());
            assert_eq!(said, is_within, "{address} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in ["10.0.0.0", "10.0.0.0/33", "::/129", "host/8", ""] {
            assert!(bad.parse::<Network>().unwrap_err().contains(&format!("`{bad}`")), "{bad}");
        }
        for (network, is_everything) in
            [("0.0.0.0/0", true), ("::ffff:0.0.0.0/96", true), ("::/0", true), ("::/1", false)]
        {
            assert_eq!(network.parse::<Network>().unwrap().is_everything(), is_everything);
        }
    }

    #[test]
    fn a_host_is_one_neighbour_whichever_of_its_addresses_it_takes() {
        for (address, counts_as) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::ffff:1", "2001:db8::"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(neighbourhood(address).to_string(), counts_as);
        }
    }
}
