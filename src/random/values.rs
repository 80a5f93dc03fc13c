//! Random values for the attributes of rules: few of each kind, so that rules
//! and frames meet, and all the forms that libvirt reads.

use super::generator::Random;
use crate::nwfilter::Protocol;

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A MAC address.
    Mac,
    /// Leading ones over a MAC.
    MacMask,
    /// An IPv4 address.
    V4,
    /// A prefix length or a dotted mask.
    V4Mask,
    /// An IPv6 address.
    V6,
    /// A prefix length or a mask.
    V6Mask,
    /// A port.
    Port,
    /// An EtherType from 0x600.
    EtherType,
    /// What a VLAN tag encapsulates.
    Encap,
    /// A VLAN.
    Vlan,
    /// An IP protocol.
    Protocol,
    /// One with ports.
    WithPorts,
    /// An ARP operation.
    Opcode,
    /// ARP hardware or protocol type.
    ArpType,
    /// A code point, 0 to 63.
    Dscp,
    /// An ICMP type or code.
    Byte,
    /// A truth value.
    Boolean,
    /// Connection states.
    State,
    /// TCP flags behind their mask.
    Flags,
    /// Words that change nothing.
    Comment,
}

const MACS: [&str; 6] = [
    "52:54:00:00:01:01",
    "52:54:00:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "1:0:5e:0:0:fb",
    "33:33:00:00:00:01",
    "01:80:c2:00:00:00",
];
/// The last is refused everywhere.
const MAC_MASKS: [&str; 11] = [
    "ff:ff:ff:ff:ff:ff",
    "ff:ff:ff:ff:ff:fe",
    "ff:ff:ff:ff:ff:00",
    "ff:ff:ff:ff:00:00",
    "ff:ff:ff:80:00:00",
    "ff:ff:ff:00:00:00",
    "ff:ff:00:00:00:00",
    "ff:0:0:0:0:0",
    "fe:00:00:00:00:00",
    "80:00:00:00:00:00",
    "00:00:00:00:00:00",
];
const V4: [&str; 8] = [
    "192.168.1.77",
    "192.168.1.0",
    "10.1.2.3",
    "224.0.0.251",
    "255.255.255.255",
    "0.0.0.0",
    "203.0.113.10",
    "127.0.0.1",
];
const V4_MASKS: [&str; 10] = [
    "0",
    "1",
    "8",
    "23",
    "24",
    "25",
    "31",
    "32",
    "255.255.255.0",
    "255.0.0.0",
];
const V6: [&str; 7] = [
    "fe80::5054:ff:fe00:101",
    "2001:db8:1::1",
    "2001:db8:ffff::10",
    "ff02::fb",
    "::",
    "::1",
    "fd00:1::",
];
const V6_MASKS: [&str; 8] = ["0", "1", "10", "64", "127", "128", "ffff:ffff::", "ffc0::"];
const PORTS: [&str; 8] = ["0", "1", "53", "0x35", "67", "68", "1024", "65535"];
const ETHERTYPES: [&str; 12] = [
    "arp", "rarp", "ipv4", "IPv6", "vlan", "0x800", "2054", "0x600", "1536", "0x88a8", "0xffff",
    "0x88b5",
];
const ENCAPS: [&str; 6] = ["arp", "ipv4", "0x86dd", "2048", "0x3c", "0x806"];
/// The last is refused everywhere.
const VLANS: [&str; 8] = ["0", "1", "2", "0x64", "100", "0xffe", "4094", "4095"];
/// Protocols with ports that ebtables knows.
const WITH_PORTS: [&str; 6] = ["tcp", "udp", "sctp", "33", "0x11", "6"];
const PROTOCOLS: [&str; 14] = [
    "tcp", "udp", "TCP", "icmp", "icmpv6", "igmp", "esp", "ah", "sctp", "udplite", "6", "0x11",
    "33", "255",
];
const OPCODES: [&str; 7] = [
    "Request",
    "reply",
    "Request_Reverse",
    "ARP_NAK",
    "1",
    "0x2",
    "65535",
];
const ARP_TYPES: [&str; 6] = ["1", "0x1", "2048", "0x800", "6", "65535"];
const DSCPS: [&str; 6] = ["0", "1", "8", "46", "0x2e", "63"];
const BYTES: [&str; 9] = ["0", "1", "3", "8", "128", "133", "0x88", "254", "255"];
const BOOLEANS: [&str; 4] = ["true", "yes", "1", "false"];
const STATES: [&str; 6] = [
    "NEW",
    "ESTABLISHED",
    "NEW,ESTABLISHED",
    "RELATED",
    "INVALID",
    "NONE",
];
const FLAGS: [&str; 6] = [
    "SYN/SYN",
    "SYN,ACK/SYN",
    "ALL/SYN",
    "ALL/NONE",
    "RST/RST",
    "SYN,ACK,FIN/SYN,ACK",
];

