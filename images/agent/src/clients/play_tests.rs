//! The client against a server that answers at once, with checksums as wanted.

use super::super::profiles::{PROFILES, profile};
use super::*;
use lanfence_frame::datagram::Head;
use lanfence_frame::dhcp::SERVER_PORT;
use rstest::rstest;
use std::collections::VecDeque;

const MAC: Mac = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: Mac = [2, 0, 0, 0, 0, 2];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const YOURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 57);

/// How the server's sums reach the client.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Finished,
    /// To an offload, as the kernel tells who asks.
    Unfinished,
    /// Broken, as far as anybody can tell.
    Broken,
    /// Nothing arrives at all.
    Never,
}

struct Server {
    sent: Sent,
    queue: VecDeque<Arrived>,
    seen: Vec<MessageType>,
    arp: Vec<Arp>,
    /// Answers of the client to the server's own question.
    introduced: usize,
}

impl Server {
    fn new(sent: Sent) -> Self {
        Self {
            sent,
            queue: VecDeque::new(),
            seen: Vec::new(),
            arp: Vec::new(),
            introduced: 0,
        }
    }

    fn put(&mut self, frame: Vec<u8>, pending: bool) {
        self.queue.push_back(Arrived { frame, pending });
    }

    fn reply(&mut self, kind: MessageType, asked: &Message) {
        let head = Head {
            link: Link::new(SERVER_MAC, MAC),
            ips: (SERVER, YOURS),
            ports: (SERVER_PORT, CLIENT_PORT),
            ttl: 64,
            tos: 0,
            id: 0,
            whole: false,
            unsummed: false,
        };
        let answer = Message {
            xid: asked.xid,
            ..Message::from_server(kind, asked.client, YOURS, SERVER)
        };
        let mut frame = head.frame(&answer.to_bytes(&[]));
        if self.sent != Sent::Finished {
            frame[40] ^= 0x5a;
        }
        self.put(frame, self.sent == Sent::Unfinished);
    }
}

impl Wire for Server {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Some(arp) = Arp::read(frame) {
            if arp.operation == arp::op::REPLY {
                assert_eq!((arp.sender.1, arp.target.1), (YOURS, SERVER));
                self.introduced += 1;
            } else if arp.target.1 == SERVER {
                let me = (SERVER_MAC, SERVER);
                // The server asks back before it answers, as kernels do.
                self.put(Arp::request(me, YOURS).to_frame(), false);
                self.put(Arp::reply(me, arp.sender).to_frame(), false);
            } else {
                self.arp.push(arp);
            }
            return Ok(());
        }
        let datagram = Datagram::read(frame, false).expect("the client sends whole datagrams");
        assert!(datagram.checksum.adds_up());
        let asked = Message::parse(datagram.payload).expect("the client sends whole messages");
        let kind = asked.kind.expect("the client sends DHCP");
        self.seen.push(kind);
        match kind {
            _ if self.sent == Sent::Never => {}
            message::DISCOVER => self.reply(message::OFFER, &asked),
            message::REQUEST | message::INFORM => self.reply(message::ACK, &asked),
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, _: Instant) -> io::Result<Option<Arrived>> {
        Ok(self.queue.pop_front())
    }
}

fn run(name: &str, sent: Sent, patience_ms: u64) -> (Played, Server) {
    let mut server = Server::new(sent);
    let order = Order {
        profile: profile(name).unwrap(),
        mac: MAC,
        xid: 0x1000,
        deadline: Instant::now() + Duration::from_millis(patience_ms),
    };
    let played = play(&mut server, &order).unwrap();
    (played, server)
}

#[test]
fn every_client_lives_through_a_lease() {
    for one in PROFILES {
        let (played, server) = run(one.name, Sent::Finished, 60_000);
        assert!(played.done(), "{played:?}");
        let mut expected = vec![message::DISCOVER, message::REQUEST];
        let renews = !one.renew.is_empty();
        if renews {
            expected.push(message::REQUEST);
        }
        if !one.inform.is_empty() {
            expected.push(message::INFORM);
        }
        if !one.release.is_empty() {
            expected.push(message::RELEASE);
        }
        assert_eq!(server.seen, expected, "{}", one.name);
        assert_eq!((played.address, played.server), (Some(YOURS), Some(SERVER)));
        assert_eq!(server.introduced, usize::from(renews), "{}", one.name);
        let claims: Vec<Ipv4Addr> = server.arp.iter().map(|arp| arp.sender.1).collect();
        let said: &[Ipv4Addr] = match one.claim {
            Claim::Nothing => &[],
            Claim::Gratuitous => &[YOURS],
            Claim::Probe => &[Ipv4Addr::UNSPECIFIED, YOURS],
        };
        assert_eq!(claims, said, "{}", one.name);
    }
}

#[rstest]
#[case::strict_on_unfinished("windows-2003", Sent::Unfinished, false)]
#[case::strict_on_broken("rhel5-dhclient", Sent::Broken, false)]
#[case::trusting_on_unfinished("busybox", Sent::Unfinished, true)]
#[case::trusting_on_broken("busybox", Sent::Broken, false)]
#[case::careless_on_unfinished("u-boot", Sent::Unfinished, true)]
#[case::careless_on_broken("u-boot", Sent::Broken, true)]
#[case::a_boot_loader_can_be_strict("grub", Sent::Unfinished, false)]
fn checksums_decide(#[case] name: &str, #[case] sent: Sent, #[case] bound: bool) {
    let (played, server) = run(name, sent, 60_000);
    assert_eq!(played.done(), bound, "{played:?}");
    assert_eq!(played.refused_its_answer(), !bound);
    if !bound {
        assert_eq!(played.refused, ENOUGH_REFUSALS);
        assert_eq!(server.seen, [message::DISCOVER; ENOUGH_REFUSALS]);
        let why = played.steps[0].failure.as_deref().unwrap();
        assert!(why.contains("checksum"), "{why}");
    }
}

#[test]
fn silence_is_no_refusal() {
    let (played, _) = run("windows-98", Sent::Never, 5);
    assert!(!played.done() && !played.refused_its_answer());
    assert_eq!(played.steps.len(), 1);
    let why = played.steps[0].failure.as_deref();
    assert_eq!(why, Some("no answer to its DISCOVER"));
}
