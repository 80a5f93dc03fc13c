//! A DHCP server that answers too late, for tests of what that looks like: it is stopped until the
//! guest has given up, and then answers all that it was asked meanwhile.

use super::daemon::Daemon;
use super::error::LabError;
use super::packet_socket::PacketSocket;
use crate::frame::View;
use crate::frame::dhcp::SERVER_PORT;
use crate::probe::TFTP_PORT;
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How often a tap at which nothing happens is looked at again.
const LOOK_MS: u16 = 100;

/// Longest wait for the guest to give up. It goes on when the pass is over in any case.
const LONGEST: Duration = Duration::from_secs(60);

/// Stops the server until the guest at this tap has asked it and then asks for a file, which is what
/// it does when it has given up.
///
/// # Errors
/// When there is no such device, or the server is gone.
pub fn hold(server: &Daemon, device: &str) -> Result<(), LabError> {
    let socket = PacketSocket::open(device)?;
    let held = server.pause()?;
    let end = Instant::now() + LONGEST;
    std::thread::spawn(move || {
        let mut asked = false;
        while Instant::now() < end {
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut polled, LOOK_MS);
            match socket.receive() {
                Ok(None) => {}
                Ok(Some(seen)) if seen.outgoing => {}
                Ok(Some(seen)) => match port(&seen.frame) {
                    Some(SERVER_PORT) => asked = true,
                    Some(TFTP_PORT) if asked => break,
                    _ => {}
                },
                Err(_) => break,
            }
        }
        held.go_on();
    });
    Ok(())
}

/// The UDP port that a frame is sent to.
fn port(frame: &[u8]) -> Option<u16> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    upper.udp_payload()?;
    upper.ports().map(|(_, to)| to)
}
