//! What no nwfilter can close, and who must.

/// A hole that stays open with every filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residual {
    /// Short name.
    pub name: &'static str,
    /// What gets through.
    pub what: &'static str,
    /// What closes it.
    pub remedy: &'static str,
}

/// The holes, each measured with a filter that closes everything else.
pub const RESIDUALS: [Residual; 6] = [
    Residual {
        name: "source-route",
        what: "IPv4 source-route options in a packet to a LAN host: nwfilter has no test for IP options",
        remedy: "hosts and router: net.ipv4.conf.all.accept_source_route=0 (Linux's default)",
    },
    Residual {
        name: "routing-header",
        what: "an IPv6 routing header in a packet to a LAN host: nwfilter has no test for it",
        remedy: "hosts ignore type 0 (RFC 5095); a host rule in nftables: exthdr rt exists drop",
    },
    Residual {
        name: "fragmented-ra",
        what: "a router advertisement cut into fragments: the first one shows no ICMPv6 type",
        remedy: "hosts that follow RFC 6980 ignore it; a host rule in nftables: exthdr frag exists drop",
    },
    Residual {
        name: "lan-relay",
        what: "a LAN host or the router that forwards on the guest's behalf: DNS, proxies, VPN endpoints, UPnP",
        remedy: "do not run open relays on the LAN, or leave the router's address out of the prefixes",
    },
    Residual {
        name: "udp-tunnel",
        what: "a tunnel inside UDP or TCP to a LAN host that unpacks it",
        remedy: "as for relays: the endpoint must be on the LAN for this to work",
    },
    Residual {
        name: "lan-spoofing",
        what: "an IPv4 or IPv6 source address of another LAN host",
        remedy: "libvirt's no-ip-spoofing with a fixed address beside this filter",
    },
];
