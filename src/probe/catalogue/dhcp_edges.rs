//! What is almost DHCP: one address, port or MAC beside those of a client's requests.

use super::book::Book;
use super::pairs::outside;
use super::places::lan4;
use super::rogue::FOREIGN;
use crate::frame::dhcp::{CLIENT_PORT as CLIENT, SERVER_PORT as SERVER};
use crate::frame::{BROADCAST, Ip4, Link, Mac, ethertype};
use crate::probe::{Group, Point};
use std::net::{IpAddr, Ipv4Addr};

/// A group of MACs, and almost that of all hosts.
const BESIDE_BROADCAST: Mac = [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe];
/// Directly above the unspecified address.
const FIRST: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);
/// Directly below that of everyone.
const BELOW_ALL: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 254);

/// What a client asks without an address, and later servers and everyone.
struct Request {
    name: String,
    to: Ipv4Addr,
    mac: Mac,
    from: Ipv4Addr,
    /// Sources beside it, each with a name.
    beside: Vec<(&'static str, Ipv4Addr)>,
}

/// A request as it is sent.
struct Shot {
    end: &'static str,
    from: Ipv4Addr,
    to: Ipv4Addr,
    ports: (u16, u16),
    macs: (Mac, Mac),
}

/// Adds the requests that pass and which no client of the lab makes.
pub fn add_requests(book: &mut Book<'_>) {
    for request in requests(book) {
        if request.from.is_unspecified() {
            continue;
        }
        let guest = book.layout.guest.mac;
        let Request {
            name,
            to,
            mac,
            from,
            ..
        } = request;
        book.row(Group::Dhcp, true, Point::Peer).any_guest().raw(
            &name,
            &format!("DHCP request to {to} from the last host of the LAN, {name}"),
            |d| {
                let packet = Ip4::new(from, to).udp(CLIENT, SERVER, &d.bytes());
                Link::new(guest, mac).frame(ethertype::IPV4, &packet)
            },
        );
    }
}

/// Adds what is almost such a request.
pub fn add_sources(book: &mut Book<'_>) {
    for request in requests(book) {
        for shot in request.almost(book) {
            let expect = may(book, &shot);
            let Shot {
                end,
                from,
                to,
                ports,
                macs,
            } = shot;
            book.row(Group::Reflection, expect, Point::Peer).raw(
                &format!("{}-{end}", request.name),
                &format!("almost a DHCP request to {to}: {}, {end}", request.name),
                |d| {
                    let packet = Ip4::new(from, to).udp(ports.0, ports.1, &d.bytes());
                    Link::new(macs.0, macs.1).frame(ethertype::IPV4, &packet)
                },
            );
        }
    }
}

/// Adds them from another MAC.
pub fn add_macs(book: &mut Book<'_>) {
    for request in requests(book) {
        let Request {
            name,
            to,
            mac,
            from,
            ..
        } = request;
        book.row(Group::Rogue, false, Point::Peer).raw(
            &format!("mac-{name}"),
            &format!("DHCP request from another source MAC, {name}"),
            |d| {
                let packet = Ip4::new(from, to).udp(CLIENT, SERVER, &d.bytes());
                Link::new(FOREIGN, mac).frame(ethertype::IPV4, &packet)
            },
        );
    }
}

/// The requests of the policy. Hosts of the LAN need no rule of their own for its servers,
/// and none for everyone where everyone may be sent to.
fn requests(book: &Book<'_>) -> Vec<Request> {
    let (policy, layout) = (book.policy, book.layout);
    let all = Ipv4Addr::BROADCAST;
    let mut out = vec![Request {
        name: "discover".to_owned(),
        to: all,
        mac: BROADCAST,
        from: Ipv4Addr::UNSPECIFIED,
        beside: vec![("from-0-0-0-1", FIRST)],
    }];
    if !policy.dhcp.client {
        // Whatever is like it is stopped.
        return out;
    }
    for place in lan4(policy) {
        let IpAddr::V4(from) = place.last_host(policy, layout) else {
            continue;
        };
        let beside: Vec<(&str, Ipv4Addr)> = outside(policy, &place)
            .into_iter()
            .filter_map(|(side, address)| match address {
                IpAddr::V4(address) => Some((side, address)),
                IpAddr::V6(_) => None,
            })
            .collect();
        let servers = policy.dhcp.servers.iter().enumerate();
        let servers = servers.filter(|(_, server)| !policy.allows(**server));
        for (at, server) in servers {
            out.push(Request {
                name: format!("renew-{}-{}", at + 1, place.name),
                to: *server,
                mac: layout.peer.mac,
                from,
                beside: beside.clone(),
            });
        }
        if !policy.broadcast {
            out.push(Request {
                name: format!("rebind-{}", place.name),
                to: all,
                mac: BROADCAST,
                from,
                beside,
            });
        }
    }
    out
}

impl Request {
    fn almost(&self, book: &Book<'_>) -> Vec<Shot> {
        let macs = (book.layout.guest.mac, self.mac);
        let shot = |end, from, to, ports, macs| Shot {
            end,
            from,
            to,
            ports,
            macs,
        };
        let (from, to, right) = (self.from, self.to, (CLIENT, SERVER));
        let mut out = vec![
            shot("from-port-67", from, to, (CLIENT - 1, SERVER), macs),
            shot("from-port-69", from, to, (CLIENT + 1, SERVER), macs),
            shot("to-port-66", from, to, (CLIENT, SERVER - 1), macs),
        ];
        let others = self.beside.iter();
        out.extend(others.map(|(side, from)| shot(side, *from, to, right, macs)));
        if to.is_broadcast() {
            let wrong = (macs.0, BESIDE_BROADCAST);
            out.push(shot("beside-mac", from, to, right, wrong));
            out.push(shot("to-below", from, BELOW_ALL, right, macs));
        } else {
            let beside = Ipv4Addr::from_bits(to.to_bits() ^ 1);
            out.push(shot("to-beside", from, beside, right, macs));
        }
        out
    }
}

/// Whether the policy wants it all the same, since it is no request to a stranger.
fn may(book: &Book<'_>, shot: &Shot) -> bool {
    let policy = book.policy;
    let server = policy.dhcp.servers.contains(&shot.to) && shot.ports == (CLIENT, SERVER);
    policy.contains(shot.from) && (policy.allows(shot.to) || server)
}
