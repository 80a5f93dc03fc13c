//! MAC addresses: as text, of groups, and in IPv6 addresses.

use crate::hex::from_hex;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A MAC address (EUI-48), its octets in the order of the wire.
pub type Mac = [u8; 6];

/// The MAC address of broadcast frames (IEEE 802.3 3.2.3).
pub const BROADCAST: Mac = [0xff; 6];

/// A MAC address from six pairs of hexadecimal digits with colons between them,
/// `52:54:00:12:34:56`; `None` for any other form.
pub fn parse_mac(text: &str) -> Option<Mac> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *octet = from_hex(part)?[0];
    }
    parts.next().is_none().then_some(octets)
}

/// A MAC address as [`parse_mac`] reads it, in lower case.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// The MAC address that an IPv4 group is sent to (RFC 1112 6.4).
pub fn group_mac4(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// The MAC address that an IPv6 group is sent to (RFC 2464 7).
pub fn group_mac6(group: Ipv6Addr) -> Mac {
    let octets = group.octets();
    [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
}

/// The solicited-node group of an address (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// The link-local address that the kernel derives from a MAC (modified EUI-64, RFC 4291
/// appendix A).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        word(mac[0] ^ 0x02, mac[1]),
        word(mac[2], 0xff),
        word(0xfe, mac[3]),
        word(mac[4], mac[5]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_is_modified_eui_64() {
        let mac = parse_mac("52:54:00:12:34:56").unwrap();
        assert_eq!(link_local(mac).to_string(), "fe80::5054:ff:fe12:3456");
        let universal = parse_mac("00:00:5e:00:53:01").unwrap();
        assert_eq!(
            link_local(universal).to_string(),
            "fe80::200:5eff:fe00:5301"
        );
    }

    #[test]
    fn text_reads_back() {
        let mac = parse_mac("52:54:00:AB:cd:ef").unwrap();
        assert_eq!(mac_text(mac), "52:54:00:ab:cd:ef");
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for bad in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52:54:00:12:34:5g",
            "5:254:00:12:34:56",
            "525400123456",
            "52:54:00:12:34:+6",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn groups_have_their_addresses() {
        let mdns = Ipv4Addr::new(224, 0, 0, 251);
        assert_eq!(mac_text(group_mac4(mdns)), "01:00:5e:00:00:fb");
        let host: Ipv6Addr = "fe80::5054:ff:fe12:3456".parse().unwrap();
        let group = solicited_node(host);
        assert_eq!(group.to_string(), "ff02::1:ff12:3456");
        assert_eq!(mac_text(group_mac6(group)), "33:33:ff:12:34:56");
    }
}
