//! What a firmware fetches in a round, and how its files are named: that is the same for
//! whatever runs the rounds, and all that they are judged by.

use crate::frame::View;
use crate::layout::Lan;
use crate::layout::wan::WAN4;
use crate::probe::{Point, file_name};
use std::net::Ipv4Addr;

/// A server's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Peer,
    Gateway,
    Wan,
}

impl At {
    /// The server's address.
    pub fn address(self, lan: &Lan) -> Ipv4Addr {
        match self {
            Self::Peer => lan.peer.v4,
            Self::Gateway => lan.gateway.v4,
            Self::Wan => WAN4,
        }
    }
}

/// A file that is fetched in each round: its name, where from, and how.
pub type Fetch = (&'static str, At, &'static str);

/// What is fetched in a round: the probes, and then what bounds them. The
/// `router` is no probe: whoever has fetched from it has its link-layer address.
const PROBES: [Fetch; 5] = [
    ("lan", At::Peer, "tftp"),
    ("router", At::Gateway, "tftp"),
    ("wan", At::Wan, "tftp"),
    ("lan-web", At::Peer, "http"),
    ("wan-web", At::Wan, "http"),
];

/// Two rounds of bounds, each on both of the LAN's ports. The last one ends the round.
const BOUNDS: [Fetch; 4] = [
    ("gateway", At::Gateway, "tftp"),
    ("peer", At::Peer, "tftp"),
    ("gateway-again", At::Gateway, "tftp"),
    (END, At::Peer, "tftp"),
];

/// The file that ends a round.
pub const END: &str = "end";

/// All files of a round, in order.
pub fn fetches() -> impl Iterator<Item = Fetch> {
    PROBES.into_iter().chain(BOUNDS)
}

/// A run's number as the guest has it.
pub fn number(run: u32) -> String {
    format!("{run:02x}")
}

/// Name of a file.
pub fn file(run: u32, name: &str, round: u32) -> String {
    format!("{}-{name}-{round}", number(run))
}

/// How the names of the files begin that end a round.
pub fn ends(run: u32) -> String {
    format!("{}-{END}-", number(run))
}

/// Name of the file that ends a round.
pub fn end(run: u32, round: u32) -> String {
    file(run, END, round)
}

/// The files that bound a round, and where their requests arrive.
pub fn bounds(run: u32, round: u32) -> impl Iterator<Item = (String, Point)> {
    BOUNDS.into_iter().map(move |(name, at, _)| {
        let point = match at {
            At::Peer => Point::Peer,
            At::Gateway => Point::Gateway,
            At::Wan => Point::Wan,
        };
        (file(run, name, round), point)
    })
}

/// The file that a frame asks a TFTP server for.
pub fn asked(frame: &[u8]) -> Option<String> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    let asked = upper.udp_payload()?.strip_prefix(&[0, 1])?;
    let name = asked.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(file_name(name)).ok().map(str::to_owned)
}

/// The round whose last file the frame asks for.
pub fn ended_round(frame: &[u8], run: u32) -> Option<u32> {
    asked(frame)?.strip_prefix(&ends(run))?.parse().ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::frame::{Ip4, Link, ethertype};
    use rstest::rstest;

    /// A request for a file.
    pub fn request(name: &str) -> Vec<u8> {
        let link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ip = Ip4::new(Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 1));
        let payload = [&b"\0\x01"[..], name.as_bytes(), b"\0octet\0"].concat();
        link.frame(ethertype::IPV4, &ip.udp(2070, 69, &payload))
    }

    #[rstest]
    #[case::its_end("0a-end-12", Some(12))]
    #[case::as_a_path("/0a-end-12", Some(12))]
    #[case::another_file("0a-lan-12", None)]
    #[case::another_run("0b-end-12", None)]
    #[case::no_number("0a-end-x", None)]
    fn the_end_of_a_round_is_read_from_the_request(#[case] name: &str, #[case] round: Option<u32>) {
        assert_eq!(ended_round(&request(name), 10), round);
    }

    #[test]
    fn the_last_file_is_the_one_that_is_held_back() {
        let last = bounds(10, 12).last().map(|(name, _)| name);
        assert_eq!(last, Some(end(10, 12)));
        assert!(end(10, 12).starts_with(&ends(10)));
    }
}
