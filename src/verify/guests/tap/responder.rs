//! Answers for a guest that is not there: what any host says without being asked twice.

use crate::frame::dhcp::{CLIENT_PORT, Message};
use crate::frame::l4::{flag, tcp_accept};
use crate::frame::{Arp, Body, Ip4, Ip6, Link, Upper, View, arp, ethertype, nd, protocol};
use crate::lab::{LARGEST_FRAME, LabError, Tap};
use crate::layout::Host;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The one port that the lab answers on in the guest's place.
pub const PORT: u16 = 22;

/// Empties the tap and answers what comes out of it, until it is dropped.
#[derive(Debug)]
pub struct Responder {
    /// DHCP messages for the guest.
    pub leases: mpsc::UnboundedReceiver<Message>,
    guest: Arc<Mutex<Host>>,
    task: JoinHandle<()>,
}

impl Responder {
    /// Starts answering with these addresses.
    ///
    /// # Errors
    /// When the runtime cannot watch the tap.
    pub fn start(tap: &Arc<Tap>, guest: Host) -> Result<Self, LabError> {
        let name = tap.name();
        // SAFETY: the tap owns its descriptor and always names the same one; it is
        // closed only with its last owner, of which the AsyncFd is one.
        let fd = unsafe { AsyncFd::register(Arc::clone(tap)) }
            .map_err(std::io::Error::from)
            .map_err(|source| LabError::system(format!("watch the tap {name}"), source))?;
        let (sender, leases) = mpsc::unbounded_channel();
        let guest = Arc::new(Mutex::new(guest));
        let task = tokio::spawn(respond(fd, Arc::clone(&guest), sender));
        Ok(Self {
            leases,
            guest,
            task,
        })
    }

