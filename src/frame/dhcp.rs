//! DHCPv4 messages (RFC 2131) and their options (RFC 2132).

use crate::mac::Mac;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// UDP port that servers listen on (RFC 2131 4.1).
pub const SERVER_PORT: u16 = 67;
/// UDP port that clients listen on (RFC 2131 4.1).
pub const CLIENT_PORT: u16 = 68;

/// Least length of a BOOTP message in bytes (RFC 1542 2.1): old servers drop shorter ones.
pub const MIN_MESSAGE: usize = 300;

/// What the option field begins with (RFC 2131 3).
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Length of the fixed fields in bytes (RFC 2131 figure 1).
const FIXED: usize = 236;
/// Where the name of a boot file stands (RFC 2131 figure 1).
const FILE: usize = 108;
/// The broadcast bit of the flags (RFC 2131 figure 2).
const BROADCAST_FLAG: u16 = 0x8000;

/// A message type, the value of option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u8);

/// Message types (RFC 2132 9.6).
pub mod message {
    use super::MessageType;

    /// A client looks for servers.
    pub const DISCOVER: MessageType = MessageType(1);
    /// A server offers an address.
    pub const OFFER: MessageType = MessageType(2);
    /// A client takes or renews an address.
    pub const REQUEST: MessageType = MessageType(3);
    /// A client has found its address in use.
    pub const DECLINE: MessageType = MessageType(4);
    /// A server grants an address.
    pub const ACK: MessageType = MessageType(5);
    /// A server refuses an address.
    pub const NAK: MessageType = MessageType(6);
    /// A client gives its address back.
    pub const RELEASE: MessageType = MessageType(7);
    /// A client has an address and asks for the rest.
    pub const INFORM: MessageType = MessageType(8);
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            message::DISCOVER => "DISCOVER",
            message::OFFER => "OFFER",
            message::REQUEST => "REQUEST",
            message::DECLINE => "DECLINE",
            message::ACK => "ACK",
            message::NAK => "NAK",
            message::RELEASE => "RELEASE",
            message::INFORM => "INFORM",
            Self(other) => return write!(f, "message type {other}"),
        })
    }
}

/// Codes of options (RFC 2132, where nothing else is said).
pub mod option {
    /// Padding, without length or value.
    pub const PAD: u8 = 0;
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, in order of preference.
    pub const ROUTER: u8 = 3;
    /// The client's name.
    pub const HOST_NAME: u8 = 12;
    /// Vendor-specific information, where the tag rides.
    pub const VENDOR: u8 = 43;
    /// The address that a client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// [`MessageType`](super::MessageType).
    pub const MESSAGE_TYPE: u8 = 53;
    /// The server's identifier.
    pub const SERVER: u8 = 54;
    /// Codes of the options that a client wants.
    pub const PARAMETER_LIST: u8 = 55;
    /// Greatest length in bytes of a message that the client takes.
    pub const MAX_MESSAGE: u8 = 57;
    /// Vendor class.
    pub const VENDOR_CLASS: u8 = 60;
    /// Client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// The client's full name (RFC 4702).
    pub const CLIENT_FQDN: u8 = 81;
    /// Whether to configure oneself where no server answers (RFC 2563).
    pub const AUTO_CONFIGURE: u8 = 116;
    /// The last one, without length or value.
    pub const END: u8 = 255;
}

/// A step in the life of a lease that a client can be told to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DhcpStep {
    /// From no lease to a bound one: discover, offer, request, ack.
    Bind,
    /// Unicast request of a bound client for the same lease.
    Renew,
    /// The lease given back.
    Release,
}

/// The fixed fields that differ from message to message (RFC 2131 figure 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// From a server (`op` 2), else from a client.
    pub is_reply: bool,
    /// Transaction.
    pub xid: u32,
    /// Whether a client asks for broadcast answers.
    pub broadcast: bool,
    /// The client's own address (`ciaddr`).
    pub from: Ipv4Addr,
    /// The address given to the client (`yiaddr`).
    pub yours: Ipv4Addr,
    /// The client's hardware address (`chaddr`).
    pub client: Mac,
}

