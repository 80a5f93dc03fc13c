//! `Op::WarmUp`: code that the cell will need, run once so that it is translated.
//!
//! An emulator translates all code that a restored guest runs for the first time, and
//! that is most of a cell's time. While libvirt binds a filter and plugs the NIC in, the guest
//! has nothing to do; so it runs an SSH key exchange and a DHCP discover over the loopback
//! device, which leave nothing behind but translated code. What changes the kernel is done
//! before the snapshot is taken ([`before_snapshot`]).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::PollFlags;

use crate::children::Children;
use crate::dhcp::Dhcp;
use crate::netlink::Netlink;
use crate::wait::{Deadline, ready};

/// Longest time for either part; 0.1 s under emulation.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Identification string (RFC 4253, section 4.2).
const BANNER: &[u8] = b"SSH-2.0-warm\r\n";

/// Message numbers (RFC 4253, section 12; RFC 5656, section 7.1).
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
const KEX_ECDH_INIT: u8 = 30;

/// What the host's client agrees on with dropbear, in the order of `SSH_MSG_KEXINIT`.
const ALGORITHMS: [&str; 10] = [
    "curve25519-sha256",
    "ssh-ed25519",
    "aes128-ctr",
    "aes128-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
    "",
    "",
];

/// The base point of the curve as public key, which every server accepts.
const PUBLIC: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

/// Runs both. A failure is ignored here: it shows again when the host asks for the same.
pub fn run(netlink: &mut Netlink, children: &mut Children, dhcp: &mut Dhcp) {
    let _ = exchange_keys(Deadline::after(PATIENCE));
    let _ = dhcp.rehearse(netlink, children, Deadline::after(PATIENCE));
}

/// Opens a connection and sends a datagram in each family: at the first of its kind the
/// kernel initialises tables and patches its own code (`DO_ONCE`), which each restored guest
/// would otherwise repeat. A failure is ignored: the kernel then does it when it is needed.
pub fn before_snapshot() {
    for lo in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ] {
        let _ = connect_within(lo);
        let _ = send_within(lo);
    }
}

fn connect_within(lo: IpAddr) -> std::io::Result<()> {
    let server = TcpListener::bind((lo, 0))?;
    let _client = TcpStream::connect(server.local_addr()?)?;
    server.accept().map(drop)
}

fn send_within(lo: IpAddr) -> std::io::Result<()> {
    let here = UdpSocket::bind((lo, 0))?;
    // Not connected: a flow without a hash of its own has one computed.
    let there = UdpSocket::bind((lo, 0))?;
    there.send_to(b"first", here.local_addr()?).map(drop)
}

/// Exchanges keys with dropbear and closes the connection.
fn exchange_keys(deadline: Deadline) -> std::io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, 22))?;
    server.write_all(&opening())?;
    let mut heard = Vec::new();
    while !has_ended(&heard) {
        if !ready(server.as_fd(), PollFlags::POLLIN, deadline)? {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut more = [0; 2048];
        match server.read(&mut more)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => heard.extend_from_slice(&more[..count]),
        }
    }
    Ok(())
}

/// All bytes that a client sends before the server's answer to its key.
fn opening() -> Vec<u8> {
    let mut offer = vec![KEXINIT];
    offer.extend([0; 16]);
    for names in ALGORITHMS {
        offer.extend(string(names.as_bytes()));
    }
    // No guess follows; reserved.
    offer.extend([0; 5]);
    let key = [&[KEX_ECDH_INIT][..], &string(&PUBLIC)].concat();
    [BANNER, &packet(&offer), &packet(&key)].concat()
}

/// Length and bytes (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len()), bytes].concat()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// A packet before there are keys (RFC 4253, section 6): a multiple of 8 bytes, at least
/// 4 of them padding.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 9) % 8) % 8;
    let mut packet = length(payload.len() + padding + 1).to_vec();
    packet.push(u8::try_from(padding).unwrap_or(u8::MAX));
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// Whether the server has sent `SSH_MSG_NEWKEYS`.
fn has_ended(heard: &[u8]) -> bool {
    let Some(end) = heard.iter().position(|byte| *byte == b'\n') else {
        return false;
    };
    let mut rest = &heard[end + 1..];
    while let Some((head, body)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if body.get(1) == Some(&NEWKEYS) {
            return true;
        }
        let Some(next) = body.get(length..) else {
            return false;
        };
        rest = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packets_are_whole_blocks_with_enough_padding(payload in prop::collection::vec(any::<u8>(), 0..600)) {
            let packet = packet(&payload);
            prop_assert_eq!(packet.len() % 8, 0);
            prop_assert!((4..12).contains(&packet[4]));
            prop_assert_eq!(&packet[..4], &length(packet.len() - 4));
            prop_assert_eq!(&packet[5..5 + payload.len()], &payload[..]);
        }
    }

    #[test]
    fn the_end_is_found_only_where_a_packet_begins() {
        let heard = |payloads: &[&[u8]]| {
            let packets = payloads.iter().flat_map(|payload| packet(payload));
            [&b"SSH-2.0-dropbear\r\n"[..], &packets.collect::<Vec<u8>>()].concat()
        };
        assert!(!has_ended(&heard(&[&[
            KEXINIT, NEWKEYS, 0, 0, 0, 2, NEWKEYS
        ]])));
        let whole = heard(&[&[KEXINIT; 70], &[31; 200], &[NEWKEYS]]);
        assert!(has_ended(&whole));
        assert!(!has_ended(&whole[..whole.len() - 16]));
        assert!(!has_ended(b"SSH-2.0"));
    }
}
