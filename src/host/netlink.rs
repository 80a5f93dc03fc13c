//! Netlink messages: how they are built, sent, received and taken apart (netlink(7)).

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    setsockopt, socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

/// The kernel must do something, wants to say that it did, and gives all that it has.
pub const REQUEST: u16 = 0x1;
/// The kernel shall say that the message was carried out.
pub const ACK: u16 = 0x4;
/// Everything is asked for, not one thing.
pub const DUMP: u16 = 0x300;
/// What is not there shall be made.
pub const CREATE: u16 = 0x400;
/// The dump was disturbed by a change: what it says may belong to two moments.
const DUMP_INTERRUPTED: u16 = 0x10;

/// nftables' part of netfilter's messages (linux/netfilter/nfnetlink.h).
pub const NFTABLES: u16 = 10;
/// Length of the fixed part of netfilter's messages, whose first byte is the family.
pub const NETFILTER: usize = 4;
/// `NFPROTO_BRIDGE`.
pub const BRIDGE: u8 = 7;

/// Type of the kernel's answer that carries an error, or 0 for "done".
const ERROR: u16 = 2;
/// Type of the message that ends a dump.
const DONE: u16 = 3;
/// Length of a message's header.
const HEADER: usize = 16;
/// Attribute types carry two flags in their upper bits.
const TYPE_MASK: u16 = 0x3fff;
/// An attribute holds attributes.
const NESTED: u16 = 0x8000;
/// The largest message that the kernel makes for a dump is 32 KiB.
const LARGEST: usize = 64 << 10;

/// How often a dump is asked for again that a change disturbed.
const TRIES: usize = 20;

/// A message that is being built.
#[derive(Debug, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    /// Begins a message of a type, with the fixed part that its protocol has.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        // Neither a number nor a sender: each socket waits for one answer at a time.
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Self(bytes)
    }

    /// The bytes, with the length filled in.
    pub fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("messages are far below 4 GiB");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Attributes that will stand in another attribute.
#[derive(Debug, Clone, Default)]
pub struct Nest(Vec<u8>);

/// What attributes are appended to.
pub trait Append: Sized {
    /// Where they stand.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Appends an attribute.
    #[must_use]
    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(self.buffer(), kind, value);
        self
    }

    /// Appends a text that ends with a zero.
    #[must_use]
    fn text(self, kind: u16, text: &str) -> Self {
        self.with(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// Appends a number in network order, as netfilter wants it.
    #[must_use]
    fn number(self, kind: u16, number: u32) -> Self {
        self.with(kind, &number.to_be_bytes())
    }

    /// Appends an attribute that holds attributes.
    #[must_use]
    fn nest(self, kind: u16, inner: &Nest) -> Self {
        self.with(kind | NESTED, &inner.0)
    }
}

impl Append for Message {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Append for Nest {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("an attribute holds less than 64 KiB");
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// A message that came in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its type.
    pub kind: u16,
    flags: u16,
    /// What stands behind the header.
    pub payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// A message that was kept.
    pub fn of(kind: u16, payload: &'a [u8]) -> Self {
        Self {
            kind,
            flags: 0,
            payload,
        }
    }

    /// The kernel's answer to a request, if this is one: nothing, or why not.
    pub fn answer(&self) -> Option<io::Result<()>> {
        if self.kind != ERROR {
            return None;
        }
        let code = self.payload.first_chunk().copied().map(i32::from_ne_bytes);
        Some(match code {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::ErrorKind::InvalidData.into()),
        })
    }

    /// The attributes behind a fixed part of so many bytes.
    pub fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.payload.get(fixed..).unwrap_or_default())
    }
}

/// The messages of what was received at once. What is cut off is left out.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Incoming<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER)?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|n| header[at + n]));
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let length = usize::try_from(word(0)).ok()?;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Incoming {
            kind: half(4),
            flags: half(6),
            payload,
        })
    })
}

/// Attributes, one after the other: type and value.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Those that a value holds.
    pub fn within(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// The first one of a type.
    pub fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone()
            .find_map(|(found, value)| (found == kind).then_some(value))
    }

    /// The number in network order that an attribute holds.
    pub fn number(&self, kind: u16) -> Option<u32> {
        let value = self.find(kind)?.first_chunk()?;
        Some(u32::from_be_bytes(*value))
    }

    /// The text that an attribute holds, up to its zero.
    pub fn text(&self, kind: u16) -> Option<String> {
        self.find(kind).map(text)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, k0, k1] = *self.0.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE_MASK, value))
    }
}