/// A message being written: fixed fields, then options in the order of their adding.
#[derive(Debug, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins a message.
    pub fn new(header: &Header) -> Self {
        let mut bytes = vec![0; FIXED];
        // BOOTREQUEST or BOOTREPLY, Ethernet, six octets of hardware address.
        bytes[..3].copy_from_slice(&[1 + u8::from(header.is_reply), 1, 6]);
        bytes[4..8].copy_from_slice(&header.xid.to_be_bytes());
        if header.broadcast {
            bytes[10..12].copy_from_slice(&BROADCAST_FLAG.to_be_bytes());
        }
        bytes[12..16].copy_from_slice(&header.from.octets());
        bytes[16..20].copy_from_slice(&header.yours.octets());
        bytes[28..34].copy_from_slice(&header.client);
        bytes.extend(COOKIE);
        Self(bytes)
    }

    /// Adds an option.
    ///
    /// # Panics
    /// For a value of more than 255 bytes, which an option cannot hold.
    pub fn option(&mut self, code: u8, value: &[u8]) {
        let length = u8::try_from(value.len()).expect("an option's value is under 256 bytes");
        self.0.extend([code, length]);
        self.0.extend(value);
    }

    /// Names a file to boot, as a client does that has one in mind (`file`).
    ///
    /// # Panics
    /// For a name of more than 127 bytes.
    pub fn boot_file(&mut self, name: &str) {
        assert!(name.len() < 128, "a boot file's name is short");
        self.0[FILE..FILE + name.len()].copy_from_slice(name.as_bytes());
    }

    /// The message with its end mark, padded with zeros to this length in bytes.
    pub fn finish(mut self, least: usize) -> Vec<u8> {
        self.0.push(option::END);
        self.0.resize(self.0.len().max(least), option::PAD);
        self.0
    }
}

/// The parts of a message that lanfence writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Option 53; none makes a plain BOOTP message.
    pub kind: Option<MessageType>,
    /// Transaction.
    pub xid: u32,
    /// The client's hardware address.
    pub client: Mac,
    /// The client's own address (`ciaddr`).
    pub from: Ipv4Addr,
    /// The address given to the client (`yiaddr`).
    pub yours: Ipv4Addr,
    /// Requested address, option 50.
    pub requested: Option<Ipv4Addr>,
    /// Server identifier, option 54.
    pub server: Option<Ipv4Addr>,
    /// Subnet mask, option 1.
    pub mask: Option<Ipv4Addr>,
    /// First router, option 3.
    pub router: Option<Ipv4Addr>,
}

/// Seconds that a lease of [`Message::to_bytes`] lasts.
const LEASE_SECONDS: u32 = 600;

impl Message {
    /// A message of or to this client, without addresses.
    pub fn from_client(kind: MessageType, client: Mac) -> Self {
        Self {
            kind: Some(kind),
            xid: 0x6c61_6e66,
            client,
            from: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            mask: None,
            router: None,
        }
    }

    /// An answer that gives the client an address of the server's /24, with the server as
    /// router.
    pub fn from_server(kind: MessageType, client: Mac, yours: Ipv4Addr, server: Ipv4Addr) -> Self {
        Self {
            yours,
            server: Some(server),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            router: Some(server),
            ..Self::from_client(kind, client)
        }
    }

    /// Whether a server sends this kind.
    fn is_reply(&self) -> bool {
        matches!(
            self.kind,
            Some(message::OFFER | message::ACK | message::NAK)
        )
    }

    /// The bytes, with vendor-specific data unless that is empty.
    ///
    /// # Panics
    /// For more than 255 bytes of vendor-specific data.
    pub fn to_bytes(&self, vendor: &[u8]) -> Vec<u8> {
        let mut out = Writer::new(&Header {
            is_reply: self.is_reply(),
            xid: self.xid,
            broadcast: false,
            from: self.from,
            yours: self.yours,
            client: self.client,
        });
        if let Some(MessageType(code)) = self.kind {
            out.option(option::MESSAGE_TYPE, &[code]);
        }
        if let Some(address) = self.requested {
            out.option(option::REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(address) = self.server {
            out.option(option::SERVER, &address.octets());
            if self.is_reply() {
                out.option(option::LEASE_TIME, &LEASE_SECONDS.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.option(option::SUBNET_MASK, &mask.octets());
        }
        if let Some(router) = self.router {
            out.option(option::ROUTER, &router.octets());
        }
        if !vendor.is_empty() {
            out.option(option::VENDOR, vendor);
        }
        out.finish(MIN_MESSAGE)
    }

    /// Reads a message of either side; `None` unless it has all fixed fields and the
    /// cookie of DHCP. Options count up to the end mark or to one that is cut.
    ///
    /// ```
    /// use lanfence_frame::dhcp::{Message, message};
    ///
    /// let discover = Message::from_client(message::DISCOVER, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    /// let bytes = discover.to_bytes(b"");
    /// assert_eq!((bytes.len(), Message::parse(&bytes)), (300, Some(discover)));
    /// ```
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(FIXED..)?.strip_prefix(&COOKIE)?;
        let address = |code| {
            let value = find(rest, code)?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*value))
        };
        let word = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).ok();
        Some(Self {
            kind: find(rest, option::MESSAGE_TYPE)
                .and_then(|value| value.first().copied())
                .map(MessageType),
            xid: word(4).map(u32::from_be_bytes)?,
            client: bytes[28..34].try_into().ok()?,
            from: word(12).map(Ipv4Addr::from)?,
            yours: word(16).map(Ipv4Addr::from)?,
            requested: address(option::REQUESTED_ADDRESS),
            server: address(option::SERVER),
            mask: address(option::SUBNET_MASK),
            router: address(option::ROUTER),
        })
    }
}

