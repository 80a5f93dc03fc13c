//! Payloads of name services and discovery: DNS, mDNS, LLMNR, NetBIOS, SSDP.

use crate::tag::Tag;

/// UDP port of DNS (RFC 1035 4.2.1).
pub const DNS_PORT: u16 = 53;
/// UDP port of multicast DNS (RFC 6762 3).
pub const MDNS_PORT: u16 = 5353;
/// UDP port of LLMNR (RFC 4795 2).
pub const LLMNR_PORT: u16 = 5355;
/// UDP port of the NetBIOS name service (RFC 1002 4.2).
pub const NETBIOS_NS_PORT: u16 = 137;
/// UDP port of the NetBIOS datagram service (RFC 1002 4.4).
pub const NETBIOS_DGM_PORT: u16 = 138;
/// UDP port of SSDP (UPnP Device Architecture 1.3).
pub const SSDP_PORT: u16 = 1900;

const TYPE_A: u16 = 1;
const TYPE_NB: u16 = 32;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;
/// EDNS option code for local use (RFC 6891 9).
const LOCAL_OPTION: u16 = 65001;
const RECURSE: u16 = 0x0100;

/// A question for the A record of a dotted name (RFC 1035 4.1). With a tag it has an EDNS
/// option that holds it.
///
/// # Panics
/// For a label of more than 255 bytes; DNS allows 63 (RFC 1035 2.3.4).
pub fn question(id: u16, recurse: bool, name: &str, tag: Option<Tag>) -> Vec<u8> {
    let flags = if recurse { RECURSE } else { 0 };
    let additional = u16::from(tag.is_some());
    let mut out = header(id, flags, additional);
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("a label is under 64 bytes"));
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(TYPE_A.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    if let Some(tag) = tag {
        out.extend(edns(tag));
    }
    out
}

fn header(id: u16, flags: u16, additional: u16) -> Vec<u8> {
    [id, flags, 1, 0, 0, additional]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

/// The OPT pseudo-record (RFC 6891 6.1.2) with the tag as its only option.
fn edns(tag: Tag) -> Vec<u8> {
    let value = tag.to_bytes();
    let length = u16::try_from(value.len()).expect("a tag is short");
    let mut out = vec![0];
    for word in [TYPE_OPT, 1232, 0, 0, length + 4, LOCAL_OPTION, length] {
        out.extend(word.to_be_bytes());
    }
    out.extend(value);
    out
}

/// Lower-case name of the first question of a DNS query or answer, without the final dot;
/// `None` for a message without one, cut, or whose first name is compressed.
pub fn questioned(message: &[u8]) -> Option<String> {
    let questions = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    if questions == 0 {
        return None;
    }
    let mut labels = Vec::new();
    let mut rest = message.get(12..)?;
    loop {
        let length = usize::from(*rest.first()?);
        if length == 0 {
            break;
        }
        // Compression makes no sense in the first name of a message.
        if length > 63 {
            return None;
        }
        let label = rest.get(1..=length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = &rest[1 + length..];
    }
    Some(labels.join("."))
}

/// Whether a DNS message is a query rather than an answer.
pub fn is_query(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x80 == 0)
}

/// A NetBIOS broadcast name query (RFC 1002 4.2.12) for a name of up to 15
/// characters; the tag follows the message.
pub fn netbios_query(name: &str, tag: Tag) -> Vec<u8> {
    // Recursion desired and the broadcast flag.
    let mut out = header(0x6c66, 0x0110, 0);
    out.push(32);
    out.extend(first_level(name));
    out.push(0);
    out.extend(TYPE_NB.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(tag.to_bytes());
    out
}

/// First-level encoding: 16 bytes, each as two letters from A on (RFC 1001 14.1).
fn first_level(name: &str) -> Vec<u8> {
    let padded = format!("{name:<15}\0");
    padded
        .bytes()
        .flat_map(|byte| [b'A' + (byte >> 4), b'A' + (byte & 15)])
        .collect()
}

/// A NetBIOS direct-group datagram (RFC 1002 4.4.2) with the tag as user data.
pub fn netbios_datagram(source: std::net::Ipv4Addr, tag: Tag) -> Vec<u8> {
    let mut body = Vec::new();
    for name in ["LANFENCE", "WORKGROUP"] {
        body.push(32);
        body.extend(first_level(name));
        body.push(0);
    }
    body.extend(tag.to_bytes());
    let length = u16::try_from(body.len()).expect("a datagram is short");
    let mut out = vec![0x11, 0x02, 0x6c, 0x66];
    out.extend(source.octets());
    out.extend(NETBIOS_DGM_PORT.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend([0, 0]);
    out.extend(body);
    out
}

/// An SSDP search with the tag behind the empty line that ends it.
pub fn ssdp_search(tag: Tag) -> Vec<u8> {
    let text = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\
                MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
    [text.as_bytes(), &tag.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::Packet;
    use pnet::packet::dns::DnsPacket;
    use proptest::prelude::*;

    const TAG: Tag = Tag {
        run: 3,
        pass: 2,
        index: 4,
    };

    #[test]
    fn a_question_reads_back() {
        let bytes = question(7, true, "P1.LanFence.test", Some(TAG));
        let packet = DnsPacket::new(&bytes).unwrap();
        assert_eq!((packet.get_id(), packet.get_query_count()), (7, 1));
        assert_eq!(packet.get_is_recursion_desirable(), 1);
        let qname = &packet.get_queries()[0].qname;
        assert_eq!(qname, b"\x02P1\x08LanFence\x04test\x00");
        assert_eq!(
            questioned(packet.packet()).as_deref(),
            Some("p1.lanfence.test")
        );
        assert!(is_query(&bytes));
        assert_eq!(Tag::find(&bytes), Some(TAG));
    }

    #[test]
    fn an_untagged_question_ends_with_its_class() {
        assert!(question(7, false, "a.b", None).ends_with(&[1, b'a', 1, b'b', 0, 0, 1, 0, 1]));
    }

    #[test]
    fn netbios_names_are_encoded_in_halves() {
        assert!(
            netbios_query("FRED", TAG)
                .windows(8)
                .any(|window| window == b"EGFCEFEE")
        );
        assert_eq!(first_level("FRED").len(), 32);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = questioned(&bytes);
            let _ = is_query(&bytes);
        }
    }
}
