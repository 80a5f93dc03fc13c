//! The script that udhcpc runs at every event and waits for.
//!
//! It writes the event into a pipe of PID 1's and waits until PID 1 has acted. It is a
//! script for the shell that SSH starts as well: a program of its own would be more code for
//! an emulator to translate in every restored guest (the agent's own binary was 1500 blocks of
//! 64000; measured: docs/measurements.md#M34).

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Where udhcpc finds its script, [`SCRIPT`].
pub const PATH: &str = "/run/udhcpc-script";

/// Tells [`EVENTS`] what udhcpc exports (busybox, `networking/udhcp/dhcpc.c`), in the order
/// that [`Event::parse`] reads, and waits for a line on the client's own pipe: 60 s, since
/// an event between two requests waits for the request in hand. What fails is the last
/// line of udhcpc's log, which the agent quotes.
const SCRIPT: &str = "#!/bin/sh
echo \"$1|$interface|$ip|$mask|$router|$serverid\" >/run/udhcpc.events &&
read -t 60 go </run/udhcpc.$interface.go
";

/// The pipe of all events.
const EVENTS: &str = "/run/udhcpc.events";

/// An event as udhcpc tells it to its script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `deconfig`, `bound`, `renew`, `leasefail` or `nak`.
    pub name: String,
    /// The client's device.
    pub interface: String,
    /// What was leased.
    pub ip: Option<Ipv4Addr>,
    /// Length of its prefix.
    pub prefix: Option<u8>,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// Who leased it.
    pub server: Option<Ipv4Addr>,
}

impl Event {
    /// From a line of [`SCRIPT`].
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('|').collect();
        let [name, interface, ip, mask, router, server] = fields.try_into().ok()?;
        // `router` can be a list; the first counts.
        let address = |text: &str| text.split_ascii_whitespace().next()?.parse().ok();
        Some(Self {
            name: name.to_owned(),
            interface: interface.to_owned(),
            ip: address(ip),
            prefix: mask.parse().ok(),
            router: address(router),
            server: address(server),
        })
    }
}

/// PID 1's end of the pipes.
#[derive(Debug)]
pub struct Script {
    events: File,
    /// The part of a line that has been read so far.
    heard: VecDeque<u8>,
    /// By device, the pipe that its client's script waits for.
    go: HashMap<String, File>,
}

impl Script {
    /// Puts it where udhcpc finds it.
    pub fn new() -> Result<Self, String> {
        let write = || {
            fs::write(PATH, SCRIPT)?;
            fs::set_permissions(PATH, fs::Permissions::from_mode(0o755))
        };
        write().map_err(|error| format!("cannot write {PATH}: {error}"))?;
        Ok(Self {
            events: pipe(Path::new(EVENTS))?,
            heard: VecDeque::new(),
            go: HashMap::new(),
        })
    }

    /// Prepares for a new client on the device.
    pub fn expect(&mut self, dev: &str) -> Result<(), String> {
        let go = pipe(Path::new(&format!("/run/udhcpc.{dev}.go")))?;
        self.go.insert(dev.to_owned(), go);
        Ok(())
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Result<Vec<Event>, String> {
        let mut some = [0; 1024];
        loop {
            match self.events.read(&mut some) {
                Ok(count) => self.heard.extend(&some[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot hear udhcpc: {error}")),
            }
        }
        let lines = std::iter::from_fn(|| next_line(&mut self.heard));
        let read = |line: String| {
            Event::parse(&line).ok_or_else(|| format!("cannot read udhcpc's event: {line}"))
        };
        lines.map(read).collect()
    }

    /// Lets the client of this event continue.
    pub fn resume(&self, event: &Event) {
        if let Some(mut go) = self.go.get(&event.interface) {
            // A script that was killed meanwhile does not wait any more.
            let _ = go.write_all(b"\n");
        }
    }
}

impl AsFd for Script {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// A new pipe of that name, held open at both ends: neither side has to wait for the other
/// to open it, and nothing is lost in between.
fn pipe(path: &Path) -> Result<File, String> {
    let make = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?,
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true);
        options.custom_flags(libc::O_NONBLOCK).open(path)
    };
    make().map_err(|error| format!("cannot make the pipe {}: {error}", path.display()))
}

/// Takes a whole line off the front, without its end.
fn next_line(heard: &mut VecDeque<u8>) -> Option<String> {
    let end = heard.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = heard.drain(..=end).take(end).collect();
    Some(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Deadline, ready};
    use nix::poll::PollFlags;
    use std::process::Command;

    #[test]
    fn reads_what_udhcpc_exports() {
        let line = "bound|eth0|192.168.1.57|24|192.168.1.1 192.168.1.2|192.168.1.1";
        let got = Event::parse(line).expect("an event");
        assert_eq!(
            (got.name.as_str(), got.interface.as_str()),
            ("bound", "eth0")
        );
        assert_eq!(got.ip, Some(Ipv4Addr::new(192, 168, 1, 57)));
        assert_eq!(got.prefix, Some(24));
        assert_eq!(got.router, Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(got.server, got.router);
    }

    #[test]
    fn a_lease_without_router_is_read_as_that() {
        let got = Event::parse("bound|eth0|10.0.0.2|x||").expect("an event");
        assert_eq!((got.prefix, got.router, got.server), (None, None, None));
        assert_eq!(Event::parse("bound|eth0"), None);
    }

    #[test]
    fn lines_are_taken_once_they_are_whole() {
        let mut heard: VecDeque<u8> = b"one\ntwo\nth".iter().copied().collect();
        let lines: Vec<String> = std::iter::from_fn(|| next_line(&mut heard)).collect();
        assert_eq!(lines, ["one", "two"]);
        heard.extend(b"ree\n");
        assert_eq!(next_line(&mut heard).as_deref(), Some("three"));
    }

    /// The script as udhcpc runs it, with its pipes elsewhere.
    #[test]
    fn the_script_tells_the_event_and_waits() {
        let dir = std::env::temp_dir().join(format!("lanfence-udhcpc-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut events = pipe(&dir.join("udhcpc.events")).unwrap();
        let mut go = pipe(&dir.join("udhcpc.eth0.go")).unwrap();
        let script = SCRIPT.replace("/run", dir.to_str().unwrap());
        let mut command = Command::new("bash");
        command.args(["-c", &script, "script", "bound"]);
        command.env("interface", "eth0").env("ip", "10.0.0.2");
        let mut child = command.spawn().unwrap();
        let readable = ready(events.as_fd(), PollFlags::POLLIN, Deadline::in_ms(10_000));
        assert!(readable.unwrap());
        let mut heard = [0; 100];
        let count = events.read(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"bound|eth0|10.0.0.2|||\n");
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        go.write_all(b"\n").unwrap();
        // The status may be gone: the test of `Children` collects every child.
        assert!(child.wait().map_or(true, |status| status.success()));
        fs::remove_dir_all(&dir).unwrap();
    }
}