/// Codes and values of a message's options, without padding, up to the end mark or to one
/// that is cut; nothing for what is no message of DHCP.
pub fn options(message: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let field = message
        .get(FIXED..)
        .and_then(|rest| rest.strip_prefix(&COOKIE));
    walk(field.unwrap_or_default())
}

fn walk(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            match *rest.first()? {
                option::END => return None,
                option::PAD => rest = &rest[1..],
                code => {
                    let length = usize::from(*rest.get(1)?);
                    let value = rest.get(2..2 + length)?;
                    rest = &rest[2 + length..];
                    return Some((code, value));
                }
            }
        }
    })
}

/// Value of the first option with this code.
fn find(field: &[u8], wanted: u8) -> Option<&[u8]> {
    walk(field)
        .find(|(code, _)| *code == wanted)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet::packet::dhcp::DhcpPacket;
    use proptest::prelude::*;
    use rstest::rstest;

    const CLIENT: Mac = [2, 0, 0, 0, 0, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 57);
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    fn discover() -> Message {
        Message::from_client(message::DISCOVER, CLIENT)
    }

    #[rstest]
    #[case::discover(discover(), 1)]
    #[case::request(Message { kind: Some(message::REQUEST), requested: Some(ADDRESS), server: Some(SERVER), ..discover() }, 1)]
    #[case::offer(Message::from_server(message::OFFER, CLIENT, ADDRESS, SERVER), 2)]
    #[case::release(Message { kind: Some(message::RELEASE), from: ADDRESS, ..discover() }, 1)]
    #[case::bootp(Message { kind: None, ..discover() }, 1)]
    fn reads_back(#[case] message: Message, #[case] op: u8) {
        let bytes = message.to_bytes(b"vendor");
        assert!(bytes.len() >= MIN_MESSAGE);
        assert_eq!(Message::parse(&bytes), Some(message));
        let packet = DhcpPacket::new(&bytes).unwrap();
        assert_eq!(
            (packet.get_op().0, packet.get_htype().0, packet.get_hlen()),
            (op, 1, 6)
        );
        assert_eq!((packet.get_xid(), packet.get_flags()), (message.xid, 0));
        assert_eq!(
            (packet.get_ciaddr(), packet.get_yiaddr()),
            (message.from, message.yours)
        );
        assert_eq!(packet.get_chaddr().octets(), CLIENT);
    }

    #[test]
    fn a_lease_has_its_options_in_their_order() {
        let bytes = Message::from_server(message::ACK, CLIENT, ADDRESS, SERVER).to_bytes(b"x");
        let codes: Vec<u8> = options(&bytes).map(|(code, _)| code).collect();
        assert_eq!(codes, [53, 54, 51, 1, 3, 43]);
    }

    #[test]
    fn a_foreign_cookie_is_none() {
        let mut bytes = discover().to_bytes(&[]);
        bytes[FIXED] = 0;
        assert_eq!(Message::parse(&bytes), None);
        assert_eq!(options(&bytes).count(), 0);
    }

    #[test]
    fn a_value_beyond_the_end_is_not_read() {
        let mut bytes = discover().to_bytes(&[]);
        bytes[FIXED + 4..].fill(200);
        assert_eq!(Message::parse(&bytes).and_then(|read| read.kind), None);
    }

    #[test]
    fn types_have_names() {
        assert_eq!(message::NAK.to_string(), "NAK");
        assert_eq!(MessageType(13).to_string(), "message type 13");
    }

    proptest! {
        #[test]
        fn cut_and_random_options_never_panic(cut in 0..300_usize, tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = discover().to_bytes(b"vendor");
            bytes.truncate(cut);
            bytes.extend(tail);
            let _ = (Message::parse(&bytes), options(&bytes).count());
        }
    }
}
