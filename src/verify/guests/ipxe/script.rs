//! What iPXE is told to do: endless rounds of a lease and fetches.

use crate::frame::View;
use crate::layout::Lan;
use crate::layout::wan::WAN4;
use crate::probe::Point;
use lanfence_agent::READY;
use std::net::Ipv4Addr;

/// The word of the READY line before a guest is saved.
pub const SAVED: &str = "saved";

/// How long iPXE waits for a file, in milliseconds; an answer takes 5 to 50 ms.
/// It is waited out only where the filter stops what must pass.
const PATIENCE_MS: u32 = 400;

/// The same for the WAN host, which a good filter makes it wait out. Here only the
/// request matters. It leaves at once, since the router is a neighbour by then; a
/// busy machine may take the CPU away from the guest before that, and its clock
/// goes on: in 175 cells with 8 to 12 workers and more on 2 cores every request left
/// in time (measured: docs/measurements.md#M39). iPXE does not sleep meanwhile, so others wait for
/// it too.
const WAN_PATIENCE_MS: u32 = 75;

/// The same for a round's end, whose answer is held back until the next round
/// may begin: time enough to suspend the guest on a busy machine, and to bind a
/// filter to one that cannot be suspended.
const END_PATIENCE_MS: u32 = 4000;

/// A server's place.
#[derive(Clone, Copy)]
enum At {
    Peer,
    Gateway,
    Wan,
}

/// What iPXE fetches in a round: the probes, and then what bounds them. The
/// `router` is no probe: whoever has fetched from it has its link-layer address.
const PROBES: [(&str, At, &str); 5] = [
    ("lan", At::Peer, "tftp"),
    ("router", At::Gateway, "tftp"),
    ("wan", At::Wan, "tftp"),
    ("lan-web", At::Peer, "http"),
    ("wan-web", At::Wan, "http"),
];

/// Two rounds of bounds, each on both of the LAN's ports. The last one ends the round.
const BOUNDS: [(&str, At, &str); 4] = [
    ("gateway", At::Gateway, "tftp"),
    ("peer", At::Peer, "tftp"),
    ("gateway-again", At::Gateway, "tftp"),
    (END, At::Peer, "tftp"),
];
const END: &str = "end";

/// DHCP alone. What `dhcp` does besides is to wait 16 s for a router's advertisement
/// (measured: docs/measurements.md#M39). Where it gets no lease iPXE closes the NIC and has no
/// address; it opens it again with the last one, at first the one that DHCP keeps for it, so that
/// the rest can be judged.
const LEASE: &str = "\
clear net0/ip ||
clear net0/netmask ||
clear net0/gateway ||
ifconf --configurator dhcp || goto kept
set ip ${net0/ip}
set netmask ${net0/netmask}
set gateway ${net0/gateway}
goto fetch
:kept
set net0/ip ${ip} ||
set net0/netmask ${netmask} ||
set net0/gateway ${gateway} ||
ifopen net0 ||
:fetch
";

/// The script of the guest that DHCP keeps the address for: endless rounds of a lease
/// and fetches, each file name with the run's and the round's number in it. A guest
/// that is to be saved is told the run's number later, on its console, and repeats it.
pub fn script(lan: &Lan, address: Ipv4Addr, run: Option<u32>) -> String {
    use std::fmt::Write as _;
    let run = run.map_or_else(
        || format!("echo {READY} {SAVED}\nread run\necho {READY} ${{run}}"),
        |run| format!("set run {}", number(run)),
    );
    let (netmask, gateway) = (lan.lan4.netmask(), lan.gateway.v4);
    let mut text = format!(
        "#!ipxe\nset n:int32 0\nset ip {address}\nset netmask {netmask}\nset gateway {gateway}\n{run}\n:round\ninc n\n{LEASE}"
    );
    for (name, at, scheme) in PROBES.iter().chain(&BOUNDS) {
        let server = match at {
            At::Peer => lan.peer.v4,
            At::Gateway => lan.gateway.v4,
            At::Wan => WAN4,
        };
        let patience = match (at, *name) {
            (_, END) => END_PATIENCE_MS,
            (At::Wan, _) => WAN_PATIENCE_MS,
            (At::Peer | At::Gateway, _) => PATIENCE_MS,
        };
        // A failure is no news to the script: the sensors tell.
        let _ = writeln!(
            text,
            "imgfetch --timeout {patience} --name {name} {scheme}://{server}/${{run}}-{name}-${{n}} ||\nimgfree {name} ||"
        );
    }
    text + "goto round\n"
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

/// The round whose last file the frame asks for.
pub fn ended_round(frame: &[u8], run: u32) -> Option<u32> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    let asked = upper.udp_payload()?.strip_prefix(&[0, 1])?;
    let name = asked.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?;
    name.strip_prefix(&ends(run))?.parse().ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::frame::{Ip4, Link, ethertype};
    use crate::policy::Policy;
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
    #[case::another_file("0a-lan-12", None)]
    #[case::another_run("0b-end-12", None)]
    #[case::no_number("0a-end-x", None)]
    fn the_end_of_a_round_is_read_from_the_request(#[case] name: &str, #[case] round: Option<u32>) {
        assert_eq!(ended_round(&request(name), 10), round);
    }

    #[test]
    fn a_guest_that_is_to_be_saved_is_told_the_run_and_nothing_else() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let script = |run| script(&lan, Ipv4Addr::new(192, 168, 1, 110), run);
        insta::assert_snapshot!(script(None));
        let (told, knows) = (script(None), script(Some(10)));
        let alike = |text: &str| text.split_once(":round").map(|(_, rest)| rest.to_owned());
        assert_eq!(alike(&told), alike(&knows));
        assert!(knows.contains("\nset run 0a\n:round\n"), "{knows}");
    }

    #[test]
    fn the_last_file_is_the_one_that_is_held_back() {
        let last = bounds(10, 12).last().map(|(name, _)| name);
        assert_eq!(last, Some(end(10, 12)));
        assert!(end(10, 12).starts_with(&ends(10)));
    }
}
