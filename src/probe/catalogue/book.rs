//! How the catalogue is written: a [`Book`] collects the probes, a [`Row`] holds what the
//! probes of one call share, a [`Draft`] is what the frames of one probe are built from.

use crate::frame::{Ip4, Ip6, Link, Mac, TAG_LEN, Tag, ethertype};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::{Expect, Group, Origin, Point, Probe, Sighting, Stimulus};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First source port of the first pass, and how many ports a pass has.
const FIRST_PORT: u16 = 20_000;
const PORTS_PER_PASS: u16 = 9_000;

/// Source port of the probe with this tag, 20000 to 64999. Each pass has a range of its
/// own: a port that returned would meet connection tracking or `TIME_WAIT` (RFC 9293
/// section 3.3.2) of the pass before. The run's number shifts the ports within the range,
/// since the hosts of a lab serve many cells.
pub fn source_port(tag: Tag) -> u16 {
    let range = u16::from(tag.pass.saturating_sub(1));
    let turned =
        (tag.run % u32::from(PORTS_PER_PASS) + u32::from(tag.index)) % u32::from(PORTS_PER_PASS);
    let turned = u16::try_from(turned).expect("less than the ports of a pass");
    FIRST_PORT + range * PORTS_PER_PASS + turned
}

/// The probes so far and what they are made from.
pub struct Book<'a> {
    /// The policy that expectations come from.
    pub policy: &'a Policy,
    /// The hosts.
    pub layout: &'a Layout,
    tag_of: &'a dyn Fn(u16) -> Tag,
    probes: Vec<Probe>,
}

impl<'a> Book<'a> {
    /// An empty book.
    pub fn new(policy: &'a Policy, layout: &'a Layout, tag_of: &'a dyn Fn(u16) -> Tag) -> Self {
        Self {
            policy,
            layout,
            tag_of,
            probes: Vec::new(),
        }
    }

    /// Begins a row of probes that the guest sends. They share what the
    /// policy expects and where they are received.
    pub fn row(
        &mut self,
        group: Group,
        expect: impl Into<Expect>,
        received_at: Point,
    ) -> Row<'_, 'a> {
        Row {
            group,
            expect: expect.into(),
            received_at,
            origin: Origin::Guest,
            known_gap: None,
            any_guest: false,
            book: self,
        }
    }

    /// All probes.
    pub fn finish(self) -> Vec<Probe> {
        self.probes
    }

    fn draft(&self) -> Draft<'a> {
        let index = u16::try_from(self.probes.len()).expect("a catalogue has under 10000 probes");
        Draft::new(self.layout, (self.tag_of)(index))
    }
}

/// Fields that the probes of a call share.
pub struct Row<'b, 'a> {
    book: &'b mut Book<'a>,
    group: Group,
    expect: Expect,
    received_at: Point,
    origin: Origin,
    known_gap: Option<&'static str>,
    any_guest: bool,
}

