//! A TFTP server that has every file: a request for NAME is answered with one
//! block that holds NAME (RFC 1350). That is all that a firmware needs to fetch it.
//! Some files it gives only when told to, which makes whoever asks for them wait.
//! To a client that insists it first tells the file's size (RFC 2347, RFC 2349).

use super::error::LabError;
use super::netns::Netns;
use crate::probe::file_name;
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
const ACKNOWLEDGEMENT: [u8; 2] = [0, 4];

/// Opcode of RFC 2347.
const OPTIONS: [u8; 2] = [0, 6];

/// The option of RFC 2349 by which a client asks for the size of a file.
const SIZE: &[u8] = b"tsize";

/// The block that is acknowledged by whoever takes the options.
const NO_BLOCK: [u8; 2] = [0, 0];

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
    /// Whether a client that asks for the size of a file is told it.
    tells_size: bool,
    end: AtomicBool,
}

impl Tftp {
    /// Serves at the address of a host in the namespace. It may tell clients that ask for it the
    /// size of a file first: GRUB takes no file otherwise, and others are done sooner without.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(netns: &Netns, address: Ipv4Addr, tells_size: bool) -> Result<Self, LabError> {
        Self::begin(netns, address, Gate::default(), tells_size)
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
        tells_size: bool,
    ) -> Result<Self, LabError> {
        let gate = Gate {
            held: Some(prefix.into_bytes()),
            ..Gate::default()
        };
        Self::begin(netns, address, gate, tells_size)
    }

    fn begin(
        netns: &Netns,
        address: Ipv4Addr,
        gate: Gate,
        tells_size: bool,
    ) -> Result<Self, LabError> {
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
            tells_size,
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
    fn give(&self, name: &[u8], to: Client) {
        let bytes = if to.asks_size {
            self.gate().told.insert(to.address, name.to_vec());
            size(name)
        } else {
            block(name)
        };
        let _ = self.socket.send_to(&bytes, to.address);
    }

    /// Gives the file whose size the client has been told.
    fn go_on(&self, client: SocketAddr) {
        let told = self.gate().told.get(&client).map(|name| block(name));
        if let Some(bytes) = told {
            let _ = self.socket.send_to(&bytes, client);
        }
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
    waiting: HashMap<Vec<u8>, Client>,
    /// Who has been told the size of which file.
    told: HashMap<SocketAddr, Vec<u8>>,
}

/// Who asks for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Client {
    address: SocketAddr,
    /// Whether it is to be told the size first.
    asks_size: bool,
}

impl Gate {
    /// Whether the file may be given now; if not, who asks for it waits.
    fn admits(&mut self, name: &[u8], from: Client) -> bool {
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
    fn let_go(&mut self, name: &[u8]) -> Option<Client> {
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
        let message = &buffer[..length];
        if let Some(name) = wanted(message) {
            let client = Client {
                address: from,
                asks_size: shared.tells_size && asks_size(message),
            };
            let admitted = shared.gate().admits(name, client);
            if admitted {
                shared.give(name, client);
            }
        } else if message == [ACKNOWLEDGEMENT, NO_BLOCK].concat() {
            shared.go_on(from);
        }
    }
}

/// The file that a read request names; none for anything else.
fn wanted(request: &[u8]) -> Option<&[u8]> {
    let rest = request.strip_prefix(&READ)?;
    let name = rest.split(|byte| *byte == 0).next()?;
    let name = file_name(name);
    (!name.is_empty() && name.len() < BLOCK).then_some(name)
}

/// Whether a read request asks for the file's size: behind name and mode come pairs of an option
/// and its value.
fn asks_size(request: &[u8]) -> bool {
    let mut words = request[READ.len()..].split(|byte| *byte == 0).skip(2);
    let mut options = std::iter::from_fn(|| words.next().zip(words.next()));
    options.any(|(option, _)| option.eq_ignore_ascii_case(SIZE))
}

/// The size of a file.
fn size(name: &[u8]) -> Vec<u8> {
    let length = name.len().to_string();
    [&OPTIONS[..], SIZE, b"\0", length.as_bytes(), b"\0"].concat()
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
    #[case::for_a_path(b"\0\x01/lan-1\0octet\0", Some(&b"\0\x03\0\x01lan-1"[..]))]
    #[case::a_write_request(b"\0\x02lan-1\0octet\0", None)]
    #[case::an_acknowledgement(b"\0\x04\0\x01", None)]
    #[case::no_name(b"\0\x01\0octet\0", None)]
    #[case::nothing(b"", None)]
    fn answers(#[case] request: &[u8], #[case] expected: Option<&[u8]>) {
        assert_eq!(wanted(request).map(block).as_deref(), expected);
    }

    #[rstest]
    #[case::grub(b"\0\x01/lan-1\0octet\0blksize\x001024\0tsize\x000\0", true)]
    #[case::no_option(b"\0\x01lan-1\0octet\0", false)]
    #[case::another_option(b"\0\x01lan-1\0octet\0blksize\x001024\0", false)]
    #[case::as_a_value(b"\0\x01lan-1\0octet\0blksize\0tsize\0", false)]
    #[case::as_a_name(b"\0\x01tsize\0octet\0", false)]
    fn the_size_is_an_option(#[case] request: &[u8], #[case] asks: bool) {
        assert_eq!(asks_size(request), asks);
        assert_eq!(size(b"lan-1"), b"\0\x06tsize\x005\0");
    }

    fn port(port: u16) -> Client {
        Client {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            asks_size: false,
        }
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
