//! The elements of a rule and their attributes, in the order in which libvirt prints them.
//!
//! Source of the facts: libvirt's documentation (formatnwfilter) and
//! experiments with libvirt 11.3.0: which names survive a definition, in which
//! order they are printed, and whose sign they take. libvirt silently ignores
//! any other name, and the rule then matches more than it says.

use super::protocol::{IpVersion, Protocol};
use super::value::ValueKind;

/// An attribute of a protocol element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: ValueKind,
    /// The attribute whose sign libvirt gives it, whatever its own element
    /// says: that of an address for its mask, but also that of the source
    /// port for the destination port, positive where there is none.
    pub sign_of: Option<&'static str>,
}

const fn own(name: &'static str, kind: ValueKind) -> Attribute {
    Attribute {
        name,
        kind,
        sign_of: None,
    }
}

const fn with(name: &'static str, kind: ValueKind, sign_of: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        sign_of: Some(sign_of),
    }
}

const BYTE: ValueKind = ValueKind::Number { greatest: 0xff };
const WORD: ValueKind = ValueKind::Number { greatest: 0xffff };
const LONG: ValueKind = ValueKind::Number {
    greatest: 0xffff_ffff,
};

const COMMENT: Attribute = own("comment", ValueKind::Comment);

/// MACs of the frame; ARP's masks keep the sign of their own element.
const MACS: &[Attribute] = &[
    own("srcmacaddr", ValueKind::Mac),
    with("srcmacmask", ValueKind::MacMask, "srcmacaddr"),
    own("dstmacaddr", ValueKind::Mac),
    with("dstmacmask", ValueKind::MacMask, "dstmacaddr"),
];

const UNTIED_MACS: &[Attribute] = &[
    own("srcmacaddr", ValueKind::Mac),
    own("srcmacmask", ValueKind::MacMask),
    own("dstmacaddr", ValueKind::Mac),
    own("dstmacmask", ValueKind::MacMask),
];

const STP: &[Attribute] = &[
    own("srcmacaddr", ValueKind::Mac),
    with("srcmacmask", ValueKind::MacMask, "srcmacaddr"),
    own("type", BYTE),
    own("flags", BYTE),
    own("root-priority", WORD),
    with("root-priority-hi", WORD, "root-priority"),
    own("root-address", ValueKind::Mac),
    with("root-address-mask", ValueKind::MacMask, "root-address"),
    own("root-cost", LONG),
    with("root-cost-hi", LONG, "root-cost"),
    own("sender-priority", WORD),
    with("sender-priority-hi", WORD, "sender-priority"),
    own("sender-address", ValueKind::Mac),
    with("sender-address-mask", ValueKind::MacMask, "sender-address"),
    own("port", WORD),
    with("port-hi", WORD, "port"),
    own("age", WORD),
    with("age-hi", WORD, "age"),
    own("max-age", WORD),
    with("max-age-hi", WORD, "max-age"),
    own("hello-time", WORD),
    with("hello-time-hi", WORD, "hello-time"),
    own("forward-delay", WORD),
    with("forward-delay-hi", WORD, "forward-delay"),
];

const ARP: &[Attribute] = &[
    own("hwtype", WORD),
    own("protocoltype", WORD),
    own("opcode", ValueKind::Operation),
    own("arpsrcmacaddr", ValueKind::Mac),
    own("arpdstmacaddr", ValueKind::Mac),
    own("arpsrcipaddr", ValueKind::Ip4),
    own("arpsrcipmask", ValueKind::Mask4),
    own("arpdstipaddr", ValueKind::Ip4),
    own("arpdstipmask", ValueKind::Mask4),
    own("gratuitous", ValueKind::Boolean),
];

const fn addresses(address: ValueKind, mask: ValueKind) -> [Attribute; 4] {
    [
        own("srcipaddr", address),
        with("srcipmask", mask, "srcipaddr"),
        own("dstipaddr", address),
        with("dstipmask", mask, "dstipaddr"),
    ]
}

const ADDRESSES4: &[Attribute] = &addresses(ValueKind::Ip4, ValueKind::Mask4);
const ADDRESSES6: &[Attribute] = &addresses(ValueKind::Ip6, ValueKind::Mask6);

/// Protocol and ports at layer 2, where each port keeps its own sign.
const UPPER: &[Attribute] = &[
    own("protocol", ValueKind::IpProtocol),
    own("srcportstart", WORD),
    own("srcportend", WORD),
    own("dstportstart", WORD),
    own("dstportend", WORD),
];

const DSCP: Attribute = own("dscp", ValueKind::Number { greatest: 63 });

