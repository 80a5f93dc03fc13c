//! The lab in the guest's place: writes the guest's frames into its tap.

use super::lease::Client;
use super::responder::{PORT, Responder};
use crate::frame::DhcpStep;
use crate::guest::GuestError;
use crate::lab::Tap;
use crate::probe::{Origin, Pass, Probe, Stimulus};
use crate::verify::endpoint::{Endpoint, Exchange, Hosts, Moment, Refusals};
use crate::verify::sockets::connected;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Longest wait for the LAN peer's connection. Milliseconds here; within it a
/// lost SYN is sent once more.
const CONNECT: Duration = Duration::from_millis(1500);

/// The lab as a guest, for one pass.
#[derive(Debug)]
pub struct TapEndpoint<'a> {
    /// The lab and its addresses.
    pub hosts: Hosts<'a>,
    /// The tap that it holds.
    pub tap: &'a Tap,
    /// Answers in the guest's name.
    pub responder: &'a mut Responder,
    /// The guest's DHCP client.
    pub client: &'a mut Client,
}

impl Endpoint for TapEndpoint<'_> {
    /// It has joined nothing and keeps no connection.
    async fn start_afresh(&mut self) -> Result<(), GuestError> {
        Ok(())
    }

    async fn dhcp(&mut self, steps: &[DhcpStep]) -> Result<Vec<(DhcpStep, bool)>, GuestError> {
        let mut done: Vec<(DhcpStep, bool)> = Vec::new();
        for step in steps {
            // Without a lease there is none to renew or to give back.
            let ok = done.iter().all(|(_, ok)| *ok)
                && self.client.step(*step, self.tap, self.responder).await;
            done.push((*step, ok));
        }
        Ok(done)
    }

    /// Its frames name their MACs themselves.
    async fn meet_neighbours(&mut self, _: Pass) -> Result<(), GuestError> {
        Ok(())
    }

    /// It asks nobody.
    async fn tell_forbidden_neighbours(&mut self, _: &[Probe]) -> Result<(), GuestError> {
        Ok(())
    }

    fn ssh(&mut self, port: u16) -> Result<Exchange, GuestError> {
        let Hosts { lab, layout } = self.hosts;
        let to = SocketAddrV4::new(layout.guest.v4, PORT);
        let longest = lab.slowness.stretch(CONNECT);
        let opens = move || connected(port, to, longest).is_ok();
        Ok(Exchange(lab.network.peer.begin(opens)?))
    }

    /// It joins by what it sends.
    async fn join(&mut self, _: &[Probe], _: Pass, _: Moment) -> Result<Refusals, GuestError> {
        Ok(Refusals::new())
    }

    async fn send(&mut self, probes: &[Probe], _: Pass) -> Result<Refusals, GuestError> {
        let mut refused = Refusals::new();
        for probe in probes.iter().filter(|probe| probe.origin == Origin::Guest) {
            // Its client has taken these steps already.
            if matches!(probe.stimulus, Stimulus::Dhcp(_)) {
                continue;
            }
            let frames = probe.wire(self.hosts.layout).frames;
            let written = frames.iter().try_for_each(|frame| self.tap.write(frame));
            if let Err(error) = written {
                refused.insert(probe.id.clone(), error.to_string());
            }
        }
        Ok(refused)
    }

    /// A link that is down refuses them, which the missing sightings tell.
    async fn frames(&mut self, frames: &[Vec<u8>]) -> Result<(), GuestError> {
        for frame in frames {
            let _ = self.tap.write(frame);
        }
        Ok(())
    }
}
