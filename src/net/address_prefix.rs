//! AddressPrefix: the part of an address by which limits per address count.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address, or the first 64 bits of an IPv6 address: a subscriber has 2^64 addresses at
/// least (RFC 6177), so a limit by the whole address would limit nobody.
///
/// It is small, as each connection and each session holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPrefix {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl From<IpAddr> for AddressPrefix {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => AddressPrefix::V4(v4),
            IpAddr::V6(v6) => AddressPrefix::V6(((v6.to_bits() >> 64) as u64).to_be_bytes()),
        }
    }
}

/// One word, as each connection is hashed several times.
impl Hash for AddressPrefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(match self {
            AddressPrefix::V4(v4) => v4.to_bits().into(),
            AddressPrefix::V6(prefix) => u64::from_be_bytes(*prefix),
        });
    }
}

impl std::fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AddressPrefix::V4(v4) => v4.fmt(f),
            AddressPrefix::V6(prefix) => {
                let v6 = u128::from(u64::from_be_bytes(*prefix)) << 64;
                write!(f, "{}/64", Ipv6Addr::from_bits(v6))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> AddressPrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn which_addresses_count_as_one() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(prefix(one) == prefix(other), same, "{one} {other}");
        }
        assert_eq!(prefix("2001:db8::7").to_string(), "2001:db8::/64");
        assert_eq!(prefix("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }
}
