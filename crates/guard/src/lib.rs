//! Where a service may connect to when somebody in a hospital names the address: nobody reaches by it what only that service can
//! reach (RFC 6890; the clouds' metadata servers are link-local).

#![deny(missing_docs)]

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

pub use domain::Network;
use domain::{ErrorKind, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use url::{Host, Url};

/// As a column holds it.
const URL_CHARS_MAX: usize = 1000;

/// What an address is of, and which setting names the networks that it may be in: for the words of a refusal.
#[derive(Clone, Copy)]
pub struct Purpose {
    /// As in "the address of a destination".
    pub of: &'static str,
    /// The environment variable.
    pub setting: &'static str,
}

/// Lets through the internet's own addresses, and those of the networks that are named.
#[derive(Clone)]
pub struct Guard {
    allowed: Arc<[Network]>,
    purpose: Purpose,
}

impl Guard {
    /// Lets through what is public, and what is in `allowed`.
    pub fn new(purpose: Purpose, allowed: &[Network]) -> Guard {
        Guard { allowed: allowed.into(), purpose }
    }

    fn lets(&self, address: IpAddr) -> bool {
        // What is written as IPv6 is looked at as what it reaches.
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }

    /// That address, if it may be connected to. Who its name leads to is looked at when that is done.
    pub fn checked(&self, url: &str) -> Result<Url> {
        let Purpose { of, setting } = self.purpose;
        let bad = |why: &str| ErrorKind::Invalid.error(format!("the address of {of} {why}"));
        let url = Url::parse(url).map_err(|_| bad("is a URL, such as https://host.example/"))?;
        // What other letters are written with counts, too.
        if url.as_str().len() > URL_CHARS_MAX {
            return Err(bad("has 1000 characters at most"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(bad("has neither credentials nor a fragment: say a secret apart"));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(bad("names a host")),
        };
        if literal.is_some_and(|address| !self.lets(address)) {
            let words =
                format!("is within a network that may not be reached from here ({setting})");
            return Err(bad(&words));
        }
        let here = literal.is_some_and(|address| address.to_canonical().is_loopback())
            || (url.host_str() == Some("localhost") && self.lets(Ipv4Addr::LOCALHOST.into()));
        match url.scheme() {
            "https" => Ok(url),
            "http" if here => Ok(url),
            _ => Err(bad("begins with https://")),
        }
    }
}

/// Where something listens that is not spoken to by HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

impl Guard {
    /// The same as [`checked`](Guard::checked) for what is spoken to by another protocol: `scheme://host:port`, or `schemes://host:port`
    /// with TLS. Without TLS it is within a network that is named: what says whose scan it is never goes over the internet in the clear.
    pub fn checked_line(&self, url: &str, scheme: &str) -> Result<(Url, Address)> {
        let of = self.purpose.of;
        let bad = |why: &str| ErrorKind::Invalid.error(format!("the address of {of} {why}"));
        let form = format!("is {scheme}://host:port or, with TLS, {scheme}s://host:port");
        let url = Url::parse(url).map_err(|_| bad(&form))?;
        if url.as_str().len() > URL_CHARS_MAX {
            return Err(bad("has 1000 characters at most"));
        }
        let tls = url.scheme().strip_prefix(scheme) == Some("s");
        let bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare || !(tls || url.scheme() == scheme) {
            return Err(bad(&form));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let (false, Some(port)) = (host.is_empty(), url.port()) else { return Err(bad(&form)) };
        let to = Address { host, port, tls };
        let literal: Option<IpAddr> = to.host.parse().ok();
        if literal.is_some_and(|address| !self.lets_line(address, &to)) {
            return Err(bad(&self.not_there(&to)));
        }
        Ok((url, to))
    }

    /// The addresses there that may be connected to; connections are made to these and to no others.
    pub async fn addresses(&self, to: &Address) -> Result<Vec<SocketAddr>, String> {
        let found = lookup_host((to.host.as_str(), to.port)).await;
        let found = found.map_err(|error| format!("its name cannot be looked up: {error}"))?;
        let allowed: Vec<SocketAddr> =
            found.filter(|address| self.lets_line(address.ip(), to)).collect();
        if allowed.is_empty() {
            return Err(format!("its address {}", self.not_there(to)));
        }
        Ok(allowed)
    }

    fn lets_line(&self, address: IpAddr, to: &Address) -> bool {
        let address = address.to_canonical();
        let is_named = || self.allowed.iter().any(|network| network.contains(address));
        if to.tls { self.lets(address) } else { is_named() }
    }

    fn not_there(&self, to: &Address) -> String {
        let setting = self.purpose.setting;
        if to.tls {
            format!("is within a network that may not be reached from here ({setting})")
        } else {
            format!("is, without TLS, within a network that is named for it ({setting})")
        }
    }
}

impl Resolve for Guard {
    /// The addresses of that name that may be reached; connections are made to these and to no others, whatever the name leads to a
    /// moment later.
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let setting = guard.purpose.setting;
            let refused = || -> Box<dyn StdError + Send + Sync> {
                format!(
                    "its name leads into a network that may not be reached from here ({setting})"
                )
                .into()
            };
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| guard.lets(address.ip())).collect();
            if allowed.is_empty() {
                return Err(refused());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

/// Whether anybody on the internet may have that address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let of_protocols = (first, second, third) == (192, 0, 0);
    let of_relays = (first, second, third) == (192, 88, 99);
    let of_benchmarks = first == 198 && (18..20).contains(&second);
    // The first and the last eighth: "this network", and what is reserved, multicast and broadcast.
    let special = first == 0 || first >= 224;
    !(special
        || shared
        || of_protocols
        || of_relays
        || of_benchmarks
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global_unicast = first & 0xe000 == 0x2000;
    // 2001::/23 (Teredo and other protocols), documentation, and 6to4, which carries an IPv4 address of whomever.
    let of_protocols = first == 0x2001 && second < 0x0200;
    let of_documentation = (first, second) == (0x2001, 0x0db8) || first == 0x3fff;
    let of_6to4 = first == 0x2002;
    global_unicast && !of_protocols && !of_documentation && !of_6to4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(networks: &[&str]) -> Guard {
        let networks: Vec<Network> =
            networks.iter().map(|network| network.parse().unwrap()).collect();
        Guard::new(Purpose { of: "a destination", setting: "SOME_NETWORKS" }, &networks)
    }

    #[test]
    fn only_the_internets_own_addresses_are_let_through() {
        let guard = guard(&[]);
        for address in ["93.184.216.34", "100.63.255.255", "172.32.0.1", "2606:2800:220:1::1"] {
            assert!(guard.lets(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
        ] {
            assert!(!guard.lets(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_named_is_let_through_and_no_other() {
        let guard = guard(&["10.20.0.0/16", "fd00:1::/32", "192.0.2.7/32"]);
        for (address, lets) in [
            ("10.20.255.1", true),
            ("::ffff:10.20.0.1", true),
            ("10.21.0.1", false),
            ("fd00:1:2::3", true),
            ("fd00:2::3", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(guard.lets(address.parse().unwrap()), lets, "{address}");
        }
    }

    #[test]
    fn an_address_is_https_unless_it_is_of_this_machine_and_that_is_allowed() {
        let here = guard(&["127.0.0.0/8"]);
        for (url, outside, inside) in [
            ("https://pacs.example/rs", true, true),
            ("https://127.0.0.1:8443/", false, true),
            ("http://127.0.0.1:8080/hook", false, true),
            ("http://localhost:8080/hook", false, true),
            ("http://pacs.example/rs", false, false),
            ("http://93.184.216.34/", false, false),
            ("https://169.254.169.254/", false, false),
            ("https://2852039166/", false, false),
            ("https://[::ffff:a9fe:a9fe]/", false, false),
            ("https://user:word@pacs.example/", false, false),
            ("ftp://pacs.example/", false, false),
            ("file:///etc/passwd", false, false),
            ("pacs", false, false),
        ] {
            assert_eq!(guard(&[]).checked(url).is_ok(), outside, "{url}");
            assert_eq!(here.checked(url).is_ok(), inside, "{url}");
        }
    }

    #[test]
    fn a_line_is_in_the_clear_only_within_a_network_that_is_named() {
        let (outside, named) = (guard(&[]), guard(&["10.20.0.0/16", "127.0.0.0/8"]));
        for (url, open, within) in [
            ("dicoms://pacs.example:2762", true, true),
            ("dicoms://93.184.216.34:2762", true, true),
            ("dicoms://10.20.0.1:2762", false, true),
            ("dicom://10.20.0.1:104", false, true),
            ("dicom://10.21.0.1:104", false, false),
            ("dicom://93.184.216.34:104", false, false),
            ("dicoms://169.254.169.254:104", false, false),
            ("dicoms://[::ffff:a9fe:a9fe]:104", false, false),
            ("dicoms://pacs.example", false, false),
            ("dicoms://pacs.example:104/path", false, false),
            ("dicoms://user@pacs.example:104", false, false),
            ("mllp://10.20.0.1:2575", false, false),
            ("https://pacs.example:104", false, false),
            ("dicoms://", false, false),
        ] {
            assert_eq!(outside.checked_line(url, "dicom").is_ok(), open, "{url}");
            assert_eq!(named.checked_line(url, "dicom").is_ok(), within, "{url}");
        }
        let (_, to) = named.checked_line("mllps://[2606:2800:220:1::1]:2575/", "mllp").unwrap();
        let host = "2606:2800:220:1::1".to_owned();
        assert_eq!(to, Address { host, port: 2575, tls: true });
    }

    #[tokio::test]
    async fn a_name_leads_nowhere_that_may_not_be_reached() {
        let found = async |guard: Guard| guard.resolve("localhost".parse().unwrap()).await;
        let refused = found(guard(&[])).await.err().unwrap().to_string();
        assert!(refused.contains("SOME_NETWORKS"), "{refused}");
        let mut allowed = found(guard(&["127.0.0.0/8", "::1/128"])).await.ok().unwrap();
        assert!(allowed.all(|address| address.ip().is_loopback()));
        let to = |tls| Address { host: "localhost".into(), port: 104, tls };
        for tls in [false, true] {
            assert!(guard(&[]).addresses(&to(tls)).await.is_err());
            assert!(guard(&["127.0.0.0/8", "::1/128"]).addresses(&to(tls)).await.is_ok());
        }
    }
}
