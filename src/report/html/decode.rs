//! A frame taken apart, a line a layer.

use crate::frame::{Body, View, from_hex, mac_text, summary};
use std::fmt::Write as _;

/// A frame of the report, decoded; none where its digits are none.
pub fn decode(hex: &str) -> Option<Decoded> {
    let bytes = from_hex(hex)?;
    let view = View::parse(&bytes)?;
    let mut link = format!("{} → {}", mac_text(view.src), mac_text(view.dst));
    for tag in &view.tags {
        let _ = write!(link, ", VLAN {} ({:#06x})", tag.vid, tag.tpid);
    }
    let kind = view.kind;
    let _ = if kind >= 0x600 {
        write!(link, ", EtherType {kind:#06x}")
    } else {
        write!(link, ", 802.3 length {kind}")
    };
    let network = match &view.body {
        Body::V4(packet) => Some(format!(
            "IPv4 {} → {}, protocol {}, TTL {}",
            packet.src, packet.dst, packet.protocol, packet.ttl
        )),
        Body::V6(packet) => Some(format!(
            "IPv6 {} → {}, next header {}, hop limit {}",
            packet.src, packet.dst, packet.protocol, packet.hops
        )),
        Body::Arp(_) | Body::Other(_) => None,
    };
    Some(Decoded {
        line: without_tag(&summary(&bytes)),
        link: format!("{link}, {} bytes", bytes.len()),
        network,
    })
}

/// A frame in words.
pub struct Decoded {
    /// In the manner of tcpdump.
    pub line: String,
    /// Ethernet.
    pub link: String,
    /// IP, where it is.
    pub network: Option<String>,
}

/// The nonce of an example says nothing.
fn without_tag(line: &str) -> String {
    let cut = line.split_once(" [tag ").map_or(line, |(before, _)| before);
    cut.to_owned()
}
