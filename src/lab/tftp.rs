//! A TFTP server that has every file: a request for NAME is answered with one
//! block that holds NAME (RFC 1350). That is all that a firmware needs to fetch it.
//! Some files it gives only when told to, which makes whoever asks for them wait.

use super::error::LabError;
use super::netns::Netns;
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

/// What the server's thread and its owner both use.
#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    gate: Mutex<Gate>,
    end: AtomicBool,
}

impl Tftp {
    /// Serves at the address of a host in the namespace.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(netns: &Netns, address: Ipv4Addr) -> Result<Self, LabError> {
        Self::begin(netns, address, Gate::default())
    }

    /// The same, but each file whose name begins like this is held back until it
    /// is [let go](Self::let_go).
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start_holding(
        netns: &Netns,
        address: Ipv4Addr,
        prefix: String,
    ) -> Result<Self, LabError> {
        let gate = Gate {
            held: Some(prefix.into_bytes()),
            ..Gate::default()
        };
        Self::begin(netns, address, gate)
    }

    fn begin(netns: &Netns, address: Ipv4Addr, gate: Gate) -> Result<Self, LabError> {
        let bind = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((address, PORT))?;
            socket.set_read_timeout(Some(LOOK))?;
            Ok(socket)
        };
        let socket = netns
            .run(bind)?
            .map_err(|error| LabError::system(format!("serve TFTP at {address}"), error))?;
        let shared = Arc::new(Shared {
            socket,
            gate: Mutex::new(gate),
            end: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let thread = netns.begin(move || serve(&served))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Gives a file that was held back, to whoever waits for it and to whoever
    /// asks for it from now on.
    pub fn let_go(&self, name: &str) {
        let waiting = self.shared.gate().let_go(name.as_bytes());
        if let Some(waiting) = waiting {
            self.shared.give(name.as_bytes(), waiting);
        }
    }
}

impl Drop for Tftp {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest that is gone is no concern of the server's.
    fn give(&self, name: &[u8], to: SocketAddr) {
        let _ = self.socket.send_to(&block(name), to);
    }
}

/// Files that are held back, and who waits for them.
#[derive(Debug, Default)]
struct Gate {
    /// How their names begin; none where nothing is held back.
    held: Option<Vec<u8>>,
    /// Those that are not held back any more.
    open: HashSet<Vec<u8>>,
    /// Who asked last for each of the others.
    waiting: HashMap<Vec<u8>, SocketAddr>,
}

impl Gate {
    /// Whether the file may be given now; if not, who asks for it waits.
    fn admits(&mut self, name: &[u8], from: SocketAddr) -> bool {
        let held = self
            .held
            .as_ref()
            .is_some_and(|held| name.starts_with(held));
        if !held || self.open.contains(name) {
            return true;
        }
        self.waiting.insert(name.to_vec(), from);
        false
    }

    /// Holds the file back no longer. Returns who waits for it.
    fn let_go(&mut self, name: &[u8]) -> Option<SocketAddr> {
        self.open.insert(name.to_vec());
        self.waiting.remove(name)
    }
}

fn serve(shared: &Shared) {
    let mut buffer = [0; 2048];
    while !shared.end.load(Ordering::Acquire) {
        // A timeout is a look at `end`; an error is an ICMP message about an earlier answer.
        let Ok((length, from)) = shared.socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(name) = wanted(&buffer[..length])
            && shared.gate().admits(name, from)
        {
            shared.give(name, from);
        }
    }
}

/// The file that a read request names; none for anything else.
fn wanted(request: &[u8]) -> Option<&[u8]> {
    let rest = request.strip_prefix(&READ)?;
    let name = rest.split(|byte| *byte == 0).next()?;
    (!name.is_empty() && name.len() < BLOCK).then_some(name)
}

/// The one block of a file.
fn block(name: &[u8]) -> Vec<u8> {
    [&DATA[..], &FIRST_BLOCK, name].concat()
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
        assert_eq!(wanted(request).map(block).as_deref(), expected);
    }

    fn port(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn holding_ends() -> Gate {
        Gate {
            held: Some(b"end-".to_vec()),
            ..Gate::default()
        }
    }

    #[test]
    fn what_is_held_back_is_given_once_it_is_let_go() {
        let mut gate = holding_ends();
        assert!(gate.admits(b"lan-1", port(1)));
        assert!(!gate.admits(b"end-1", port(1)));
        assert!(!gate.admits(b"end-1", port(2)));
        assert_eq!(gate.let_go(b"end-1"), Some(port(2)), "who asked last");
        assert!(gate.admits(b"end-1", port(3)));
        assert!(!gate.admits(b"end-2", port(3)), "each for itself");
    }

    #[test]
    fn a_file_can_be_let_go_before_it_is_asked_for() {
        let mut gate = holding_ends();
        assert_eq!(gate.let_go(b"end-1"), None);
        assert!(gate.admits(b"end-1", port(1)));
    }
}