const ICMP6_RANGES: &[Attribute] = &[
    own("type", BYTE),
    with("typeend", BYTE, "type"),
    with("code", BYTE, "type"),
    with("codeend", BYTE, "type"),
];

const RANGES4: &[Attribute] = &[
    own("srcipfrom", ValueKind::Ip4),
    with("srcipto", ValueKind::Ip4, "srcipfrom"),
    own("dstipfrom", ValueKind::Ip4),
    with("dstipto", ValueKind::Ip4, "dstipfrom"),
];

const RANGES6: &[Attribute] = &[
    own("srcipfrom", ValueKind::Ip6),
    with("srcipto", ValueKind::Ip6, "srcipfrom"),
    own("dstipfrom", ValueKind::Ip6),
    // libvirt reads the end of an IPv6 range of destinations as IPv4 (measured:
    // docs/measurements.md#M1).
    with("dstipto", ValueKind::Ip4, "dstipfrom"),
];

const CONNECTION: &[Attribute] = &[
    DSCP,
    own("connlimit-above", ValueKind::Decimal { greatest: 0xffff }),
    own("state", ValueKind::State),
];

const IPSET: &[Attribute] = &[
    own("ipset", ValueKind::IpsetName),
    own("ipsetflags", ValueKind::IpsetFlags),
];

/// Ports at layer 3: all take the sign of the source port (measured: docs/measurements.md#M1).
const PORTS: &[Attribute] = &[
    own("srcportstart", WORD),
    with("srcportend", WORD, "srcportstart"),
    with("dstportstart", WORD, "srcportstart"),
    with("dstportend", WORD, "srcportstart"),
];

const SOURCE_MAC: &[Attribute] = &[own("srcmacaddr", ValueKind::Mac)];
const TCP_OPTION: &[Attribute] = &[own("option", BYTE)];
const TCP_FLAGS: &[Attribute] = &[own("flags", ValueKind::TcpFlags)];
const ICMP: &[Attribute] = &[own("type", BYTE), with("code", BYTE, "type")];

/// The attributes of a protocol element, in the order in which libvirt prints them.
pub fn attributes(protocol: Protocol) -> Vec<Attribute> {
    use Protocol::{Arp, Ip, Ipv6, Mac, Rarp, Stp, Vlan};
    let parts: &[&[Attribute]] = match protocol {
        Mac => &[
            MACS,
            &[own("protocolid", ValueKind::EtherType { least: 0x600 })],
        ],
        Vlan => &[
            MACS,
            &[
                own("vlanid", ValueKind::Number { greatest: 4095 }),
                own("encap-protocol", ValueKind::EtherType { least: 0x3c }),
            ],
        ],
        Stp => &[STP],
        Arp | Rarp => &[UNTIED_MACS, ARP],
        // The MACs of an IP frame keep their own sign too, masks and all.
        Ip => &[UNTIED_MACS, ADDRESSES4, UPPER, &[DSCP]],
        Ipv6 => &[UNTIED_MACS, ADDRESSES6, UPPER, ICMP6_RANGES],
        layer3 => return joined(&layer3_parts(layer3)),
    };
    joined(parts)
}

fn layer3_parts(protocol: Protocol) -> Vec<&'static [Attribute]> {
    let (addresses, ranges) = if protocol.layer3() == Some(IpVersion::V6) {
        (ADDRESSES6, RANGES6)
    } else {
        (ADDRESSES4, RANGES4)
    };
    let own: &[&[Attribute]] = match protocol {
        Protocol::Tcp => &[IPSET, PORTS, TCP_OPTION, TCP_FLAGS],
        Protocol::TcpIpv6 => &[IPSET, PORTS, TCP_OPTION],
        Protocol::Udp | Protocol::Sctp | Protocol::UdpIpv6 | Protocol::SctpIpv6 => &[IPSET, PORTS],
        Protocol::Icmp | Protocol::Icmpv6 => &[IPSET, ICMP],
        _ => &[IPSET],
    };
    let common: &[&[Attribute]] = &[SOURCE_MAC, addresses, ranges, CONNECTION];
    [common, own].concat()
}

/// Whether libvirt mixes up ipsets on this element: with flags it drops set and
/// flags, and without flags it fills in `src` (measured: docs/measurements.md#M1). Only `all`
/// keeps both.
pub fn mixes_up_ipsets(protocol: Protocol) -> bool {
    protocol.is_layer3() && !protocol.is_all()
}

/// `comment` stands at the end of every element.
fn joined(parts: &[&[Attribute]]) -> Vec<Attribute> {
    let mut out = parts.concat();
    out.push(COMMENT);
    out
}