/// Bytes up to the first zero, as text.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// A netlink socket. It stays in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Socket {
    /// Opens a socket of a protocol that hears the groups of the mask.
    ///
    /// # Errors
    /// When the kernel lacks the protocol, or the right to hear the groups is missing.
    pub fn open(protocol: SockProtocol, groups: u32) -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            protocol,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(fd))
    }

    /// Makes the receive buffer larger than the system's limit, where the right to do that
    /// is there.
    pub fn grow(&self, bytes: usize) {
        if setsockopt(&self.0, sockopt::RcvBufForce, &bytes).is_err() {
            let _ = setsockopt(&self.0, sockopt::RcvBuf, &bytes);
        }
    }

    /// Sends messages that stand one behind the other. The kernel has dealt with them when
    /// this returns, and its answers can be received.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), messages, MsgFlags::empty())?;
        Ok(())
    }

    /// Receives what there is into the buffer; nothing when there is nothing now.
    ///
    /// # Errors
    /// `ENOBUFS` when messages were lost, and the operating system's other errors.
    pub fn receive<'a>(&self, buffer: &'a mut Vec<u8>) -> io::Result<Option<&'a [u8]>> {
        buffer.resize(LARGEST, 0);
        loop {
            return match recvfrom::<NetlinkAddr>(self.0.as_raw_fd(), buffer) {
                // Only the kernel is listened to.
                Ok((_, Some(from))) if from.pid() != 0 => continue,
                Ok((length, _)) => Ok(Some(&buffer[..length])),
                Err(nix::Error::EAGAIN) => Ok(None),
                Err(nix::Error::EINTR) => continue,
                Err(errno) => Err(errno.into()),
            };
        }
    }

    /// Sends messages and reads the kernel's answers; the first error is returned.
    ///
    /// # Errors
    /// What the kernel answers to any of the messages.
    pub fn command(&self, messages_sent: &[u8]) -> io::Result<()> {
        self.send(messages_sent)?;
        let (mut buffer, mut done) = (Vec::new(), None);
        while let Some(bytes) = self.receive(&mut buffer)? {
            for answer in messages(bytes).filter_map(|message| message.answer()) {
                answer?;
                done = Some(());
            }
        }
        // The kernel answers before `send` returns.
        done.ok_or_else(|| io::Error::other("the kernel did not answer"))
    }

    /// Asks for a dump and gives every message of it to `each`.
    ///
    /// # Errors
    /// The kernel's error; [`io::ErrorKind::Interrupted`] when a change disturbed the dump:
    /// ask again.
    pub fn dump(&self, request: &[u8], mut each: impl FnMut(Incoming<'_>)) -> io::Result<()> {
        self.send(request)?;
        let (mut buffer, mut disturbed) = (Vec::new(), false);
        // A dump is made as it is read: as long as it is not done, the next read has more.
        while let Some(bytes) = self.receive(&mut buffer)? {
            for message in messages(bytes) {
                disturbed |= message.flags & DUMP_INTERRUPTED != 0;
                if let Some(answer) = message.answer() {
                    answer?;
                } else if message.kind != DONE {
                    each(message);
                } else if disturbed {
                    return Err(io::ErrorKind::Interrupted.into());
                } else {
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Dumps until no change disturbs it, and gives every message of that dump to `each`. What
    /// is gone has nothing in it.
    ///
    /// # Errors
    /// The kernel's error; [`io::ErrorKind::Interrupted`] when changes never end.
    pub fn dump_whole(
        &self,
        request: &Message,
        mut each: impl FnMut(&Incoming<'_>),
    ) -> io::Result<()> {
        let request = request.clone().finish();
        for _ in 0..TRIES {
            // What a disturbed dump gave is thrown away.
            let mut found: Vec<(u16, Vec<u8>)> = Vec::new();
            let done = self.dump(&request, |message| {
                found.push((message.kind, message.payload.to_vec()));
            });
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
                Err(error) => return Err(error),
                Ok(()) => {
                    for (kind, payload) in &found {
                        each(&Incoming::of(*kind, payload));
                    }
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_built_is_taken_apart_again() {
        let inner = Nest::default().text(1, "vnet0").number(2, 7);
        let mut bytes = Message::new(3, REQUEST, &[7, 0, 0, 10])
            .text(1, "abc")
            .nest(4, &inner)
            .finish();
        bytes.extend(Message::new(5, 0, &[]).finish());
        let read: Vec<Incoming<'_>> = messages(&bytes).collect();
        assert_eq!(read.iter().map(|it| it.kind).collect::<Vec<_>>(), [3, 5]);
        let attributes = read[0].attributes(4);
        assert_eq!(attributes.text(1).as_deref(), Some("abc"));
        let within = Attributes::within(attributes.find(4).expect("a nest"));
        assert_eq!(within.text(1).as_deref(), Some("vnet0"));
        assert_eq!(within.number(2), Some(7));
        assert_eq!(within.number(3), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = message.answer();
                for (_, value) in message.attributes(4) {
                    let _ = (text(value), Attributes::within(value).count());
                }
            }
        }
    }
}