impl Kind {
    /// The values that it is picked from.
    fn pool(self) -> &'static [&'static str] {
        match self {
            Self::Mac => &MACS,
            Self::MacMask => &MAC_MASKS,
            Self::V4 => &V4,
            Self::V4Mask => &V4_MASKS,
            Self::V6 => &V6,
            Self::V6Mask => &V6_MASKS,
            Self::Port => &PORTS,
            Self::EtherType => &ETHERTYPES,
            Self::Encap => &ENCAPS,
            Self::Vlan => &VLANS,
            Self::Protocol => &PROTOCOLS,
            Self::WithPorts => &WITH_PORTS,
            Self::Opcode => &OPCODES,
            Self::ArpType => &ARP_TYPES,
            Self::Dscp => &DSCPS,
            Self::Byte => &BYTES,
            Self::Boolean => &BOOLEANS,
            Self::State => &STATES,
            Self::Flags => &FLAGS,
            Self::Comment => &["a word"],
        }
    }

    /// A value.
    pub fn value(self, random: &mut Random) -> &'static str {
        let pool = self.pool();
        pool[random.below(pool.len())]
    }

    /// Whether a variable may stand for it: its values have no character that
    /// libvirt refuses in a parameter, and the parser looks for one.
    pub fn takes_variable(self) -> bool {
        !matches!(
            self,
            Self::State | Self::Flags | Self::Comment | Self::Boolean
        )
    }
}

/// What an attribute of an element holds; none for those that random filters leave out.
pub fn kind(protocol: Protocol, attribute: &str) -> Option<Kind> {
    let v6 = protocol.is_v6();
    Some(match attribute {
        "srcmacaddr" | "dstmacaddr" | "arpsrcmacaddr" | "arpdstmacaddr" => Kind::Mac,
        "srcmacmask" | "dstmacmask" => Kind::MacMask,
        // Not `dstipto`: nothing but IPv4 can be written there (measured: docs/measurements.md#M1).
        "srcipaddr" | "dstipaddr" | "srcipfrom" | "srcipto" | "dstipfrom" if v6 => Kind::V6,
        "srcipaddr" | "dstipaddr" | "srcipfrom" | "srcipto" | "dstipfrom" | "dstipto"
        | "arpsrcipaddr" | "arpdstipaddr" => Kind::V4,
        "srcipmask" | "dstipmask" if v6 => Kind::V6Mask,
        "srcipmask" | "dstipmask" | "arpsrcipmask" | "arpdstipmask" => Kind::V4Mask,
        "srcportstart" | "srcportend" | "dstportstart" | "dstportend" => Kind::Port,
        "protocolid" => Kind::EtherType,
        "encap-protocol" => Kind::Encap,
        "vlanid" => Kind::Vlan,
        "protocol" => Kind::Protocol,
        "opcode" => Kind::Opcode,
        "hwtype" | "protocoltype" => Kind::ArpType,
        "dscp" => Kind::Dscp,
        "type" | "typeend" | "code" | "codeend" if protocol != Protocol::Stp => Kind::Byte,
        "gratuitous" => Kind::Boolean,
        "state" => Kind::State,
        "flags" if protocol != Protocol::Stp => Kind::Flags,
        "comment" => Kind::Comment,
        _ => return None,
    })
}
