//! A TFTP server that has every file: a request for NAME is answered with one
//! block that holds NAME (RFC 1350). That is all that a firmware needs to fetch it.

use super::error::LabError;
use super::netns::Netns;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// TFTP's port.
const PORT: u16 = 69;

/// Opcodes of RFC 1350, section 5.
const READ: [u8; 2] = [0, 1];
const DATA: [u8; 2] = [0, 3];
const FIRST_BLOCK: [u8; 2] = [0, 1];

/// A block of this size or more would not be the last one.
const BLOCK: usize = 512;

/// How often a server that nobody asks looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Tftp {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Tftp {
    /// Serves at the address of a host in the namespace.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(netns: &Netns, address: Ipv4Addr) -> Result<Self, LabError> {
        let bind = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((address, PORT))?;
            socket.set_read_timeout(Some(LOOK))?;
            Ok(socket)
        };
        let socket = netns
            .run(bind)?
            .map_err(|error| LabError::system(format!("serve TFTP at {address}"), error))?;
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = netns.begin(move || serve(&socket, &told))?;
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Tftp {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, end: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !end.load(Ordering::Acquire) {
        // A timeout is a look at `end`; an error is an ICMP message about an earlier answer.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(answer) = answer(&buffer[..length]) {
            // A guest that is gone is no concern of the server's.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The one block for a read request; none for anything else.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let rest = request.strip_prefix(&READ)?;
    let name = rest.split(|byte| *byte == 0).next()?;
    (!name.is_empty() && name.len() < BLOCK).then(|| [&DATA[..], &FIRST_BLOCK, name].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_read_request(b"\0\x01lan-1\0octet\0blksize\x001432\0", Some(&b"\0\x03\0\x01lan-1"[..]))]
    #[case::a_write_request(b"\0\x02lan-1\0octet\0", None)]
    #[case::an_acknowledgement(b"\0\x04\0\x01", None)]
    #[case::no_name(b"\0\x01\0octet\0", None)]
    #[case::nothing(b"", None)]
    fn answers(#[case] request: &[u8], #[case] expected: Option<&[u8]>) {
        assert_eq!(answer(request).as_deref(), expected);
    }
}
