//! EtherTypes, as the IEEE assigns them (IANA "IEEE 802 Numbers").

/// IPv4 (RFC 894).
pub const IPV4: u16 = 0x0800;
/// ARP (RFC 826).
pub const ARP: u16 = 0x0806;
/// RARP (RFC 903).
pub const RARP: u16 = 0x8035;
/// IPv6 (RFC 2464).
pub const IPV6: u16 = 0x86dd;
/// 802.1Q customer tag.
pub const VLAN: u16 = 0x8100;
/// 802.1ad service tag.
pub const QINQ: u16 = 0x88a8;
/// Service tag of gear older than 802.1ad.
pub const OLD_QINQ: u16 = 0x9100;
/// PPPoE discovery (RFC 2516).
pub const PPPOE_DISCOVERY: u16 = 0x8863;
/// PPPoE session (RFC 2516).
pub const PPPOE_SESSION: u16 = 0x8864;
/// MPLS unicast (RFC 5332).
pub const MPLS: u16 = 0x8847;
/// LLDP (IEEE 802.1AB).
pub const LLDP: u16 = 0x88cc;
/// 802.1X authentication.
pub const EAPOL: u16 = 0x888e;
