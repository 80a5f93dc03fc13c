//! The elements of a rule and their attributes, in the order in which libvirt prints them.
//!
//! Source of the facts: libvirt's documentation (formatnwfilter) and
//! experiments with libvirt 11.3.0: which names survive a definition, in which
//! order they are printed, and whose sign they take. Any other name libvirt
//! ignores without a word, and the rule then matches more than it says.

use super::value::Kind;

/// An attribute of a protocol element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The attribute whose sign libvirt gives it, whatever its own element
    /// says: that of an address for its mask, but also that of the source
    /// port for the destination port, positive where there is none.
    pub sign_of: Option<&'static str>,
}

const fn own(name: &'static str, kind: Kind) -> Attribute {
    Attribute {
        name,
        kind,
        sign_of: None,
    }
}

const fn with(name: &'static str, kind: Kind, sign_of: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        sign_of: Some(sign_of),
    }
}

const BYTE: Kind = Kind::Number { greatest: 0xff };
const WORD: Kind = Kind::Number { greatest: 0xffff };
const LONG: Kind = Kind::Number {
    greatest: 0xffff_ffff,
};

const COMMENT: Attribute = own("comment", Kind::Comment);

/// MACs of the frame; ARP's masks keep the sign of their own element.
const MACS: &[Attribute] = &[
    own("srcmacaddr", Kind::Mac),
    with("srcmacmask", Kind::MacMask, "srcmacaddr"),
    own("dstmacaddr", Kind::Mac),
    with("dstmacmask", Kind::MacMask, "dstmacaddr"),
];

const UNTIED_MACS: &[Attribute] = &[
    own("srcmacaddr", Kind::Mac),
    own("srcmacmask", Kind::MacMask),
    own("dstmacaddr", Kind::Mac),
    own("dstmacmask", Kind::MacMask),
];

const STP: &[Attribute] = &[
    own("srcmacaddr", Kind::Mac),
    with("srcmacmask", Kind::MacMask, "srcmacaddr"),
    own("type", BYTE),
    own("flags", BYTE),
    own("root-priority", WORD),
    with("root-priority-hi", WORD, "root-priority"),
    own("root-address", Kind::Mac),
    with("root-address-mask", Kind::MacMask, "root-address"),
    own("root-cost", LONG),
    with("root-cost-hi", LONG, "root-cost"),
    own("sender-priority", WORD),
    with("sender-priority-hi", WORD, "sender-priority"),
    own("sender-address", Kind::Mac),
    with("sender-address-mask", Kind::MacMask, "sender-address"),
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
    own("opcode", Kind::Operation),
    own("arpsrcmacaddr", Kind::Mac),
    own("arpdstmacaddr", Kind::Mac),
    own("arpsrcipaddr", Kind::Ip4),
    own("arpsrcipmask", Kind::Mask4),
    own("arpdstipaddr", Kind::Ip4),
    own("arpdstipmask", Kind::Mask4),
    own("gratuitous", Kind::Boolean),
];

const fn addresses(address: Kind, mask: Kind) -> [Attribute; 4] {
    [
        own("srcipaddr", address),
        with("srcipmask", mask, "srcipaddr"),
        own("dstipaddr", address),
        with("dstipmask", mask, "dstipaddr"),
    ]
}

const ADDRESSES4: &[Attribute] = &addresses(Kind::Ip4, Kind::Mask4);
const ADDRESSES6: &[Attribute] = &addresses(Kind::Ip6, Kind::Mask6);

/// Protocol and ports at layer 2, where each port keeps its own sign.
const UPPER: &[Attribute] = &[
    own("protocol", Kind::IpProtocol),
    own("srcportstart", WORD),
    own("srcportend", WORD),
    own("dstportstart", WORD),
    own("dstportend", WORD),
];

const DSCP: Attribute = own("dscp", Kind::Number { greatest: 63 });

const ICMP6_RANGES: &[Attribute] = &[
    own("type", BYTE),
    with("typeend", BYTE, "type"),
    with("code", BYTE, "type"),
    with("codeend", BYTE, "type"),
];

const RANGES4: &[Attribute] = &[
    own("srcipfrom", Kind::Ip4),
    with("srcipto", Kind::Ip4, "srcipfrom"),
    own("dstipfrom", Kind::Ip4),
    with("dstipto", Kind::Ip4, "dstipfrom"),
];

