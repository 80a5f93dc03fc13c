//! What can be wrong with a policy's values.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};
use thiserror::Error;

/// Most values of one list.
pub(super) const MAX_VALUES: usize = 256;

/// A value of a policy that cannot be meant. Displays what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A filter made of the list could not be bound in reasonable time.
    #[error("this list has more than {MAX_VALUES} values")]
    TooManyValues,
    /// The name is no file name or no `NCName`.
    #[error("`{0}` cannot be the name of a filter")]
    Name(String),
    /// An address where a prefix is wanted.
    #[error("`{0}` is no prefix")]
    NoPrefixLength(IpAddr),
    /// Neither a prefix nor an address.
    #[error("`{0}` is no prefix")]
    NotAPrefix(String),
    /// The address is not the first of its prefix.
    #[error("`{0}` has host bits set under its mask")]
    HostBits(IpNet),
    /// The list of prefixes is empty.
    #[error("the LAN has no prefix")]
    NoPrefix,
    /// Two prefixes have addresses in common.
    #[error("`{net}` overlaps `{other}`")]
    Overlap {
        /// The later one.
        net: IpNet,
        /// The earlier one.
        other: IpNet,
    },
    /// The prefix has every address, or begins with 0.0.0.0 or ::.
    #[error("`{0}` is the whole internet, or no network at all")]
    WholeInternet(IpNet),
    /// A multicast prefix among the LAN's.
    #[error("`{0}` is multicast")]
    Multicast(IpNet),
    /// A loopback prefix among the LAN's.
    #[error("`{0}` is loopback")]
    Loopback(IpNet),
    /// 169.254.0.0/16 (RFC 3927) among the LAN's prefixes.
    #[error("`{0}` is IPv4 link-local")]
    LinkLocal4(IpNet),
    /// The router is not on the LAN.
    #[error("the gateway {0} is in none of the LAN's prefixes")]
    GatewayOutside(Ipv4Addr),
    /// Not an IPv4 address.
    #[error("`{0}` is no IPv4 address")]
    NotIpv4(String),
    /// A unicast prefix among the groups.
    #[error("`{0}` is not multicast")]
    NotMulticast(IpNet),
    /// A multicast prefix or every address among the allowed hosts.
    #[error("`{0}` is no host outside the LAN")]
    NoHost(IpNet),
    /// An allowed host that is on the LAN.
    #[error("`{net}` is in the LAN's `{lan}` already")]
    OnLan {
        /// The allowed host.
        net: IpNet,
        /// The LAN's prefix.
        lan: IpNet,
    },
    /// No name that a bridge could have.
    #[error("`{0}` cannot be the name of a bridge")]
    NoBridge(String),
    /// No name that a network of libvirt could have.
    #[error("`{0}` cannot be the name of a network")]
    NoNetwork(String),
    /// No pattern for names of guests.
    #[error("`{0}` is no pattern for names of guests")]
    NoGuest(String),
}

impl Problem {
    /// What to write instead.
    pub fn cure(&self) -> String {
        match self {
            Self::TooManyValues => {
                "name wider prefixes: libvirt needs 15 ms for each rule, and a rule for each value"
            }
            Self::Name(_) => {
                "start with a letter, then letters, digits, `.`, `_` and `-`, at most 64 in all"
            }
            Self::NoPrefixLength(IpAddr::V4(v4)) => {
                return format!(
                    "write the prefix length: `{v4}/32` for one host, `{v4}/24` for a LAN"
                );
            }
            Self::NoPrefixLength(IpAddr::V6(v6)) => {
                return format!("write the prefix length: `{v6}/128` for one host");
            }
            Self::NotAPrefix(_) => "write it as `192.168.1.0/24` or `fd00:1::/64`",
            Self::HostBits(net) => return format!("write `{}`", net.trunc()),
            Self::NoPrefix => "name at least one, as in `[\"192.168.1.0/24\"]`",
            Self::Overlap { .. } => "keep the wider one only",
            Self::WholeInternet(_) => {
                "name the networks of the LAN; a filter that lets everything out needs no lanfence"
            }
            Self::Multicast(_) => "put it into `groups` of [multicast]",
            Self::Loopback(_) => "take it out: it never leaves a host",
            Self::LinkLocal4(_) => "take it out and set `link-local = true` in [lan]",
            Self::GatewayOutside(_) => {
                "name the router's address on the LAN, or leave `gateway` out"
            }
            Self::NotIpv4(_) => "write it as `192.168.1.1`, without a mask",
            Self::NotMulticast(_) => "groups are within 224.0.0.0/4 and ff00::/8",
            Self::NoHost(_) => "name single hosts or networks",
            Self::OnLan { .. } => "take it out",
            Self::NoBridge(_) => {
                "name the bridge as `ip link` does, in at most 15 characters: `br0`"
            }
            Self::NoNetwork(_) => "name the network as `virsh net-list` does: `default`",
            Self::NoGuest(_) => {
                "write the guest's name, or a pattern such as `web-*`; `[` needs its `]`"
            }
        }
        .to_owned()
    }
}
