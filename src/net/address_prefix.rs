//! AddressPrefix: the part of an address by which limits per address count.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the first 64 bits of an IPv6 address: a subscriber has 2^64 addresses at
/// least (RFC 6177), so a limit by the whole address would limit nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPrefix(IpAddr);

impl From<IpAddr> for AddressPrefix {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => {
                AddressPrefix(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into())
            }
            v4 => AddressPrefix(v4),
        }
    }
}

/// One word, as each connection is hashed several times: the address itself would be 20 to 32 bytes.
impl Hash for AddressPrefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(match self.0 {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        });
    }
}

impl std::fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
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