const RANGES6: &[Attribute] = &[
    own("srcipfrom", Kind::Ip6),
    with("srcipto", Kind::Ip6, "srcipfrom"),
    own("dstipfrom", Kind::Ip6),
    // libvirt reads the end of an IPv6 range of destinations as IPv4 (measured).
    with("dstipto", Kind::Ip4, "dstipfrom"),
];

const CONNECTION: &[Attribute] = &[
    DSCP,
    own("connlimit-above", Kind::Decimal { greatest: 0xffff }),
    own("state", Kind::State),
];

const IPSET: &[Attribute] = &[
    own("ipset", Kind::IpsetName),
    own("ipsetflags", Kind::IpsetFlags),
];

/// Ports at layer 3: all take the sign of the source port (measured).
const PORTS: &[Attribute] = &[
    own("srcportstart", WORD),
    with("srcportend", WORD, "srcportstart"),
    with("dstportstart", WORD, "srcportstart"),
    with("dstportend", WORD, "srcportstart"),
];

/// Every protocol element with its attributes; none for another name.
pub fn attributes(protocol: &str) -> Option<Vec<Attribute>> {
    let parts: &[&[Attribute]] = match protocol {
        "mac" => &[MACS, &[own("protocolid", Kind::EtherType { least: 0x600 })]],
        "vlan" => &[
            MACS,
            &[
                own("vlanid", Kind::Number { greatest: 4095 }),
                own("encap-protocol", Kind::EtherType { least: 0x3c }),
            ],
        ],
        "stp" => &[STP],
        "arp" | "rarp" => &[UNTIED_MACS, ARP],
        // The MACs of an IP frame keep their own sign too, masks and all.
        "ip" => &[UNTIED_MACS, ADDRESSES4, UPPER, &[DSCP]],
        "ipv6" => &[UNTIED_MACS, ADDRESSES6, UPPER, ICMP6_RANGES],
        other => return layer3(other),
    };
    Some(joined(parts))
}

fn layer3(protocol: &str) -> Option<Vec<Attribute>> {
    let v6 = protocol == "icmpv6" || protocol.ends_with("-ipv6");
    let (addresses, ranges) = if v6 {
        (ADDRESSES6, RANGES6)
    } else {
        (ADDRESSES4, RANGES4)
    };
    let option = own("option", BYTE);
    let own: &[&[Attribute]] = match protocol {
        "tcp" => &[IPSET, PORTS, &[option, own("flags", Kind::TcpFlags)]],
        "tcp-ipv6" => &[IPSET, PORTS, &[option]],
        "udp" | "sctp" | "udp-ipv6" | "sctp-ipv6" => &[IPSET, PORTS],
        "icmp" | "icmpv6" => &[IPSET, &[own("type", BYTE), with("code", BYTE, "type")]],
        "all" | "igmp" | "esp" | "ah" | "udplite" | "all-ipv6" | "esp-ipv6" | "ah-ipv6"
        | "udplite-ipv6" => &[IPSET],
        _ => return None,
    };
    let mac = [self::own("srcmacaddr", Kind::Mac)];
    let common: &[&[Attribute]] = &[&mac, addresses, ranges, CONNECTION];
    Some(joined(&[common, own].concat()))
}

/// Whether libvirt mixes up ipsets on this element: with flags it drops set and
/// flags, and without flags it fills in `src` (measured). Only `all` keeps both.
pub fn mixes_up_ipsets(protocol: &str) -> bool {
    !matches!(protocol, "all" | "all-ipv6") && layer3(protocol).is_some()
}

/// `comment` stands at the end of every element.
fn joined(parts: &[&[Attribute]]) -> Vec<Attribute> {
    let mut out = parts.concat();
    out.push(COMMENT);
    out
}

/// Every protocol element.
pub const PROTOCOLS: [&str; 24] = [
    "mac",
    "vlan",
    "stp",
    "arp",
    "rarp",
    "ip",
    "ipv6",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmpv6",
    "igmp",
    "esp",
    "ah",
    "udplite",
    "all",
    "tcp-ipv6",
    "udp-ipv6",
    "sctp-ipv6",
    "esp-ipv6",
    "ah-ipv6",
    "udplite-ipv6",
    "all-ipv6",
];
