//! The host's network devices: taps that are born, renamed, moved and gone, from the kernel's
//! notifications (rtnetlink(7)).

use crate::host::netlink::{
    Append as _, Attributes, DUMP, Incoming, Message, REQUEST, Socket, messages,
};
use nix::sys::socket::SockProtocol;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// `RTMGRP_LINK` and `RTMGRP_TC`.
const GROUPS: u32 = 1 | 8;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
/// What tc changes: a queueing discipline goes with its filters, without a word of them.
const DELETE_QDISC: u16 = 37;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
/// Length of the fixed part of the messages.
const FIXED: usize = 16;
/// Attributes of a device (linux/if_link.h).
const NAME: u16 = 3;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const COUNTERS: u16 = 23;
const XDP: u16 = 43;
/// How an XDP program is attached; 0 where there is none.
const XDP_ATTACHED: u16 = 2;
const INFO_KIND: u16 = 1;
const BUFFER: usize = 4 << 20;
const TRIES: usize = 20;

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The device that it is a port of, by number.
    pub master: Option<u32>,
    /// It is a tap or a tun: what a guest's NIC is connected to.
    pub is_tap: bool,
    /// Frames and bytes that came from the guest, and went to it, as of the last dump.
    pub counters: Counters,
    /// An XDP program has its frames first.
    pub has_xdp: bool,
}

/// What a tap has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames from the guest.
    pub frames_from: u64,
    /// Bytes from the guest.
    pub bytes_from: u64,
    /// Frames to the guest.
    pub frames_to: u64,
    /// Bytes to the guest.
    pub bytes_to: u64,
}

impl Counters {
    /// What was carried since an earlier reading. A tap that was made anew begins at 0.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let less = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
        Self {
            frames_from: less(self.frames_from, earlier.frames_from),
            bytes_from: less(self.bytes_from, earlier.bytes_from),
            frames_to: less(self.frames_to, earlier.frames_to),
            bytes_to: less(self.bytes_to, earlier.bytes_to),
        }
    }
}

/// What happened to a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// It became a port of a bridge: it is new there, or came back.
    Joined {
        /// The tap.
        tap: String,
        /// The bridge.
        bridge: String,
    },
    /// It is no port any more.
    Left {
        /// The tap.
        tap: String,
    },
    /// It has another name.
    Renamed {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
        /// The bridge that it is a port of.
        bridge: Option<String>,
    },
    /// What has its frames before the bridge was changed: a filter of tc, or an XDP program.
    Early {
        /// The tap.
        tap: String,
    },
    /// It is gone.
    Gone {
        /// The tap.
        tap: String,
    },
}

/// The devices as the kernel has told of them, and the socket that it tells on.
#[derive(Debug)]
pub struct Links {
    events: Socket,
    questions: Socket,
    known: BTreeMap<u32, Link>,
    buffer: Vec<u8>,
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Links {
    /// Begins to listen, then takes the devices that are there.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn listen() -> io::Result<Self> {
        let events = Socket::open(SockProtocol::NetlinkRoute, GROUPS)?;
        events.grow(BUFFER);
        let mut links = Self {
            events,
            questions: Socket::open(SockProtocol::NetlinkRoute, 0)?,
            known: BTreeMap::new(),
            buffer: Vec::new(),
        };
        links.known = links.dump()?;
        Ok(links)
    }

    /// The taps that are ports of a bridge, each with its bridge.
    pub fn ports(&self) -> impl Iterator<Item = (&str, &str)> {
        let taps = self.known.values().filter(|link| link.is_tap);
        taps.filter_map(|tap| Some((tap.name.as_str(), self.bridge(tap)?)))
    }

    /// The tap of this name.
    pub fn find(&self, name: &str) -> Option<&Link> {
        self.known.values().find(|link| link.name == name)
    }

    fn bridge(&self, link: &Link) -> Option<&str> {
        Some(self.known.get(&link.master?)?.name.as_str())
    }

