//! The virtio-serial port: finding it, lines in, replies out.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use lanfence_agent::{MAX_LINE, PORT_NAME};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::wait::{Deadline, ready, until};

const PORTS: &str = "/sys/class/virtio-ports";

/// How long the port may take to appear after its driver was loaded.
const APPEAR_MS: u64 = 10_000;
const APPEAR_STEP: Duration = Duration::from_millis(2);

/// How long the host may leave a reply unread before it is thrown away.
const UNREAD_MS: u64 = 30_000;

/// How long a host that seems to have closed its end may take to be back. A
/// request and the notice that its sender has opened the port travel on different
/// queues, and the reply can be ready before that notice.
const BACK_MS: u64 = 1000;
const BACK_STEP: Duration = Duration::from_millis(2);

/// The open port.
#[derive(Debug)]
pub struct Port {
    file: File,
    lines: Lines,
    /// Until when a host that seems to be away is waited for.
    back: Option<Deadline>,
}

/// What reading the port brought.
#[derive(Debug, Default)]
pub struct Batch {
    /// Whole lines.
    pub lines: Vec<Line>,
    /// Nobody has the other end open.
    pub host_away: bool,
}

impl Port {
    /// Waits for the port named [`PORT_NAME`] and opens it.
    pub fn open() -> Result<Self, String> {
        let deadline = Deadline::in_ms(APPEAR_MS);
        let device = until(deadline, APPEAR_STEP, || Ok::<_, String>(find()))?
            .ok_or_else(|| format!("no virtio port {PORT_NAME} within {APPEAR_MS} ms"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&device)
            .map_err(|error| format!("cannot open {}: {error}", device.display()))?;
        Ok(Self {
            file,
            lines: Lines::default(),
            back: None,
        })
    }

    /// Reads what is there.
    pub fn read(&mut self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match self.file.read(&mut buffer) {
                // The driver's word for "the host has closed its end". It can be old
                // news that comes after the first bytes of the next host, since it
                // travels on another queue; so the line in hand is kept.
                Ok(0) => {
                    batch.host_away = true;
                    return Ok(batch);
                }
                Ok(count) => self.lines.push(&buffer[..count], &mut batch.lines),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(batch),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot read the virtio port: {error}")),
            }
        }
    }

    /// Writes one line. A host that went away or does not read loses it; that
    /// is told as `false`.
    pub fn write(&mut self, line: &[u8]) -> Result<bool, String> {
        let deadline = Deadline::in_ms(UNREAD_MS);
        let mut left = line;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(count) => {
                    left = &left[count..];
                    self.back = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.has_room(deadline)? {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot write to the virtio port: {error}")),
            }
        }
        Ok(true)
    }

    /// Waits until the port takes more; `false` when the host stays away or the
    /// deadline has passed.
    fn has_room(&mut self, deadline: Deadline) -> Result<bool, String> {
        // One wait for all replies that are due while the host is away.
        let back = *self.back.get_or_insert_with(|| Deadline::in_ms(BACK_MS));
        let room = until(deadline, BACK_STEP, || {
            if !ready(self.as_fd(), PollFlags::POLLOUT, deadline)? {
                return Ok(Some(false));
            }
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::ZERO)?;
            let seen = fds[0].revents().unwrap_or(PollFlags::empty());
            let away = seen.contains(PollFlags::POLLHUP);
            Ok((!away || back.passed()).then_some(!away))
        });
        let room = room
            .map_err(|errno: Errno| format!("cannot wait for the virtio port: {errno}"))?
            .unwrap_or(false);
        if room {
            self.back = None;
        }
        Ok(room)
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn find() -> Option<PathBuf> {
    let ports = std::fs::read_dir(PORTS).ok()?;
    ports
        .flatten()
        .find(|port| {
            std::fs::read_to_string(port.path().join("name"))
                .is_ok_and(|name| name.trim() == PORT_NAME)
        })
        .map(|port| PathBuf::from("/dev").join(port.file_name()))
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// As it came.
    Whole(Vec<u8>),
    /// More than [`MAX_LINE`] bytes; they are gone.
    TooLong,
}

/// Cuts a stream of bytes into lines of bounded length. Empty lines are left out.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    overflow: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], into: &mut Vec<Line>) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.extend(part);
            if parts.peek().is_some() {
                into.extend(self.finish());
            }
        }
    }

    fn extend(&mut self, part: &[u8]) {
        if self.overflow || self.partial.len() + part.len() > MAX_LINE {
            self.overflow = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(part);
        }
    }

    fn finish(&mut self) -> Option<Line> {
        if std::mem::take(&mut self.overflow) {
            return Some(Line::TooLong);
        }
        let line = std::mem::take(&mut self.partial);
        let blank = line.iter().all(u8::is_ascii_whitespace);
        (!blank).then_some(Line::Whole(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, &mut out);
        }
        out
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"one\ntwo\n\r\n\nthree\nrest";
        let expected = [whole("one"), whole("two"), whole("three")];
        assert_eq!(cut(&[text]), expected);
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]]), expected, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(&bytes), expected);
    }

    #[test]
    fn an_oversize_line_is_told_once_and_forgotten() {
        let chunk = vec![b'x'; 1 << 20];
        let mut pieces: Vec<&[u8]> = vec![&chunk; 5];
        pieces.push(b"tail\nnext\n");
        assert_eq!(cut(&pieces), [Line::TooLong, whole("next")]);
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let exact = vec![b'x'; MAX_LINE];
        assert_eq!(cut(&[&exact, b"\n"]), [Line::Whole(exact.clone())]);
        assert_eq!(cut(&[&exact, b"x\n"]), [Line::TooLong]);
    }

    #[test]
    fn memory_is_given_back_on_overflow() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE + 1], &mut Vec::new());
        assert_eq!(lines.partial.capacity(), 0);
    }
}
