//! What the guest makes of a DHCP server whose answers have unfinished checksums: one more round at
//! the end of its cell, when all verdicts are known. The router hears no question meanwhile, and
//! what it offered before is offered again at the tap itself, with the pseudo header's sum in place
//! of the checksum, as a guest behind vhost-net gets it whose virtio driver offers to finish
//! checksums. No firmware's driver does, so none would get it in another way.

use super::rounds::Rounds;
use crate::frame::dhcp::{Message, message};
use crate::frame::{Checksum, Datagram, Mac};
use crate::guest::Machine;
use crate::lab::{Lab, LabError, PacketSocket, Silence};
use crate::probe::Point;
use crate::report::model::ClientRun;
use crate::verify::VerifyError;
use crate::verify::watch::Watch;
use std::time::{Duration, Instant};

/// Longest wait for the guest to begin its round.
const BEGINS: Duration = Duration::from_secs(5);

/// Longest wait for what it thinks of the offer. EDK2 collects offers for 4 s before it says that.
const PATIENCE: Duration = Duration::from_secs(8);

/// A DISCOVER that comes so soon after the offer may have left before it came.
const CROSSED: Duration = Duration::from_millis(100);

/// Where a client's transaction stands in a frame with IPv4 and without options of IP.
const XID: std::ops::Range<usize> = 46..50;

/// A DHCP message of or to this client.
pub fn message(frame: &[u8], mac: Mac) -> Option<Message> {
    let datagram = Datagram::read(frame, false)?;
    Message::parse(datagram.payload).filter(|it| it.client == mac)
}

/// Has the guest go through the beginning of a round with no other answers than this `offer`,
/// unfinished. It has been without a filter before, and is of no more use after.
///
/// # Errors
/// When the router cannot be silenced, or the tap cannot be opened or is full.
pub async fn try_it(
    lab: &Lab,
    (machine, rounds): (&Machine, &Rounds<'_>),
    mac: Mac,
    offer: &[u8],
) -> Result<ClientRun, VerifyError> {
    let silence = Silence::of_dhcp(&lab.network.gateway)?;
    let tap = PacketSocket::open(&machine.interface().tap)?;
    let mut watch = Watch::start(lab, &machine.tap);
    let mut end = Instant::now() + lab.slowness.stretch(BEGINS);
    // It has not been suspended since its last round, so that it has taken in all that came to it.
    // GRUB on pcnet does not always come to a fifth round (measured: docs/measurements.md#M55).
    rounds.go_on();
    let began = Instant::now();
    let mut offered = None;
    let taken = loop {
        let said = next(&watch, mac, end).await;
        watch = watch.afresh();
        let Some(said) = said else {
            break None;
        };
        let crossed = |at: Instant| at.elapsed() < lab.slowness.stretch(CROSSED);
        match (said.kind, offered) {
            (Some(message::REQUEST), Some(_)) => break Some(true),
            (Some(message::DISCOVER), Some(at)) if !crossed(at) => break Some(false),
            (Some(message::DISCOVER), _) => {
                let Some(answer) = with_transaction(offer, said.xid) else {
                    break None;
                };
                let sent = tap.send(&answer);
                sent.map_err(|source| LabError::system("offer an address at the tap", source))?;
                offered = Some(Instant::now());
                end = Instant::now() + lab.slowness.stretch(PATIENCE);
            }
            _ => {}
        }
    };
    drop(silence);
    let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let failure = match (taken, offered) {
        (Some(true), _) => None,
        (Some(false), _) => Some("it refused the offer: the UDP checksum did not add up"),
        (None, Some(_)) => Some("it said no more after the offer"),
        (None, None) => Some("it sent no DISCOVER"),
    };
    Ok(ClientRun {
        bound_us: (taken == Some(true)).then_some(us),
        at_tap: offered.map(|_| Checksum::Partial),
        failure: failure.map(str::to_owned),
        refused: taken == Some(false),
        ..ClientRun::default()
    })
}

/// The guest's next DHCP message.
async fn next(watch: &Watch<'_>, mac: Mac, end: Instant) -> Option<Message> {
    let found = std::cell::Cell::new(None);
    let is_one = |frame: &[u8]| {
        let said = message(frame, mac);
        found.set(said);
        said.is_some()
    };
    watch.wait_for(Point::TapFromGuest, end, is_one).await;
    found.get()
}

/// The offer as the answer to this transaction, with an unfinished checksum.
fn with_transaction(offer: &[u8], xid: u32) -> Option<Vec<u8>> {
    let mut answer = offer.to_vec();
    answer.get_mut(XID)?.copy_from_slice(&xid.to_be_bytes());
    Datagram::unfinished(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Ip4, Link, ethertype};
    use std::net::Ipv4Addr;

    #[test]
    fn the_offer_is_another_transactions_and_unfinished() {
        let (mac, server) = ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 168, 1, 1));
        let yours = Ipv4Addr::new(192, 168, 1, 57);
        let payload = Message::from_server(message::OFFER, mac, yours, server).to_bytes(b"");
        let packet = Ip4::new(server, yours).udp(67, 68, &payload);
        let offer = Link::new([2, 0, 0, 0, 0, 2], mac).frame(ethertype::IPV4, &packet);
        let answer = with_transaction(&offer, 0x0102_0304).expect("an answer");
        let read = Datagram::read(&answer, false).expect("a datagram");
        assert_eq!(read.checksum, Checksum::Partial);
        let said = message(&answer, mac).expect("to this client");
        assert_eq!((said.xid, said.yours), (0x0102_0304, yours));
        assert_eq!(with_transaction(&offer[..40], 1), None);
    }
}
