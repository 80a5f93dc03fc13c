//! Answers in the place of servers that a filter keeps from answering, where a guest is more
//! patient than a cell may be long. GRUB asks a web server for 15 s that does not answer and a
//! TFTP server for 30 s, and can be told no other. What a good filter stops would cost that much
//! in each round. So when the sensors have seen such a request leave the guest, a file is
//! refused, and a connection is accepted and ended, by frames that go into the tap itself,
//! behind the filter and through no port of the bridge. No probe looks for such an answer. EDK2
//! waits 6 s for an echo and repeats a SYN after seconds: it is answered when a server's time is
//! over, not only when it asks again. Of echoes only those to the WAN are answered, since one that
//! a host on the LAN answers is a probe.
//! GRUB 2.06 does not hear a connection refused: it goes on to ask, and may free memory twice.

use super::fetches::{END, asked};
use crate::frame::l4::{flag, tcp_answer};
use crate::frame::{Ip4, Ip6, Link, Upper, View, ethertype, protocol};
use crate::lab::{Direction, LabError, PacketSocket, Sensor, Slowness};
use crate::layout::wan::{WAN4, WAN6};
use crate::probe::TFTP_PORT;
use nix::poll::{PollFd, PollFlags, poll};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a tap at which nothing happens is left to look whether it is to end.
const LOOK_MS: u16 = 50;

/// How long a server on the LAN may take to answer, which is 50 ms or less.
const LAN: Duration = Duration::from_millis(1200);

/// How long a web server on the WAN may, whose kernel accepts a connection within a millisecond.
/// GRUB repeats itself after 400 ms, and is not waited for.
const WAN: Duration = Duration::from_millis(100);

/// An echo that comes so much later than one of the same number is another.
const ANOTHER: Duration = Duration::from_secs(3);

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
        // Not before all that a server has answered by then has been seen.
        for answer in talks.due(Instant::now(), slowness) {
            let _ = socket.send(&answer);
        }
    }
}

/// The ends of a request: the guest's port, the server and its port. Of an echo the
/// identifier and the number are in the ports' place.
type Ends = (u16, IpAddr, u16);

