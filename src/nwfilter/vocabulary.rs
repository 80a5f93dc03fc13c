//! The names that libvirt's parser knows, in the order in which it prints them.
//!
//! Source of the facts: libvirt's documentation (formatnwfilter) and
//! experiments with libvirt 11.3.0. Any other name it ignores without a word,
//! and the rule then matches more than it says.

const MACS: [&str; 4] = ["srcmacaddr", "srcmacmask", "dstmacaddr", "dstmacmask"];

const IP: [&str; 9] = [
    "srcipaddr",
    "srcipmask",
    "dstipaddr",
    "dstipmask",
    "protocol",
    "srcportstart",
    "srcportend",
    "dstportstart",
    "dstportend",
];

const L3: [&str; 15] = [
    "srcmacaddr",
    "srcipaddr",
    "srcipmask",
    "dstipaddr",
    "dstipmask",
    "srcipfrom",
    "srcipto",
    "dstipfrom",
    "dstipto",
    "dscp",
    "connlimit-above",
    "comment",
    "state",
    "ipset",
    "ipsetflags",
];

const PORTS: [&str; 4] = ["srcportstart", "srcportend", "dstportstart", "dstportend"];

const ARP: [&str; 10] = [
    "hwtype",
    "protocoltype",
    "opcode",
    "arpsrcmacaddr",
    "arpdstmacaddr",
    "arpsrcipaddr",
    "arpsrcipmask",
    "arpdstipaddr",
    "arpdstipmask",
    "gratuitous",
];

const STP: [&str; 23] = [
    "type",
    "flags",
    "root-priority",
    "root-priority-hi",
    "root-address",
    "root-address-mask",
    "root-cost",
    "root-cost-hi",
    "sender-priority",
    "sender-priority-hi",
    "sender-address",
    "sender-address-mask",
    "port",
    "port-hi",
    "age",
    "age-hi",
    "max-age",
    "max-age-hi",
    "hello-time",
    "hello-time-hi",
    "forward-delay",
    "forward-delay-hi",
    "srcmacaddr",
];

/// Every protocol element with the names that may stand in it; `comment` may stand in all.
pub fn attributes(protocol: &str) -> Option<Vec<&'static str>> {
    let mut names: Vec<&'static str> = match protocol {
        "mac" => [&MACS[..], &["protocolid"]].concat(),
        "vlan" => [&MACS[..], &["vlanid", "encap-protocol"]].concat(),
        "stp" => [&["srcmacmask"], &STP[..]].concat(),
        "arp" | "rarp" => [&MACS[..], &ARP[..]].concat(),
        "ip" => [&MACS[..], &IP[..], &["dscp"]].concat(),
        "ipv6" => [&MACS[..], &IP[..], &["type", "typeend", "code", "codeend"]].concat(),
        "tcp" => [&L3[..], &PORTS[..], &["option", "flags"]].concat(),
        "udp" | "sctp" | "tcp-ipv6" | "udp-ipv6" | "sctp-ipv6" => [&L3[..], &PORTS[..]].concat(),
        "icmp" | "icmpv6" => [&L3[..], &["type", "code"]].concat(),
        "igmp" | "esp" | "ah" | "udplite" | "all" | "esp-ipv6" | "ah-ipv6" | "udplite-ipv6"
        | "all-ipv6" => L3.to_vec(),
        _ => return None,
    };
    names.push("comment");
    Some(names)
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
