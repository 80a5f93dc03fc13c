//! Why the test hosts cannot be laid out in a policy's LAN.

use ipnet::Ipv4Net;
use std::net::{IpAddr, Ipv4Addr};
use thiserror::Error;

/// A policy whose LAN has no place for the test hosts. Each message names the cure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The prefix is smaller than a /29.
    #[error(
        "{0} is too small for the test hosts: they are a router, a peer and two guests\n  \
         cure: put the largest prefix of your LAN first in the policy; /28 or wider will do"
    )]
    TooSmall(Ipv4Net),
    /// The policy has IPv6 prefixes only.
    #[error("the policy names no IPv4 prefix, and the lab's guests need one")]
    NoIpv4,
    /// The guest's address is in no prefix of the LAN.
    #[error(
        "the guest's address {0} is in no IPv4 prefix of the policy\n  \
         cure: give the address that the guest has on your LAN (--param IP=…), or add its prefix to the policy"
    )]
    GuestOutside(Ipv4Addr),
    /// The guest's address is the prefix's own, its broadcast address or the router's.
    #[error(
        "the guest cannot have the address {0}: it is {1}\n  \
         cure: give the address that the guest has on your LAN (--param IP=…)"
    )]
    NotForGuest(Ipv4Addr, &'static str),
    /// The LAN would be its own WAN.
    #[error(
        "the policy's LAN contains {0}, which is an address of the lab's WAN side (RFC 5737, RFC 3849)\n  \
         cure: documentation addresses are on no real LAN: put another of your LAN's prefixes first"
    )]
    ContainsWan(IpAddr),
}
