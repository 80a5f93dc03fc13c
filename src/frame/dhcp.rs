//! A small `DHCPv4` codec (RFC 2131, RFC 2132): pnet's fixed header, options by hand.

use super::Mac;
use super::ether::mac_addr;
use pnet::packet::dhcp::{DhcpHardwareTypes, DhcpOperations, DhcpPacket, MutableDhcpPacket};
use std::net::Ipv4Addr;

/// Message types of option 53 (RFC 2132 9.6).
pub mod message {
    /// Client looks for servers.
    pub const DISCOVER: u8 = 1;
    /// Server offers an address.
    pub const OFFER: u8 = 2;
    /// Client takes or renews an address.
    pub const REQUEST: u8 = 3;
    /// Server grants it.
    pub const ACK: u8 = 5;
    /// Client gives it back.
    pub const RELEASE: u8 = 7;
}

/// Port that servers listen on.
pub const SERVER_PORT: u16 = 67;
/// Port that clients listen on.
pub const CLIENT_PORT: u16 = 68;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const HEADER: usize = 236;
/// Least length of a BOOTP message (RFC 951): old servers drop shorter ones.
const MIN_MESSAGE: usize = 300;
const PAD: u8 = 0;
const END: u8 = 255;
const MESSAGE_TYPE: u8 = 53;
const REQUESTED_ADDRESS: u8 = 50;
const SERVER: u8 = 54;
const LEASE_TIME: u8 = 51;
const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
/// Vendor-specific information, where the tag rides.
const VENDOR: u8 = 43;

/// The parts of a message that probes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Option 53; none makes a plain BOOTP message.
    pub kind: Option<u8>,
    /// Transaction.
    pub xid: u32,
    /// Client's hardware address.
    pub client: Mac,
    /// The client's own address (`ciaddr`).
    pub from: Ipv4Addr,
    /// The address given to the client (`yiaddr`).
    pub yours: Ipv4Addr,
    /// Server identifier, option 54.
    pub server: Option<Ipv4Addr>,
    /// Requested address, option 50.
    pub requested: Option<Ipv4Addr>,
}

impl Message {
    /// A client's message without addresses.
    pub fn from_client(kind: u8, client: Mac) -> Self {
        Self {
            kind: Some(kind),
            xid: 0x6c61_6e66,
            client,
            from: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            server: None,
            requested: None,
        }
    }

    /// Whether a server sends this kind.
    fn is_reply(&self) -> bool {
        matches!(self.kind, Some(message::OFFER | message::ACK))
    }

    /// The bytes, with vendor-specific data.
    pub fn to_bytes(&self, vendor: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let mut packet = MutableDhcpPacket::new(&mut bytes).expect("the buffer is a header");
        packet.set_op(if self.is_reply() {
            DhcpOperations::Reply
        } else {
            DhcpOperations::Request
        });
        packet.set_htype(DhcpHardwareTypes::Ethernet);
        packet.set_hlen(6);
        packet.set_xid(self.xid);
        packet.set_ciaddr(self.from);
        packet.set_yiaddr(self.yours);
        packet.set_chaddr(mac_addr(self.client));
        bytes.extend(COOKIE);
        bytes.extend(self.options(vendor));
        bytes.resize(bytes.len().max(MIN_MESSAGE), PAD);
        bytes
    }

    fn options(&self, vendor: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(kind) = self.kind {
            put(&mut out, MESSAGE_TYPE, &[kind]);
        }
        if let Some(address) = self.requested {
            put(&mut out, REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(address) = self.server {
            put(&mut out, SERVER, &address.octets());
        }
        if let (true, Some(router)) = (self.is_reply(), self.server) {
            put(&mut out, LEASE_TIME, &600_u32.to_be_bytes());
            put(&mut out, SUBNET_MASK, &[255, 255, 255, 0]);
            put(&mut out, ROUTER, &router.octets());
        }
        if !vendor.is_empty() {
            put(&mut out, VENDOR, vendor);
        }
        out.push(END);
        out
    }

    /// Reads a message; none unless it is a whole header with the cookie.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let packet = DhcpPacket::new(bytes.get(..HEADER)?)?;
        if bytes.get(HEADER..HEADER + 4)? != COOKIE {
            return None;
        }
        let options = &bytes[HEADER + 4..];
        let address = |code| {
            find(options, code)
                .and_then(|value| <[u8; 4]>::try_from(value).ok())
                .map(Ipv4Addr::from)
        };
        Some(Self {
            kind: find(options, MESSAGE_TYPE).and_then(|value| value.first().copied()),
            xid: packet.get_xid(),
            client: packet.get_chaddr().octets(),
            from: packet.get_ciaddr(),
            yours: packet.get_yiaddr(),
            server: address(SERVER),
            requested: address(REQUESTED_ADDRESS),
        })
    }
}

fn put(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    out.push(code);
    out.push(u8::try_from(value.len()).expect("an option's value is under 256 bytes"));
    out.extend(value);
}

/// Value of the first option with this code.
fn find(mut options: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        match *options.first()? {
            END => return None,
            PAD => options = &options[1..],
            kind => {
                let length = usize::from(*options.get(1)?);
                let value = options.get(2..2 + length)?;
                if kind == code {
                    return Some(value);
                }
                options = &options[2 + length..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const CLIENT: Mac = [2, 0, 0, 0, 0, 1];
    const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    fn discover() -> Message {
        Message::from_client(message::DISCOVER, CLIENT)
    }

    #[rstest]
    #[case::discover(discover(), 1)]
    #[case::request(Message { kind: Some(message::REQUEST), requested: Some(SERVER_ADDRESS), server: Some(SERVER_ADDRESS), ..discover() }, 1)]
    #[case::offer(Message { kind: Some(message::OFFER), yours: SERVER_ADDRESS, server: Some(SERVER_ADDRESS), ..discover() }, 2)]
    #[case::release(Message { kind: Some(message::RELEASE), from: SERVER_ADDRESS, ..discover() }, 1)]
    #[case::bootp(Message { kind: None, ..discover() }, 1)]
    fn reads_back(#[case] message: Message, #[case] op: u8) {
        let bytes = message.to_bytes(b"vendor");
        assert!(bytes.len() >= MIN_MESSAGE);
        assert_eq!(bytes[0], op);
        assert_eq!(Message::parse(&bytes), Some(message));
    }

    #[test]
    fn a_foreign_cookie_is_none() {
        let mut bytes = discover().to_bytes(&[]);
        bytes[HEADER] = 0;
        assert_eq!(Message::parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn cut_and_random_options_never_panic(cut in 0..300_usize, tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = discover().to_bytes(b"vendor");
            bytes.truncate(cut);
            bytes.extend(tail);
            let _ = Message::parse(&bytes);
        }
    }
}
