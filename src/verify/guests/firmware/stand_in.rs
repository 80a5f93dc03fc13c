//! Answers in the place of servers that a filter keeps from answering, where a guest is more
//! patient than a cell may be long. GRUB asks a web server for 15 s that does not answer and a
//! TFTP server for 30 s, and can be told no other. What a good filter stops would cost that much
//! in each round. So when the sensors have seen such a request leave the guest, a file is
//! refused, and a connection is accepted and ended, by frames that go into the tap itself,
//! behind the filter and through no port of the bridge. No probe looks for such an answer.
//! GRUB 2.06 does not hear a connection refused: it goes on to ask, and may free memory twice.

use super::fetches::{END, asked};
use crate::frame::l4::{flag, tcp_answer};
use crate::frame::{Ip4, Link, View, ethertype, protocol};
use crate::lab::{Direction, LabError, PacketSocket, Sensor, Slowness};
use crate::layout::wan::WAN4;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a tap at which nothing happens is left to look whether it is to end.
const LOOK_MS: u16 = 50;

/// How long a server on the LAN may take to answer, which is 50 ms or less.
const LAN: Duration = Duration::from_millis(1200);

/// How long a web server on the WAN may. GRUB repeats itself after 400 ms.
const WAN: Duration = Duration::from_millis(300);

/// An ERROR of code 1 with a text (RFC 1350 section 5): asking again is of no use.
const TFTP_ERROR: &[u8] = b"\0\x05\0\x01nobody answers\0";

/// The answer of a web server.
const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 14\r\n\r\nnobody answers";

/// Answers until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Begins to listen at the tap. What its sensor has seen before counts too: a guest may be
    /// quick.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn start(tap: &str, sensor: &Sensor, slowness: Slowness) -> Result<Self, LabError> {
        let socket = PacketSocket::open(tap)?;
        let mut talks = Talks::default();
        for seen in sensor.since(0) {
            let outgoing = seen.direction == Direction::Out;
            if let Some(answer) = talks.answer(&seen.frame, outgoing, Instant::now(), slowness) {
                let _ = socket.send(&answer);
            }
        }
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = std::thread::spawn(move || listen(&socket, talks, slowness, &told));
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ends when told to or with the tap. A guest that gets no answer here waits longer: it is no
/// worse off than without.
fn listen(socket: &PacketSocket, mut talks: Talks, slowness: Slowness, end: &AtomicBool) {
    while !end.load(Ordering::Acquire) {
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // A timeout is a look at `end`, and so is an error.
        let _ = poll(&mut polled, LOOK_MS);
        loop {
            let seen = match socket.receive() {
                Ok(Some(seen)) => seen,
                Ok(None) => break,
                Err(_) => return,
            };
            let answer = talks.answer(&seen.frame, seen.outgoing, Instant::now(), slowness);
            if let Some(answer) = answer {
                let _ = socket.send(&answer);
            }
        }
    }
}

/// The ends of a request: the guest's port, the server and its port.
type Ends = (u16, Ipv4Addr, u16);

/// What has been asked.
#[derive(Debug, Default)]
struct Talks {
    /// When each request was seen first.
    since: HashMap<Ends, Instant>,
    /// Connections that a server has answered itself.
    served: HashSet<Ends>,
    /// Connections that have been accepted here.
    taken: HashSet<Ends>,
}

impl Talks {
    /// What is to be answered to a frame of the guest. A frame to the guest shows that its server
    /// answers.
    fn answer(
        &mut self,
        frame: &[u8],
        outgoing: bool,
        now: Instant,
        slowness: Slowness,
    ) -> Option<Vec<u8>> {
        let said = Said::read(frame)?;
        if outgoing {
            // One's own answers come by here too.
            if !self.taken.contains(&said.turned()) {
                self.served.insert(said.turned());
            }
            return None;
        }
        let ends = said.ends;
        let first = *self.since.entry(ends).or_insert(now);
        let longest = match (said.what, ends.1 == WAN4) {
            (What::File, true) => Duration::ZERO,
            (_, true) => WAN,
            (_, false) => LAN,
        };
        if self.served.contains(&ends) || now - first < slowness.stretch(longest) {
            return None;
        }
        match said.what {
            What::File => Some(said.reply(|ip, ports| ip.udp(ports.0, ports.1, TFTP_ERROR))),
            What::Opens(sequence) => {
                self.taken.insert(ends);
                Some(said.segment(flag::SYN | flag::ACK, OURS, sequence.wrapping_add(1), b""))
            }
            What::Asks(next) if self.taken.contains(&ends) => {
                let first = OURS.wrapping_add(1);
                Some(said.segment(flag::ACK | flag::FIN, first, next, PAGE))
            }
            // Else it would go on to say so.
            What::Ends(next) if self.taken.contains(&ends) => {
                let last = u32::try_from(PAGE.len()).expect("a short page") + 2;
                Some(said.segment(flag::ACK, OURS.wrapping_add(last), next, b""))
            }
            What::Asks(_) | What::Ends(_) | What::Accepts => None,
        }
    }
}

