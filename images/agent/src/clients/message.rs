//! DHCP messages as a profile writes them, and the little that it reads of an answer
//! (RFC 2131, RFC 2132).

use super::packet::Mac;
use super::profiles::Profile;
use std::net::Ipv4Addr;

/// Message types, option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The client looks for servers.
    Discover,
    /// A server offers an address.
    Offer,
    /// The client takes or renews an address.
    Request,
    /// The server grants it.
    Ack,
    /// The server refuses it.
    Nak,
    /// The client gives it back.
    Release,
    /// The client has an address and asks for the rest.
    Inform,
}

const KINDS: [(Kind, u8); 7] = [
    (Kind::Discover, 1),
    (Kind::Offer, 2),
    (Kind::Request, 3),
    (Kind::Ack, 5),
    (Kind::Nak, 6),
    (Kind::Release, 7),
    (Kind::Inform, 8),
];

impl Kind {
    fn code(self) -> u8 {
        let found = KINDS.iter().find(|(kind, _)| *kind == self);
        found.expect("every kind is in the table").1
    }

    fn from_code(code: u8) -> Option<Self> {
        let found = KINDS.iter().find(|(_, known)| *known == code);
        found.map(|(kind, _)| *kind)
    }
}

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const HEADER: usize = 236;
const PAD: u8 = 0;
const END: u8 = 255;
const BROADCAST_FLAG: u16 = 0x8000;

/// The name that all clients give themselves.
const HOST_NAME: &str = "lanfence";

/// Largest message that a client takes, option 57 (udhcpc's value).
const LARGEST: u16 = 576;

/// What a client knows when it writes.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its MAC address.
    pub mac: Mac,
    /// Transaction.
    pub xid: u32,
    /// The address it was offered or has.
    pub address: Ipv4Addr,
    /// The server that it speaks to.
    pub server: Ipv4Addr,
    /// Whether the address is its own already: it goes into `ciaddr`.
    pub bound: bool,
}

/// A client's message, padded as the profile wants it.
pub fn write(profile: &Profile, kind: Kind, facts: &Facts) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    // BOOTREQUEST, Ethernet, six octets of hardware address.
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[4..8].copy_from_slice(&facts.xid.to_be_bytes());
    if profile.broadcast && !facts.bound {
        bytes[10..12].copy_from_slice(&BROADCAST_FLAG.to_be_bytes());
    }
    if facts.bound {
        bytes[12..16].copy_from_slice(&facts.address.octets());
    }
    bytes[28..34].copy_from_slice(&facts.mac);
    bytes.extend(COOKIE);
    for &code in order(profile, kind, facts.bound) {
        let value = value(profile, kind, code, facts);
        bytes.push(code);
        bytes.push(u8::try_from(value.len()).expect("options here are short"));
        bytes.extend(value);
    }
    bytes.push(END);
    bytes.resize(bytes.len().max(profile.least), PAD);
    bytes
}

fn order(profile: &Profile, kind: Kind, bound: bool) -> &'static [u8] {
    match kind {
        Kind::Discover => profile.discover,
        Kind::Request if bound => profile.renew,
        Kind::Request => profile.request,
        Kind::Inform => profile.inform,
        Kind::Release => profile.release,
        Kind::Offer | Kind::Ack | Kind::Nak => &[],
    }
}

fn value(profile: &Profile, kind: Kind, code: u8, facts: &Facts) -> Vec<u8> {
    match code {
        12 => HOST_NAME.into(),
        50 => facts.address.octets().to_vec(),
        53 => vec![kind.code()],
        54 => facts.server.octets().to_vec(),
        55 if kind == Kind::Inform => profile.inform_list.to_vec(),
        55 => profile.list.to_vec(),
        57 => LARGEST.to_be_bytes().to_vec(),
        60 => profile.vendor.into(),
        // Hardware type and address (RFC 2132 9.14).
        61 => [&[1][..], &facts.mac].concat(),
        // No flags, two unused result codes, the name in ASCII (RFC 4702 2).
        81 => [&[0, 0, 0][..], HOST_NAME.as_bytes(), b"."].concat(),
        // "I configure myself where no server answers" (RFC 2563).
        116 => vec![1],
        _ => Vec::new(),
    }
}

/// What is read of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: Kind,
    /// Transaction.
    pub xid: u32,
    /// The client's hardware address.
    pub client: Mac,
    /// The address given to the client (`yiaddr`).
    pub yours: Ipv4Addr,
    /// Server identifier.
    pub server: Option<Ipv4Addr>,
    /// Subnet mask.
    pub mask: Option<Ipv4Addr>,
    /// First router.
    pub router: Option<Ipv4Addr>,
}