/// What has been asked.
#[derive(Debug, Default)]
struct Talks {
    /// When each request was seen first.
    since: HashMap<Ends, Instant>,
    /// Connections that a server has answered itself.
    served: HashSet<Ends>,
    /// Connections that have been accepted here.
    taken: HashSet<Ends>,
    /// Requests whose server still has time to answer, and until when.
    waiting: Vec<(Instant, Vec<u8>)>,
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
        if said.what == What::Echo {
            self.forget_old_echo(ends, now);
        }
        let first = *self.since.entry(ends).or_insert(now);
        let is_wan = ends.1 == IpAddr::V4(WAN4) || ends.1 == IpAddr::V6(WAN6);
        let longest = slowness.stretch(match (said.what, is_wan) {
            (What::File, true) => Duration::ZERO,
            (_, true) => WAN,
            (_, false) => LAN,
        });
        if self.served.contains(&ends) {
            return None;
        }
        if now - first < longest {
            if first == now {
                self.waiting.push((now + longest, frame.to_vec()));
            }
            return None;
        }
        match said.what {
            What::Echo if is_wan => said.echo(frame),
            What::File => said.reply(|ip, ports| ip.udp(ports.0, ports.1, TFTP_ERROR)),
            What::Opens(sequence) => {
                self.taken.insert(ends);
                said.segment(flag::SYN | flag::ACK, OURS, sequence.wrapping_add(1), b"")
            }
            What::Asks(next) if self.taken.contains(&ends) => {
                let first = OURS.wrapping_add(1);
                said.segment(flag::ACK | flag::FIN, first, next, PAGE)
            }
            // Else it would go on to say so.
            What::Ends(next) if self.taken.contains(&ends) => {
                let last = u32::try_from(PAGE.len()).expect("a short page") + 2;
                said.segment(flag::ACK, OURS.wrapping_add(last), next, b"")
            }
            What::Echo
            | What::Echoes
            | What::Asks(_)
            | What::Ends(_)
            | What::Accepts
            | What::Gives => None,
        }
    }

    /// The answers to requests whose server's time is over.
    fn due(&mut self, now: Instant, slowness: Slowness) -> Vec<Vec<u8>> {
        let waiting = std::mem::take(&mut self.waiting);
        let (over, waiting) = waiting.into_iter().partition(|(until, _)| *until <= now);
        self.waiting = waiting;
        let over: Vec<(Instant, Vec<u8>)> = over;
        let frames = over.iter().map(|(_, frame)| frame);
        frames
            .filter_map(|frame| self.answer(frame, false, now, slowness))
            .collect()
    }

    /// A stack may number the echoes of each round alike.
    fn forget_old_echo(&mut self, ends: Ends, now: Instant) {
        let old = |first: &Instant| now - *first > ANOTHER;
        if self.since.get(&ends).is_some_and(old) {
            self.since.remove(&ends);
            self.served.remove(&ends);
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
    /// What a TFTP server says.
    Gives,
    /// An echo request.
    Echo,
    /// The answer to one.
    Echoes,
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
    from: IpAddr,
    ends: Ends,
    what: What,
}

impl Said {
    /// None for what does not matter, and for the file that ends a round, whose answer is held
    /// back on purpose.
    fn read(frame: &[u8]) -> Option<Self> {
        let view = View::parse(frame).filter(|view| view.tags.is_empty())?;
        let upper = view.upper()?;
        let (from, to) = (upper.src, upper.dst);
        let said = |ends, what| Self {
            link: Link::new(view.dst, view.src),
            from,
            ends,
            what,
        };
        if let Some((what, identifier, number)) = echo(&upper) {
            let ports = match what {
                What::Echo => (identifier, to, number),
                _ => (number, to, identifier),
            };
            return Some(said(ports, what));
        }
        let (source, port) = upper.ports().filter(|_| from.is_ipv4())?;
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
        } else if source == TFTP_PORT {
            // One's own refusal is no server's, and may be lost.
            upper.udp_payload().filter(|said| *said != TFTP_ERROR)?;
            What::Gives
        } else {
            asked(frame).filter(|name| !name.contains(&format!("-{END}-")))?;
            What::File
        };
        Some(said((source, to, port), what))
    }

    /// The ends of the request that this answers.
    fn turned(&self) -> Ends {
        (self.ends.2, self.from, self.ends.0)
    }

    /// None but for IPv4, which alone has files and connections here.
    fn reply(&self, packet: impl FnOnce(Ip4, (u16, u16)) -> Vec<u8>) -> Option<Vec<u8>> {
        let (IpAddr::V4(server), IpAddr::V4(guest)) = (self.ends.1, self.from) else {
            return None;
        };
        let packet = packet(Ip4::new(server, guest), (self.ends.2, self.ends.0));
        Some(self.link.frame(ethertype::IPV4, &packet))
    }

    /// The answer to the echo in the frame.
    fn echo(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let upper = View::parse(frame)?.upper()?;
        let rest = upper.payload.get(4..)?;
        Some(match (self.ends.1, self.from) {
            (IpAddr::V4(server), IpAddr::V4(guest)) => {
                let (head, data) = rest.split_first_chunk::<4>()?;
                let packet = Ip4::new(server, guest).icmp(0, 0, *head, data);
                self.link.frame(ethertype::IPV4, &packet)
            }
            (IpAddr::V6(server), IpAddr::V6(guest)) => {
                let packet = Ip6::new(server, guest).icmp(129, 0, rest);
                self.link.frame(ethertype::IPV6, &packet)
            }
            _ => return None,
        })
    }

    fn segment(&self, flags: u8, sequence: u32, next: u32, data: &[u8]) -> Option<Vec<u8>> {
        self.reply(|ip, ports| {
            let segment = tcp_answer(ip.ends(), ports, flags, (sequence, next), data);
            ip.packet(protocol::TCP, &segment)
        })
    }
}

/// What an ICMP message says of an echo, with its identifier and number.
fn echo(upper: &Upper<'_>) -> Option<(What, u16, u16)> {
    let kind = *upper.payload.first().filter(|_| upper.has_header)?;
    let what = match (upper.protocol, kind) {
        (protocol::ICMP, 8) | (protocol::ICMPV6, 128) => What::Echo,
        (protocol::ICMP, 0) | (protocol::ICMPV6, 129) => What::Echoes,
        _ => return None,
    };
    let [a, b, c, d] = *upper.payload.get(4..8)?.first_chunk::<4>()?;
    Some((what, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests;