/// The number of the first segment of an answer.
const OURS: u32 = 0x6c61_6e66;

/// What a frame says that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A TFTP request.
    File,
    /// A segment that opens a connection, with this number.
    Opens(u32),
    /// A segment that accepts one.
    Accepts,
    /// Data, and the number that is expected next.
    Asks(u32),
    /// The end of what the guest has to say, and the same.
    Ends(u32),
}

/// A frame that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    link: Link,
    from: Ipv4Addr,
    ends: Ends,
    what: What,
}

impl Said {
    /// None for what does not matter, and for the file that ends a round, whose answer is held
    /// back on purpose.
    fn read(frame: &[u8]) -> Option<Self> {
        let view = View::parse(frame).filter(|view| view.tags.is_empty())?;
        let upper = view.upper()?;
        let (IpAddr::V4(from), IpAddr::V4(to)) = (upper.src, upper.dst) else {
            return None;
        };
        let (source, port) = upper.ports()?;
        let what = if let Some(flags) = upper.tcp_flags() {
            let number = u32::from_be_bytes(upper.payload.get(4..8)?.try_into().ok()?);
            let header = usize::from(upper.payload.get(12)? >> 4) * 4;
            let data = u32::try_from(upper.payload.get(header..)?.len()).ok()?;
            let next = number.wrapping_add(data);
            match flags & (flag::SYN | flag::ACK | flag::FIN) {
                flag::SYN => What::Opens(number),
                at if at == flag::SYN | flag::ACK => What::Accepts,
                at if at & flag::FIN != 0 => What::Ends(next.wrapping_add(1)),
                _ if data > 0 => What::Asks(next),
                _ => return None,
            }
        } else {
            asked(frame).filter(|name| !name.contains(&format!("-{END}-")))?;
            What::File
        };
        Some(Self {
            link: Link::new(view.dst, view.src),
            from,
            ends: (source, to, port),
            what,
        })
    }

    /// The ends of the request that this answers.
    fn turned(&self) -> Ends {
        (self.ends.2, self.from, self.ends.0)
    }

    fn reply(&self, packet: impl FnOnce(Ip4, (u16, u16)) -> Vec<u8>) -> Vec<u8> {
        let ip = Ip4::new(self.ends.1, self.from);
        let packet = packet(ip, (self.ends.2, self.ends.0));
        self.link.frame(ethertype::IPV4, &packet)
    }

