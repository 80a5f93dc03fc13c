//! `Op::Tcp`: a connection attempt.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use lanfence_agent::Answer;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{SockaddrStorage, connect};

use crate::sockets::{Kind, any, bind_to, open, scoped, set, tie};
use crate::wait::{Deadline, ready};

/// How many unwatched attempts may be open at once.
const MOST: usize = 64;

/// Attempts that nobody waits for.
///
/// A SYN may still be queued behind the resolution of its next hop when the
/// request is answered, and closing the socket would withdraw it. So the socket
/// stays open until `Op::Reset`, until an attempt from the same port, or until
/// [`MOST`] younger ones exist.
#[derive(Debug, Default)]
pub struct Unwatched(VecDeque<(u16, OwnedFd)>);

/// One attempt as the request describes it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Device name.
    pub dev: &'a str,
    /// Its index.
    pub index: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination.
    pub to: SocketAddr,
    /// Sent once connected, and expected back.
    pub payload: &'a [u8],
}

impl Unwatched {
    /// Makes the attempt; with deadline 0 only starts it.
    pub fn attempt(&mut self, attempt: Attempt<'_>, deadline_ms: u64) -> Result<Answer, String> {
        self.0.retain(|(port, _)| *port != attempt.source_port);
        let (dev, to) = (attempt.dev, attempt.to);
        let fd = start(attempt)
            .map_err(|errno| format!("cannot connect to {to} through {dev}: {errno}"))?;
        if deadline_ms == 0 {
            self.0.push_back((attempt.source_port, fd));
            if self.0.len() > MOST {
                self.0.pop_front();
            }
            return Ok(fate(false, false));
        }
        let deadline = Deadline::in_ms(deadline_ms);
        let mut stream = TcpStream::from(fd);
        if !connected(&stream, deadline)? {
            return Ok(fate(false, false));
        }
        // A peer that resets is the network's answer, not an error of the agent.
        let echoed = echo(&mut stream, attempt.payload, deadline).unwrap_or(false);
        Ok(fate(true, echoed))
    }

    /// Resets them all.
    pub fn reset(&mut self) -> Answer {
        self.0.clear();
        Answer::Done
    }
}

fn fate(connected: bool, echoed: bool) -> Answer {
    Answer::Tcp { connected, echoed }
}

fn start(attempt: Attempt<'_>) -> Result<OwnedFd, Errno> {
    let ip = attempt.to.ip();
    let fd = open(Kind::Tcp, ip)?;
    tie(&fd, attempt.dev, ip)?;
    // Closing resets instead of lingering in FIN-WAIT, so that the port is free at once.
    let reset = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set(&fd, libc::SOL_SOCKET, libc::SO_LINGER, &reset)?;
    bind_to(&fd, SocketAddr::new(any(ip), attempt.source_port))?;
    let to = SockaddrStorage::from(scoped(attempt.to, attempt.index));
    match connect(fd.as_raw_fd(), &to) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

fn connected(stream: &TcpStream, deadline: Deadline) -> Result<bool, String> {
    let done = ready(stream.as_fd(), PollFlags::POLLOUT, deadline)
        .map_err(|errno| format!("cannot wait for a connection: {errno}"))?;
    let refused = stream
        .take_error()
        .map_err(|error| format!("cannot ask how a connection went: {error}"))?;
    Ok(done && refused.is_none())
}

/// Sends the payload and compares what comes back with it.
fn echo(stream: &mut TcpStream, payload: &[u8], deadline: Deadline) -> std::io::Result<bool> {
    let mut sent = 0;
    while sent < payload.len() {
        match stream.write(&payload[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !ready(stream.as_fd(), PollFlags::POLLOUT, deadline)? {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut back = vec![0; payload.len()];
    let mut got = 0;
    while got < back.len() {
        match stream.read(&mut back[got..]) {
            Ok(0) => return Ok(false),
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !ready(stream.as_fd(), PollFlags::POLLIN, deadline)? {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(back == payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Another socket than the attempt's; the loopback device needs no set-up in
    /// the namespaces that tests run in, and binding to it no privilege.
    fn echo_against(answer: fn(&mut TcpStream)) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || answer(&mut listener.accept().unwrap().0));
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_nonblocking(true).unwrap();
        let echoed = echo(&mut stream, b"nonce", Deadline::in_ms(10_000)).unwrap_or(false);
        drop(stream);
        server.join().unwrap();
        echoed
    }

    fn five_bytes(peer: &mut TcpStream) -> [u8; 5] {
        let mut got = [0; 5];
        peer.read_exact(&mut got).unwrap();
        got
    }

    #[test]
    fn an_echo_is_an_echo() {
        assert!(echo_against(|peer| {
            let got = five_bytes(peer);
            peer.write_all(&got).unwrap();
        }));
    }

    #[test]
    fn other_bytes_and_a_close_are_none() {
        assert!(!echo_against(|peer| {
            five_bytes(peer);
            peer.write_all(b"other").unwrap();
        }));
        assert!(!echo_against(|peer| {
            five_bytes(peer);
        }));
    }
}
