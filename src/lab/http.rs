//! An HTTP server that has every file: `GET /NAME` is answered with NAME (RFC 1945).
//! That is all that a firmware needs to fetch it.

use super::error::LabError;
use super::netns::Netns;
use super::slowness::Slowness;
use nix::poll::{PollFd, PollFlags, poll};
use rustix::net::sockopt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// HTTP's port.
const PORT: u16 = 80;

/// How often a server that nobody asks looks whether it is to end.
const LOOK_MS: u16 = 20;

/// Longest wait for a request's head; what connects here sends it at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest head that is read.
const HEAD: usize = 8192;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Http {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Http {
    /// Serves at the address of a host in the namespace.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(netns: &Netns, address: Ipv4Addr, slowness: Slowness) -> Result<Self, LabError> {
        let bind = || -> std::io::Result<TcpListener> {
            let listener = TcpListener::bind((address, PORT))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = netns
            .run(bind)?
            .map_err(|error| LabError::system(format!("serve HTTP at {address}"), error))?;
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = netns.begin(move || serve(&listener, &told, slowness.stretch(PATIENCE)))?;
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, end: &AtomicBool, patience: Duration) {
    while !end.load(Ordering::Acquire) {
        let mut asked = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        // A timeout is a look at `end`, and so is an error.
        let _ = poll(&mut asked, LOOK_MS);
        if let Ok((stream, _)) = listener.accept() {
            // A guest that is gone is no concern of the server's.
            let _ = talk(stream, end, patience);
        }
    }
}

/// Reads a request's head and answers it, in one segment that also acknowledges the
/// request and ends the connection: some stacks have room for few frames.
fn talk(mut stream: TcpStream, end: &AtomicBool, patience: Duration) -> std::io::Result<()> {
    sockopt::set_tcp_quickack(&stream, false)?;
    sockopt::set_tcp_cork(&stream, true)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(LOOK_MS.into())))?;
    stream.set_write_timeout(Some(patience))?;
    let until = Instant::now() + patience;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !is_whole(&head) {
        if end.load(Ordering::Acquire) || Instant::now() > until || head.len() > HEAD {
            return Ok(());
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => head.extend(&chunk[..length]),
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
    stream.write_all(&answer(&head))?;
    stream.shutdown(Shutdown::Write)
}

fn is_pause(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Whether the head has come to its end, an empty line.
fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"\r\n\r\n")
}

fn answer(head: &[u8]) -> Vec<u8> {
    let name = head
        .strip_prefix(b"GET /")
        .and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let (status, body) = match name {
        Some(name) => ("200 OK", name),
        None => ("400 Bad Request", &b""[..]),
    };
    let length = body.len();
    let head = format!("HTTP/1.0 {status}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_file(
        b"GET /lan-1 HTTP/1.1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlan-1"
    )]
    #[case::another_method(
        b"POST /x HTTP/1.1\r\n\r\n",
        "HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    )]
    #[case::nothing(b"", "HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")]
    fn answers(#[case] head: &[u8], #[case] expected: &str) {
        assert_eq!(String::from_utf8_lossy(&answer(head)), expected);
    }

    #[test]
    fn a_request_in_pieces_is_answered() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).expect("connects");
        let (stream, _) = listener.accept().expect("a client");
        let server = std::thread::spawn(move || talk(stream, &AtomicBool::new(false), PATIENCE));
        for piece in [&b"GET /lan"[..], b"-1 HTTP/1.1\r\n", b"\r\n"] {
            client.write_all(piece).expect("writes");
        }
        let mut text = String::new();
        client.read_to_string(&mut text).expect("an answer");
        assert!(text.ends_with("\r\n\r\nlan-1"), "{text}");
        server.join().expect("no panic").expect("talks");
    }
}