impl<'a> Row<'_, 'a> {
    /// The same row received at another point.
    pub fn at(&mut self, received_at: Point) -> Row<'_, 'a> {
        Row {
            received_at,
            ..self.again()
        }
    }

    /// The same row with another expectation.
    pub fn expect(&mut self, expect: impl Into<Expect>) -> Row<'_, 'a> {
        Row {
            expect: expect.into(),
            ..self.again()
        }
    }

    /// The same row sent from elsewhere.
    pub fn from(&mut self, origin: Origin) -> Row<'_, 'a> {
        Row {
            origin,
            ..self.again()
        }
    }

    /// The same row as a known gap: the policy wants the frames dropped, and nwfilter
    /// cannot do it. `remedy` says why and what can.
    pub fn known_gap(&mut self, remedy: &'static str) -> Row<'_, 'a> {
        Row {
            expect: Expect::Drop,
            known_gap: Some(remedy),
            ..self.again()
        }
    }

    /// The same row as frames that must pass and are from another address of the LAN than
    /// the guest's.
    pub fn any_guest(&mut self) -> Row<'_, 'a> {
        Row {
            expect: Expect::Pass,
            any_guest: true,
            ..self.again()
        }
    }

    /// The policy that the book is for.
    pub fn policy(&self) -> &'a Policy {
        self.book.policy
    }

    fn again(&mut self) -> Row<'_, 'a> {
        Row {
            group: self.group,
            expect: self.expect,
            received_at: self.received_at,
            origin: self.origin,
            known_gap: self.known_gap,
            any_guest: self.any_guest,
            book: self.book,
        }
    }

    /// One raw frame.
    pub fn raw(&mut self, name: &str, summary: &str, build: impl FnOnce(&Draft) -> Vec<u8>) {
        self.raws(name, summary, |draft| vec![build(draft)]);
    }

    /// Several raw frames in order.
    pub fn raws(&mut self, name: &str, summary: &str, build: impl FnOnce(&Draft) -> Vec<Vec<u8>>) {
        let draft = self.book.draft();
        self.tagged(name, summary, Stimulus::Frames(build(&draft)));
    }

    /// A datagram through the sender's stack, with a payload that holds the tag.
    pub fn udp(
        &mut self,
        name: &str,
        summary: &str,
        to: (impl Into<IpAddr>, u16),
        payload: impl FnOnce(&Draft) -> Vec<u8>,
    ) {
        let draft = self.book.draft();
        let stimulus = Stimulus::Udp {
            source_port: draft.port,
            to: SocketAddr::new(to.0.into(), to.1),
            payload: payload(&draft),
        };
        self.tagged(name, summary, stimulus);
    }

    /// An echo request through the sender's stack.
    pub fn ping(&mut self, name: &str, summary: &str, to: impl Into<IpAddr>) {
        let payload = self.book.draft().bytes().to_vec();
        let to = to.into();
        self.tagged(name, summary, Stimulus::Ping { to, payload });
    }

    /// A connection through the sender's stack, recognised by its SYN.
    pub fn tcp(&mut self, name: &str, summary: &str, to: (impl Into<IpAddr>, u16)) {
        let draft = self.book.draft();
        let to = SocketAddr::new(to.0.into(), to.1);
        let stimulus = Stimulus::Tcp {
            source_port: draft.port,
            to,
            payload: draft.bytes().to_vec(),
        };
        let seen = Sighting::TcpSyn {
            to: to.ip(),
            port: to.port(),
            source_port: Some(draft.port),
        };
        self.push(name, summary, stimulus, seen);
    }

    /// A question for a name that only this probe asks for. Recognised by the
    /// name, which a resolver that forwards the question keeps.
    pub fn dns(&mut self, name: &str, summary: &str, to: impl Into<IpAddr>) {
        let draft = self.book.draft();
        let question = draft.dns_name();
        let stimulus = Stimulus::Udp {
            source_port: draft.port,
            to: SocketAddr::new(to.into(), crate::frame::names::DNS_PORT),
            payload: crate::frame::names::question(draft.tag.index, true, &question, None),
        };
        self.push(name, summary, stimulus, Sighting::Dns { name: question });
    }

    /// Any stimulus whose frames hold the tag.
    fn tagged(&mut self, name: &str, summary: &str, stimulus: Stimulus) {
        let seen = Sighting::Tag(self.book.draft().tag);
        self.push(name, summary, stimulus, seen);
    }

    /// Any stimulus whose frame is recognised by the same sighting when it is sent and
    /// when it is received.
    pub fn push(&mut self, name: &str, summary: &str, stimulus: Stimulus, seen: Sighting) {
        self.book.probes.push(Probe {
            id: format!("{}/{name}", self.group.slug()),
            group: self.group,
            summary: summary.to_owned(),
            expect: self.expect,
            known_gap: self.known_gap,
            any_guest: self.any_guest,
            origin: self.origin,
            stimulus,
            sent: seen.clone(),
            received: seen,
            received_at: self.received_at,
        });
    }
}

