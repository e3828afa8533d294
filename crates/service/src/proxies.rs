//! Where a request comes from when proxies stand in front.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use domain::Network;
use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is believed of whom they ask for.
///
/// It is `X-Forwarded-For` alone that is read: a proxy hands on what it does not write itself, so that a caller could say anything in a
/// second header (`Forwarded`, RFC 7239) beside it.
#[derive(Clone, Default)]
pub struct Proxies(Arc<[Network]>);

impl Proxies {
    /// Those with an address in one of these networks.
    pub fn within(networks: &[Network]) -> Proxies {
        Proxies(networks.into())
    }

    /// Whether what comes from that address is a proxy's.
    pub fn have(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The address of whoever asks: the last that no trusted proxy has. Each proxy writes behind what it was told from whom it
    /// has that; what stands before the first address that is not a proxy's, anybody may have written.
    pub fn caller(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        // Each hop by itself: bytes that a caller has written are in the same line as what a proxy writes behind them.
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let told = hops.map(|hop| std::str::from_utf8(hop).ok().and_then(read));
        let mut caller = connected.to_canonical();
        for hop in told {
            match hop {
                Some(address) if self.have(caller) => caller = address,
                _ => break,
            }
        }
        caller
    }
}

/// An address as proxies write it: with or without a port.
fn read(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || hop.parse().ok().map(|address: SocketAddr| address.ip());
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asks, when these lines come from that address, and those networks are trusted.
    fn caller(networks: &[&str], connected: &str, lines: &[&str]) -> String {
        let networks: Vec<Network> = networks.iter().map(|it| it.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        Proxies::within(&networks).caller(connected.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(caller(&[], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(caller(&["10.0.0.0/8"], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(caller(&[], "::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn the_caller_is_the_last_that_no_trusted_proxy_has() {
        // As Google's load balancers write it: what the caller has made up, the caller, the balancer.
        let google = ["130.211.0.0/22", "35.191.0.0/16", "198.51.100.7/32"];
        let line = "1.1.1.1, 203.0.113.9,198.51.100.7";
        assert_eq!(caller(&google, "35.191.4.4", &[line]), "203.0.113.9");
        assert_eq!(
            caller(&google, "35.191.4.4", &["1.1.1.1", "203.0.113.9,198.51.100.7"]),
            "203.0.113.9"
        );
        assert_eq!(caller(&google[..2], "35.191.4.4", &[line]), "198.51.100.7");
        // All are proxies': the first of them asks itself.
        assert_eq!(caller(&["10.0.0.0/8"], "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(caller(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
        let mapped = ["::ffff:10.0.0.0/104"];
        assert_eq!(caller(&mapped, "::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn what_is_no_text_hides_nobody_behind_the_proxy() {
        let mut headers = HeaderMap::new();
        let line = &b"1.1.1.1\xff, 203.0.113.8,10.0.0.2"[..];
        headers.append(FORWARDED_FOR, line.try_into().unwrap());
        let proxies = Proxies::within(&["10.0.0.0/8".parse().unwrap()]);
        let asks = proxies.caller("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(asks.to_string(), "203.0.113.8");
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them_and_what_is_none_says_nothing() {
        for (hop, address) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("203.0.113.8, unknown", "10.0.0.1"),
        ] {
            assert_eq!(caller(&["10.0.0.0/8"], "10.0.0.1", &[hop]), address, "{hop}");
        }
    }
}
