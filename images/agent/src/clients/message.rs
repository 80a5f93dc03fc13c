//! DHCP messages as a profile writes them (RFC 2131, RFC 2132).

use super::profiles::Profile;
use lanfence_frame::datagram::Head;
use lanfence_frame::dhcp::{
    CLIENT_PORT, Header, MessageType, SERVER_PORT, Writer, message, option,
};
use lanfence_frame::{Link, Mac};
use std::net::Ipv4Addr;

/// The name that all clients give themselves.
const HOST_NAME: &str = "lanfence";

/// Largest message that a client takes in bytes, option 57 (udhcpc's value).
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

/// The frame with a client's message, its `nth` from 0 on, to this destination.
pub fn frame(
    profile: &Profile,
    kind: MessageType,
    facts: &Facts,
    (link, ips): (Link, (Ipv4Addr, Ipv4Addr)),
    nth: u16,
) -> Vec<u8> {
    let (first, step) = profile.ids;
    let head = Head {
        link,
        ips,
        ports: (CLIENT_PORT, SERVER_PORT),
        ttl: profile.ttl,
        tos: profile.tos,
        id: first.wrapping_add(step.wrapping_mul(nth)),
        whole: profile.whole,
        unsummed: profile.unsummed,
    };
    head.frame(&write(profile, kind, facts))
}

/// A client's message, padded as the profile wants it.
pub fn write(profile: &Profile, kind: MessageType, facts: &Facts) -> Vec<u8> {
    let mut out = Writer::new(&Header {
        is_reply: false,
        xid: facts.xid,
        broadcast: profile.broadcast && !facts.bound,
        from: if facts.bound {
            facts.address
        } else {
            Ipv4Addr::UNSPECIFIED
        },
        yours: Ipv4Addr::UNSPECIFIED,
        client: facts.mac,
    });
    out.boot_file(profile.boot_file);
    for &code in order(profile, kind, facts.bound) {
        out.option(code, &value(profile, kind, code, facts));
    }
    out.finish(profile.least)
}

fn order(profile: &Profile, kind: MessageType, bound: bool) -> &'static [u8] {
    match kind {
        message::DISCOVER => profile.discover,
        message::REQUEST if bound => profile.renew,
        message::REQUEST => profile.request,
        message::INFORM => profile.inform,
        message::RELEASE => profile.release,
        _ => &[],
    }
}

fn value(profile: &Profile, kind: MessageType, code: u8, facts: &Facts) -> Vec<u8> {
    let requests = profile.own_request.iter();
    let mut own = requests
        .filter(|_| kind == message::REQUEST)
        .chain(profile.own);
    if let Some((_, own)) = own.find(|(own, _)| *own == code) {
        return own.to_vec();
    }
    match code {
        option::HOST_NAME => HOST_NAME.into(),
        option::REQUESTED_ADDRESS => facts.address.octets().to_vec(),
        option::MESSAGE_TYPE => vec![kind.0],
        option::SERVER => facts.server.octets().to_vec(),
        option::PARAMETER_LIST if kind == message::INFORM => profile.inform_list.to_vec(),
        option::PARAMETER_LIST => profile.list.to_vec(),
        option::MAX_MESSAGE => LARGEST.to_be_bytes().to_vec(),
        option::VENDOR_CLASS => profile.vendor.into(),
        // Hardware type and address (RFC 2132 9.14).
        option::CLIENT_ID => [&[1][..], &facts.mac].concat(),
        // No flags, two unused result codes, the name in ASCII (RFC 4702 2).
        option::CLIENT_FQDN => [&[0, 0, 0][..], HOST_NAME.as_bytes(), b"."].concat(),
        // "I configure myself where no server answers" (RFC 2563).
        option::AUTO_CONFIGURE => vec![1],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::profiles::PROFILES;
    use super::*;
    use lanfence_frame::dhcp::{Message, options};

    const FACTS: Facts = Facts {
        mac: [2, 0, 0, 0, 0, 1],
        xid: 0x0102_0304,
        address: Ipv4Addr::new(192, 168, 1, 57),
        server: Ipv4Addr::new(192, 168, 1, 1),
        bound: false,
    };

    #[test]
    fn options_are_in_the_order_of_the_table_and_nothing_is_empty() {
        for profile in PROFILES {
            for kind in [
                message::DISCOVER,
                message::REQUEST,
                message::INFORM,
                message::RELEASE,
            ] {
                for bound in [false, true] {
                    let bytes = write(profile, kind, &Facts { bound, ..FACTS });
                    let codes: Vec<u8> = options(&bytes).map(|(code, _)| code).collect();
                    assert_eq!(codes, order(profile, kind, bound), "{}", profile.name);
                    assert!(bytes.len() >= profile.least, "{}", profile.name);
                    let empty = options(&bytes).find(|(_, value)| value.is_empty());
                    assert_eq!(empty, None, "{}", profile.name);
                }
            }
        }
    }

    #[test]
    fn a_message_reads_back() {
        for profile in PROFILES {
            let read = Message::parse(&write(profile, message::REQUEST, &FACTS)).unwrap();
            assert_eq!(
                (read.kind, read.xid, read.client),
                (Some(message::REQUEST), FACTS.xid, FACTS.mac)
            );
            assert_eq!(read.server, Some(FACTS.server));
        }
    }

    #[test]
    fn the_broadcast_flag_is_for_clients_without_an_address() {
        for profile in PROFILES {
            let flag =
                |bound| write(profile, message::REQUEST, &Facts { bound, ..FACTS })[10] == 0x80;
            assert_eq!(flag(false), profile.broadcast, "{}", profile.name);
            assert!(!flag(true), "{}", profile.name);
        }
    }

    #[test]
    fn windows_is_recognised_by_its_bytes() {
        let bytes = write(&PROFILES[0], message::DISCOVER, &FACTS);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("MSFT 5.0") && text.contains("lanfence"));
        assert_eq!(bytes.len(), 300);
        let id = options(&bytes).find(|(code, _)| *code == option::CLIENT_ID);
        assert_eq!(id, Some((61, &[1, 2, 0, 0, 0, 0, 1][..])));
    }
}