/// What one probe is built from.
pub struct Draft<'a> {
    /// The hosts.
    pub layout: &'a Layout,
    /// Its tag.
    pub tag: Tag,
    /// Its source port.
    pub port: u16,
}

impl<'a> Draft<'a> {
    /// The draft of the probe with this tag.
    pub fn new(layout: &'a Layout, tag: Tag) -> Self {
        let port = source_port(tag);
        Self { layout, tag, port }
    }

    /// The tag's bytes.
    pub fn bytes(&self) -> [u8; TAG_LEN] {
        self.tag.to_bytes()
    }

    /// A name under `lanfence.test` that no other probe asks for.
    pub fn dns_name(&self) -> String {
        let Tag { run, pass, index } = self.tag;
        format!("q{index}-{pass}-{run:08x}.lanfence.test")
    }

    /// A frame from the guest to this MAC.
    pub fn link(&self, dst: Mac) -> Link {
        Link::new(self.layout.guest.mac, dst)
    }

    /// An IPv4 packet in a frame from the guest to the router.
    pub fn to_router4(&self, packet: &[u8]) -> Vec<u8> {
        self.link(self.layout.gateway.mac)
            .frame(ethertype::IPV4, packet)
    }

    /// An IPv6 packet in a frame from the guest to the router.
    pub fn to_router6(&self, packet: &[u8]) -> Vec<u8> {
        self.link(self.layout.gateway.mac)
            .frame(ethertype::IPV6, packet)
    }

    /// An IPv4 packet in a frame from the guest to the peer.
    pub fn to_peer4(&self, packet: &[u8]) -> Vec<u8> {
        self.link(self.layout.peer.mac)
            .frame(ethertype::IPV4, packet)
    }

    /// An IPv6 packet in a frame from the guest to the peer.
    pub fn to_peer6(&self, packet: &[u8]) -> Vec<u8> {
        self.link(self.layout.peer.mac)
            .frame(ethertype::IPV6, packet)
    }

    /// A header from the guest to this address.
    pub fn ip4(&self, to: Ipv4Addr) -> Ip4 {
        Ip4::new(self.layout.guest.v4, to)
    }

    /// A header from the guest's address in the LAN's prefix to this address.
    pub fn ip6(&self, to: Ipv6Addr) -> Ip6 {
        Ip6::new(self.layout.guest.v6, to)
    }

    /// A header from the guest's link-local address to this address.
    pub fn local6(&self, to: Ipv6Addr) -> Ip6 {
        Ip6::new(self.layout.guest.link_local, to)
    }

    /// A datagram with the tag from the guest to a WAN host: what tunnels carry.
    pub fn inner4(&self) -> Vec<u8> {
        self.ip4(self.layout.wan4).udp(self.port, 9, &self.bytes())
    }

    /// The same over IPv6.
    pub fn inner6(&self) -> Vec<u8> {
        self.ip6(self.layout.wan6).udp(self.port, 9, &self.bytes())
    }

    /// A datagram around [`Draft::long_payload`], cut in two at a multiple of
    /// eight bytes, so that the tag is in both halves.
    pub fn halves(datagram: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (first, later) = datagram.split_at(FIRST_HALF);
        (first.to_vec(), later.to_vec())
    }

    /// A payload that puts the tag on both sides of [`FIRST_HALF`].
    pub fn long_payload(&self) -> Vec<u8> {
        let tag = self.bytes();
        [&tag[..], &[0x6c; 16], &tag, &[0x6c; 8]].concat()
    }
}

/// Bytes of a datagram in its first fragment; the same number in units of eight is [`LATER`].
const FIRST_HALF: usize = 40;
/// Fragment offset of the second half.
pub const LATER: u16 = 5;