    /// What a tap has carried up to now; none when there is no such device.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn counters(&self, name: &str) -> io::Result<Option<Counters>> {
        let ask = Message::new(GET_LINK, REQUEST, &[0; FIXED]).text(NAME, name);
        self.questions.send(&ask.finish())?;
        let (mut buffer, mut found) = (Vec::new(), None);
        while let Some(bytes) = self.questions.receive(&mut buffer)? {
            for message in messages(bytes).filter(|message| message.kind == NEW_LINK) {
                found = read(&message).map(|(_, link)| link.counters);
            }
        }
        Ok(found)
    }

    /// What has happened since the last call. Where notifications were lost it is what a look
    /// at all devices shows.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn changes(&mut self) -> io::Result<Vec<LinkEvent>> {
        let mut events = Vec::new();
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = self.events.receive(&mut buffer);
            match received {
                Ok(None) => {
                    self.buffer = buffer;
                    return Ok(events);
                }
                Ok(Some(bytes)) => {
                    for message in messages(bytes) {
                        self.take(&message, &mut events);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    events.extend(self.compare_all()?);
                }
                Err(error) => return Err(error),
            }
            self.buffer = buffer;
        }
    }

    fn compare_all(&mut self) -> io::Result<Vec<LinkEvent>> {
        let now = self.dump()?;
        let mut events = Vec::new();
        let gone: Vec<u32> = self
            .known
            .keys()
            .filter(|it| !now.contains_key(it))
            .copied()
            .collect();
        for index in gone {
            self.remove(index, &mut events);
        }
        for (index, link) in now {
            self.insert(index, link, &mut events);
        }
        Ok(events)
    }

    fn dump(&self) -> io::Result<BTreeMap<u32, Link>> {
        let ask = Message::new(GET_LINK, REQUEST | DUMP, &[0; FIXED]).finish();
        for _ in 0..TRIES {
            let mut links = BTreeMap::new();
            match self
                .questions
                .dump(&ask, |message| links.extend(read(&message)))
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map(|()| links),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn take(&mut self, message: &Incoming<'_>, events: &mut Vec<LinkEvent>) {
        if [DELETE_QDISC, NEW_FILTER, DELETE_FILTER].contains(&message.kind) {
            events.extend(self.filtered(message));
            return;
        }
        // Messages of other families tell of a bridge's port, not of a device.
        let Some((index, link)) = read(message) else {
            return;
        };
        match message.kind {
            NEW_LINK => self.insert(index, link, events),
            DELETE_LINK => self.remove(index, events),
            _ => {}
        }
    }

    /// The tap that a message about tc is of (`tcmsg` in linux/rtnetlink.h).
    fn filtered(&self, message: &Incoming<'_>) -> Option<LinkEvent> {
        let index = message.payload.get(4..)?.first_chunk().copied()?;
        let link = self.known.get(&u32::from_ne_bytes(index))?;
        let tap = link.name.clone();
        link.is_tap.then_some(LinkEvent::Early { tap })
    }

    fn insert(&mut self, index: u32, link: Link, events: &mut Vec<LinkEvent>) {
        let bridge = self.bridge(&link).map(str::to_owned);
        let before = self.known.insert(index, link.clone());
        if !link.is_tap {
            return;
        }
        let before = before.unwrap_or_else(|| Link {
            name: link.name.clone(),
            ..Link::default()
        });
        if before.name != link.name {
            events.push(LinkEvent::Renamed {
                from: before.name,
                to: link.name.clone(),
                bridge: bridge.clone(),
            });
        }
        if before.has_xdp != link.has_xdp {
            let tap = link.name.clone();
            events.push(LinkEvent::Early { tap });
        }
        match (before.master == link.master, bridge) {
            (true, _) => {}
            (false, Some(bridge)) => events.push(LinkEvent::Joined {
                tap: link.name,
                bridge,
            }),
            (false, None) => events.push(LinkEvent::Left { tap: link.name }),
        }
    }

    fn remove(&mut self, index: u32, events: &mut Vec<LinkEvent>) {
        if let Some(link) = self.known.remove(&index)
            && link.is_tap
        {
            events.push(LinkEvent::Gone { tap: link.name });
        }
    }
}

/// The number of a device, and what is said of it.
fn read(message: &Incoming<'_>) -> Option<(u32, Link)> {
    let fixed: &[u8; FIXED] = message.payload.first_chunk()?;
    if fixed[0] != 0 {
        return None;
    }
    let attributes = message.attributes(FIXED);
    let number = |value: &[u8]| value.first_chunk().copied().map(u32::from_ne_bytes);
    let info = attributes.find(LINK_INFO).map(Attributes::within);
    let kind = info.and_then(|info| info.text(INFO_KIND));
    let link = Link {
        name: attributes.text(NAME)?,
        master: attributes.find(MASTER).and_then(number),
        is_tap: kind.as_deref() == Some("tun"),
        counters: attributes.find(COUNTERS).map(counters).unwrap_or_default(),
        has_xdp: attributes.find(XDP).is_some_and(|xdp| {
            let attached = Attributes::within(xdp).find(XDP_ATTACHED);
            attached.is_some_and(|how| how.iter().any(|byte| *byte != 0))
        }),
    };
    Some((number(&fixed[4..])?, link))
}

/// The first numbers of `rtnl_link_stats64`, seen from the guest: what the host has received
/// from the tap is what the guest has sent.
fn counters(value: &[u8]) -> Counters {
    let number = |at: usize| {
        let bytes = value.get(at * 8..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(u64::from_ne_bytes).unwrap_or_default()
    };
    Counters {
        frames_from: number(0),
        frames_to: number(1),
        bytes_from: number(2),
        bytes_to: number(3),
    }
}
