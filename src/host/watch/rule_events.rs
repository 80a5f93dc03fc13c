//! The kernel's notifications of changes in its rules: what changed, and who did it.

use super::look::is_temporary;
use super::tables::{Part, Place};
use crate::host::gate;
use crate::host::netlink::{Attributes, NETFILTER, NFTABLES, Socket, messages};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::SockProtocol;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// `NFNLGRP_NFTABLES`, as a bit of the mask.
const GROUP: u32 = 1 << 6;
/// Longest wait for the name of who made a change: the tap is closed after it.
const WHO_MS: u16 = 10;

/// `NFPROTO_NETDEV`.
const NETDEV: u8 = 5;
/// Kinds of notifications.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
const NEW_GENERATION: u16 = 15;
/// Room for notifications that come while something is done: a flush of 30,000 rules makes
/// some megabytes.
const BUFFER: usize = 16 << 20;
/// Bytes read before the changes are looked at, also when more are waiting.
const AT_ONCE: usize = 4 << 20;

/// A process that changed rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Culprit {
    /// Its number, as the host's first PID namespace has it.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// What a bunch of notifications comes to.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations occur"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What has to be read again.
    pub parts: BTreeSet<Part>,
    /// The gate's own table was changed.
    pub gate: bool,
    /// Who made changes that concern libvirt's filters or the gate.
    pub culprits: BTreeSet<Culprit>,
    /// Rules were changed that have frames before the bridge: nft's family `netdev`.
    pub early: bool,
    /// Notifications were lost.
    pub overrun: bool,
    /// Chains that were made or renamed, some of which may be gone again.
    chains: BTreeSet<(Place, String)>,
    /// Of the transaction that is being read: something in it counts.
    counts: bool,
}

impl Changes {
    /// Whether nothing was changed that concerns libvirt's filters or the gate.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && !self.gate
    }

    /// Whether libvirt has made chains for the device that it has only while it rebuilds.
    pub fn rebuilds(&self, device: &str) -> bool {
        let mut chains = self.chains.iter();
        chains.any(|(place, name)| is_temporary(*place, name, device))
    }

    /// Takes in one notification.
    fn take(&mut self, kind: u16, payload: &[u8]) {
        let Some((family, attributes)) = payload
            .first()
            .zip(payload.get(NETFILTER..).map(Attributes::within))
        else {
            return;
        };
        if kind == NEW_GENERATION {
            if std::mem::take(&mut self.counts) {
                self.culprits
                    .extend(attributes.number(2).map(|pid| Culprit {
                        pid,
                        name: attributes.text(3).unwrap_or_default(),
                    }));
            }
            return;
        }
        self.early |= *family == NETDEV;
        let table = attributes.text(1).unwrap_or_default();
        if table == gate::TABLE {
            (self.gate, self.counts) = (true, true);
        }
        let Some(place) = Place::of(*family, &table) else {
            return;
        };
        let part = match kind {
            NEW_RULE | DELETE_RULE => Part::Rules(place, attributes.text(2).unwrap_or_default()),
            // A renamed chain is one of these: the rules that lead to it have the new name.
            NEW_CHAIN => {
                self.chains
                    .insert((place, attributes.text(3).unwrap_or_default()));
                Part::Table(place)
            }
            NEW_TABLE | DELETE_TABLE | DELETE_CHAIN => Part::Table(place),
            NEW_ELEMENTS | DELETE_ELEMENTS if place.is_of_nftables() => Part::Table(place),
            _ => return,
        };
        self.counts = true;
        self.parts.insert(part);
    }
}

/// The socket that the notifications come from.
#[derive(Debug)]
pub struct RuleEvents {
    socket: Socket,
    buffer: Vec<u8>,
}

impl AsFd for RuleEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl RuleEvents {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the kernel has no nftables.
    pub fn listen() -> io::Result<Self> {
        Self::listen_with_room(BUFFER)
    }

    /// The same with room for so many bytes of notifications.
    ///
    /// # Errors
    /// As for [`RuleEvents::listen`].
    pub fn listen_with_room(bytes: usize) -> io::Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, GROUP)?;
        socket.grow(bytes);
        Ok(Self {
            socket,
            buffer: Vec::new(),
        })
    }

    /// What has changed since the last call.
    ///
    /// # Errors
    /// The operating system's error; lost notifications are none.
    pub fn changes(&mut self) -> io::Result<Changes> {
        let (mut changes, mut read, mut waited) = (Changes::default(), 0, false);
        while read < AT_ONCE {
            match self.socket.receive(&mut self.buffer) {
                // Who made a change is told behind it, and may be told a moment later.
                Ok(None) if changes.counts && !changes.overrun && !waited => {
                    waited = true;
                    let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                    // A signal ends the waiting; nothing but a name is lost.
                    let _ = poll(&mut polled, WHO_MS);
                }
                Ok(None) => break,
                Ok(Some(bytes)) => {
                    read += bytes.len();
                    for message in messages(bytes) {
                        if message.kind >> 8 == NFTABLES {
                            changes.take(message.kind & 0xff, message.payload);
                        }
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    (changes.overrun, changes.gate) = (true, true);
                    changes.parts.insert(Part::Everything);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }
}