    /// Answers with other addresses from now on.
    pub fn rename(&self, guest: Host) {
        *lock(&self.guest) = guest;
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(guest: &Mutex<Host>) -> MutexGuard<'_, Host> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends with the tap only.
async fn respond(
    fd: AsyncFd<Arc<Tap>>,
    guest: Arc<Mutex<Host>>,
    leases: mpsc::UnboundedSender<Message>,
) {
    let mut buffer = vec![0; LARGEST_FRAME];
    loop {
        let Ok(mut ready) = fd.readable().await else {
            return;
        };
        match fd.get_ref().read(&mut buffer) {
            Ok(Some(length)) => {
                let frame = &buffer[..length];
                let answer = answer(&lock(&guest), frame);
                if let Some(answer) = answer {
                    // Whether it gets anywhere is for the sensors to say.
                    let _ = fd.get_ref().write(&answer);
                }
                if let Some(message) = lease(frame) {
                    let _ = leases.send(message);
                }
            }
            Ok(None) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}

/// What the guest's stack would say to a frame at once.
fn answer(guest: &Host, frame: &[u8]) -> Option<Vec<u8>> {
    let view = View::parse(frame).filter(|view| view.tags.is_empty())?;
    if let Body::Arp(asked) = view.body {
        return is_at(guest, asked);
    }
    let upper = view.upper()?;
    match (upper.src, upper.dst) {
        (IpAddr::V6(from), IpAddr::V6(_)) => neighbour(guest, &view, &upper, from),
        (IpAddr::V4(from), IpAddr::V4(to)) if to == guest.v4 => {
            let (source, port) = upper.ports().filter(|(_, port)| *port == PORT)?;
            let opens = upper.tcp_flags()? & (flag::SYN | flag::ACK) == flag::SYN;
            let sequence = upper.payload.get(4..8).filter(|_| opens)?;
            let sequence = u32::from_be_bytes(sequence.try_into().ok()?);
            let ip = Ip4::new(guest.v4, from);
            let segment = tcp_accept(ip.ends(), port, source, sequence);
            let packet = ip.packet(protocol::TCP, &segment);
            Some(Link::new(guest.mac, view.src).frame(ethertype::IPV4, &packet))
        }
        _ => None,
    }
}

/// The ARP reply for the guest's address.
fn is_at(guest: &Host, asked: Arp) -> Option<Vec<u8>> {
    let ours = asked.operation == arp::op::REQUEST && asked.target.1 == guest.v4;
    ours.then(|| arp::reply((guest.mac, guest.v4), asked.sender, &[]))
}

/// The neighbour advertisement for one of the guest's addresses.
fn neighbour(guest: &Host, view: &View<'_>, upper: &Upper<'_>, from: Ipv6Addr) -> Option<Vec<u8>> {
    let asks = upper.protocol == protocol::ICMPV6
        && upper.payload.first() == Some(&nd::kind::NEIGHBOUR_SOLICIT);
    let target: [u8; 16] = upper.payload.get(8..24)?.try_into().ok()?;
    let target = Ipv6Addr::from(target);
    if !asks || from.is_unspecified() || ![guest.link_local, guest.v6].contains(&target) {
        return None;
    }
    let body = nd::answer(target, guest.mac);
    let packet = Ip6::new(target, from)
        .hops(255)
        .icmp(nd::kind::NEIGHBOUR_ADVERT, 0, &body);
    Some(Link::new(guest.mac, view.src).frame(ethertype::IPV6, &packet))
}

/// A DHCP message in a frame.
fn lease(frame: &[u8]) -> Option<Message> {
    let upper = View::parse(frame)?.upper()?;
    let (_, port) = upper.ports()?;
    Message::parse(upper.udp_payload().filter(|_| port == CLIENT_PORT)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::summary;
    use crate::layout::Layout;
    use crate::policy::Policy;
    use rstest::rstest;

    fn layout() -> Layout {
        Layout::of(&Policy::example()).expect("the example has a LAN")
    }

    fn tcp(layout: &Layout, port: u16, flags: u8) -> Vec<u8> {
        let packet = Ip4::new(layout.peer.v4, layout.guest.v4).tcp(40_000, port, flags, b"");
        Link::new(layout.peer.mac, layout.guest.mac).frame(ethertype::IPV4, &packet)
    }

    fn solicit(layout: &Layout, from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(target.octets());
        let packet = Ip6::new(from, target)
            .hops(255)
            .icmp(nd::kind::NEIGHBOUR_SOLICIT, 0, &body);
        Link::new(layout.peer.mac, layout.guest.mac).frame(ethertype::IPV6, &packet)
    }

    fn asking(layout: &Layout, what: &str) -> Vec<u8> {
        let (guest, peer) = (&layout.guest, &layout.peer);
        match what {
            "arp" => arp::request((peer.mac, peer.v4), guest.v4, b""),
            "arp for another" => arp::request((peer.mac, peer.v4), layout.gateway.v4, b""),
            "syn" => tcp(layout, PORT, flag::SYN),
            "syn elsewhere" => tcp(layout, 23, flag::SYN),
            "syn-ack" => tcp(layout, PORT, flag::SYN | flag::ACK),
            "nd" => solicit(layout, peer.link_local, guest.link_local),
            "nd for another" => solicit(layout, peer.link_local, peer.v6),
            "nd of nobody" => solicit(layout, Ipv6Addr::UNSPECIFIED, guest.link_local),
            other => panic!("{other}"),
        }
    }

    #[rstest]
    #[case::arp("arp", Some("ARP"))]
    #[case::arp_for_another("arp for another", None)]
    #[case::syn("syn", Some("SYN"))]
    #[case::syn_elsewhere("syn elsewhere", None)]
    #[case::syn_ack("syn-ack", None)]
    #[case::nd("nd", Some("136"))]
    #[case::nd_for_another("nd for another", None)]
    #[case::duplicate_detection("nd of nobody", None)]
    fn answers(#[case] what: &str, #[case] said: Option<&str>) {
        let layout = layout();
        let answer = answer(&layout.guest, &asking(&layout, what));
        assert_eq!(answer.is_some(), said.is_some());
        if let Some(answer) = answer {
            let view = View::parse(&answer).expect("a frame");
            assert_eq!((view.src, view.dst), (layout.guest.mac, layout.peer.mac));
            let text = summary(&answer);
            assert!(!text.contains("bad"), "{text}");
        }
    }

    #[test]
    fn a_connection_is_accepted_with_the_next_number() {
        let layout = layout();
        let answer = answer(&layout.guest, &tcp(&layout, PORT, flag::SYN)).expect("an answer");
        let upper = View::parse(&answer).and_then(|view| view.upper());
        let upper = upper.expect("a segment");
        assert_eq!(upper.payload[8..12], 0x6c61_6e67_u32.to_be_bytes());
    }

    proptest::proptest! {
        #[test]
        fn no_frame_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = answer(&layout().guest, &bytes);
            let _ = lease(&bytes);
        }
    }
}