    fn segment(&self, flags: u8, sequence: u32, next: u32, data: &[u8]) -> Vec<u8> {
        self.reply(|ip, ports| {
            let segment = tcp_answer(ip.ends(), ports, flags, (sequence, next), data);
            ip.packet(protocol::TCP, &segment)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fetches::tests::request;
    use super::*;
    use crate::frame::{Mac, summary};
    use rstest::rstest;

    const GUEST: Mac = [2, 0, 0, 0, 0, 1];
    const ROUTER: Mac = [2, 0, 0, 0, 0, 2];
    const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

    fn tcp(to: Ipv4Addr, flags: u8, data: &[u8]) -> Vec<u8> {
        let packet = Ip4::new(HERE, to).tcp(21550, 80, flags, data);
        Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &packet)
    }

    fn syn_ack(from: Ipv4Addr) -> Vec<u8> {
        let packet = Ip4::new(from, HERE).tcp(80, 21550, flag::SYN | flag::ACK, b"");
        Link::new(ROUTER, GUEST).frame(ethertype::IPV4, &packet)
    }

    fn wan_file() -> Vec<u8> {
        let payload = b"\0\x01/0a-wan-1\0octet\0tsize\x000\0";
        let packet = Ip4::new(HERE, WAN4).udp(25300, 69, payload);
        Link::new(GUEST, ROUTER).frame(ethertype::IPV4, &packet)
    }

    /// Whether the last of these frames, which the guest sends so long after the first, is
    /// answered.
    #[rstest]
    #[case::a_file_on_the_wan(wan_file(), 0, true)]
    #[case::a_file_on_the_lan_at_first(request("0a-lan-1"), 400, false)]
    #[case::a_file_on_the_lan_at_last(request("0a-lan-1"), 1300, true)]
    #[case::the_end_of_a_round(request("0a-end-1"), 9000, false)]
    #[case::a_connection_to_the_wan_at_first(tcp(WAN4, flag::SYN, b""), 0, false)]
    #[case::a_connection_to_the_wan_repeated(tcp(WAN4, flag::SYN, b""), 400, true)]
    #[case::a_connection_to_the_lan_repeated(tcp(PEER, flag::SYN, b""), 400, false)]
    #[case::a_connection_to_the_lan_at_last(tcp(PEER, flag::SYN, b""), 1300, true)]
    #[case::data_of_somebody_elses(tcp(WAN4, flag::ACK, b"GET"), 9000, false)]
    #[case::nothing(Vec::new(), 9000, false)]
    fn who_is_answered_and_when(#[case] frame: Vec<u8>, #[case] ms: u64, #[case] answered: bool) {
        let (mut talks, begin) = (Talks::default(), Instant::now());
        if ms > 0 {
            let at_once = talks.answer(&frame, false, begin, Slowness::NONE);
            assert_eq!(at_once, None);
        }
        let now = begin + Duration::from_millis(ms);
        let answer = talks.answer(&frame, false, now, Slowness::NONE);
        assert_eq!(answer.is_some(), answered, "{answer:?}");
        if let Some(answer) = answer {
            let text = summary(&answer);
            assert!(!text.contains("bad"), "{text}");
            let (view, asked) = (View::parse(&answer), View::parse(&frame));
            assert_eq!(view.expect("a frame").dst, asked.expect("a frame").src);
        }
    }

    #[test]
    fn a_connection_that_was_accepted_here_is_ended() {
        let (mut talks, begin) = (Talks::default(), Instant::now());
        let later = begin + Duration::from_millis(400);
        let syn = tcp(WAN4, flag::SYN, b"");
        assert_eq!(talks.answer(&syn, false, begin, Slowness::NONE), None);
        let accepted = talks
            .answer(&syn, false, later, Slowness::NONE)
            .expect("accepted");
        // It comes by on its way to the guest.
        assert_eq!(talks.answer(&accepted, true, later, Slowness::NONE), None);
        let page = talks.answer(
            &tcp(WAN4, flag::ACK, b"GET /"),
            false,
            later,
            Slowness::NONE,
        );
        let page = page.expect("a page");
        let upper = View::parse(&page)
            .and_then(|view| view.upper())
            .expect("a segment");
        assert_eq!(upper.tcp_flags(), Some(flag::ACK | flag::FIN));
        assert!(upper.payload.ends_with(b"nobody answers"));
        let fin = tcp(WAN4, flag::ACK | flag::FIN, b"");
        let end = talks.answer(&fin, false, later, Slowness::NONE);
        let upper = View::parse(end.as_deref().expect("an end")).and_then(|view| view.upper());
        let numbers = &upper.expect("a segment").payload[4..12];
        // Behind the page and its end, and behind the guest's end.
        let ours = OURS + u32::try_from(PAGE.len()).expect("short") + 2;
        let theirs = 0x6c61_6e66_u32 + 1;
        assert_eq!(numbers, [ours.to_be_bytes(), theirs.to_be_bytes()].concat());
    }

    #[test]
    fn who_is_answered_by_the_server_is_left_alone() {
        let (mut talks, begin) = (Talks::default(), Instant::now());
        let syn = tcp(WAN4, flag::SYN, b"");
        assert_eq!(talks.answer(&syn, false, begin, Slowness::NONE), None);
        assert_eq!(
            talks.answer(&syn_ack(WAN4), true, begin, Slowness::NONE),
            None
        );
        let later = begin + Duration::from_secs(9);
        assert_eq!(talks.answer(&syn, false, later, Slowness::NONE), None);
    }

    proptest::proptest! {
        #[test]
        fn no_frame_makes_it_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            outgoing in proptest::prelude::any::<bool>(),
        ) {
            let _ = Talks::default().answer(&bytes, outgoing, Instant::now(), Slowness::NONE);
        }
    }
}