impl Message {
    /// Reads a message of either side; none unless it is a whole one of a known type.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let options = bytes.get(HEADER + COOKIE.len()..)?;
        if bytes[HEADER..HEADER + COOKIE.len()] != COOKIE || bytes[1..3] != [1, 6] {
            return None;
        }
        let address = |code| {
            let value = find(options, code)?;
            Some(Ipv4Addr::from(<[u8; 4]>::try_from(value.get(..4)?).ok()?))
        };
        Some(Self {
            kind: Kind::from_code(*find(options, 53)?.first()?)?,
            xid: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            client: bytes[28..34].try_into().ok()?,
            yours: Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[16..20]).ok()?),
            server: address(54),
            mask: address(1),
            router: address(3),
        })
    }
}

/// Options with their values up to the end mark or to what is cut short.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            match *rest.first()? {
                END => return None,
                PAD => rest = &rest[1..],
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

fn find(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut all = options(bytes);
    all.find(|(code, _)| *code == wanted)
        .map(|(_, value)| value)
}

#[cfg(test)]
pub mod tests {
    use super::super::profiles::PROFILES;
    use super::*;

    const FACTS: Facts = Facts {
        mac: [2, 0, 0, 0, 0, 1],
        xid: 0x0102_0304,
        address: Ipv4Addr::new(192, 168, 1, 57),
        server: Ipv4Addr::new(192, 168, 1, 1),
        bound: false,
    };

    /// A server's answer, for the tests of the client.
    pub fn answer(kind: Kind, xid: u32, client: Mac, yours: Ipv4Addr) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&xid.to_be_bytes());
        bytes[16..20].copy_from_slice(&yours.octets());
        bytes[28..34].copy_from_slice(&client);
        bytes.extend(COOKIE);
        bytes.extend([53, 1, kind.code(), 54, 4]);
        bytes.extend(FACTS.server.octets());
        bytes.extend([1, 4, 255, 255, 255, 0, 3, 4]);
        bytes.extend(FACTS.server.octets());
        bytes.push(END);
        bytes
    }

    fn codes(bytes: &[u8]) -> Vec<u8> {
        options(&bytes[HEADER + 4..])
            .map(|(code, _)| code)
            .collect()
    }

    #[test]
    fn options_are_in_the_order_of_the_table_and_nothing_is_empty() {
        for profile in PROFILES {
            for kind in [Kind::Discover, Kind::Request, Kind::Inform, Kind::Release] {
                for bound in [false, true] {
                    let bytes = write(profile, kind, &Facts { bound, ..FACTS });
                    assert_eq!(
                        codes(&bytes),
                        order(profile, kind, bound),
                        "{}",
                        profile.name
                    );
                    assert!(bytes.len() >= 300);
                    let empty = options(&bytes[HEADER + 4..]).find(|(_, value)| value.is_empty());
                    assert_eq!(empty, None, "{}", profile.name);
                }
            }
        }
    }

    #[test]
    fn a_message_reads_back() {
        for profile in PROFILES {
            let read = Message::read(&write(profile, Kind::Request, &FACTS)).unwrap();
            assert_eq!(
                (read.kind, read.xid, read.client),
                (Kind::Request, FACTS.xid, FACTS.mac)
            );
            assert_eq!(read.server, Some(FACTS.server));
        }
        let read = Message::read(&answer(Kind::Ack, 7, FACTS.mac, FACTS.address)).unwrap();
        assert_eq!((read.kind, read.yours), (Kind::Ack, FACTS.address));
        assert_eq!(
            (read.router, read.mask.unwrap().to_bits()),
            (Some(FACTS.server), 0xffff_ff00)
        );
    }

    #[test]
    fn the_broadcast_flag_is_for_clients_without_an_address() {
        for profile in PROFILES {
            let flag = |bound| write(profile, Kind::Request, &Facts { bound, ..FACTS })[10] == 0x80;
            assert_eq!(flag(false), profile.broadcast, "{}", profile.name);
            assert!(!flag(true), "{}", profile.name);
        }
    }

    #[test]
    fn windows_is_recognised_by_its_bytes() {
        let bytes = write(&PROFILES[0], Kind::Discover, &FACTS);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("MSFT 5.0") && text.contains("lanfence"));
        assert_eq!(bytes.len(), 300);
        assert_eq!(
            find(&bytes[HEADER + 4..], 61),
            Some(&[1, 2, 0, 0, 0, 0, 1][..])
        );
    }

    #[test]
    fn what_is_cut_short_is_none_and_nothing_panics() {
        let whole = answer(Kind::Offer, 7, FACTS.mac, FACTS.address);
        for cut in 0..whole.len() {
            // From the type on it is whole enough to be read.
            let read = Message::read(&whole[..cut]);
            assert_eq!(read.is_some(), cut >= HEADER + 7, "cut at {cut}");
        }
        let mut hostile = whole;
        hostile[HEADER + 4..].fill(200);
        assert_eq!(Message::read(&hostile), None);
    }
}
