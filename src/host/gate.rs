//! The gate: lanfence's own rule that lets nothing through a tap, in either direction.
//!
//! It is for the moments in which libvirt's rules are gone or are being built. It is a table
//! of its own that libvirt does not touch, so it works with both of its back ends, and it
//! stays in the kernel when lanfence is killed: what is closed stays closed. Every change is
//! one transaction of the kernel, made with netlink: no program is started, and no name has
//! to be quoted.

mod wire;

use super::netlink::{Socket, messages, text};
use nix::sys::socket::SockProtocol;
use std::collections::BTreeSet;
use std::io;
use thiserror::Error;
pub use wire::TABLE;
use wire::{Change, NAME_LENGTH};

/// How often something is tried again that another program's change has disturbed.
const TRIES: usize = 50;

/// Why the gate could not be moved or looked at.
#[derive(Debug, Error)]
pub enum GateError {
    /// The process may not change the rules.
    #[error(
        "the gate (table bridge {TABLE}) cannot be {doing}: the right is missing: {source}\n  \
         cure: run lanfence as root, or give it CAP_NET_ADMIN"
    )]
    NoRights {
        /// What was to be done with it.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel has no nftables.
    #[error(
        "the gate (table bridge {TABLE}) cannot be {doing}: the kernel has no nftables for bridges: {source}\n  \
         cure: `modprobe nf_tables`; the kernel needs CONFIG_NF_TABLES and CONFIG_NF_TABLES_BRIDGE"
    )]
    NoNftables {
        /// What was to be done with it.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// What cannot be the name of an interface.
    #[error(
        "{name:?} cannot be the name of an interface: it must have 1 to 15 bytes, and neither a slash nor a zero\n  \
         cure: `ip link` shows the names"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// Something else of the same name is in the way.
    #[error(
        "the gate cannot be {doing}: there is a table bridge {TABLE} that lanfence did not make: {source}\n  \
         cure: look at it (`nft list table bridge {TABLE}`) and delete it"
    )]
    Foreign {
        /// What was to be done with it.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Other programs change the rules without a pause.
    #[error(
        "the gate (table bridge {TABLE}) cannot be {doing}: other programs changed the rules {TRIES} times meanwhile\n  \
         cure: find the program (`nft monitor`), end it, and try again"
    )]
    Disturbed {
        /// What was to be done with it.
        doing: &'static str,
    },
    /// The kernel gives another reason.
    #[error(
        "the gate (table bridge {TABLE}) cannot be {doing}: {source}\n  cure: `nft list table bridge {TABLE}` shows it, `dmesg` may say more"
    )]
    Kernel {
        /// What was to be done with it.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl GateError {
    fn of(doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NoRights { doing, source },
            Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => {
                Self::NoNftables { doing, source }
            }
            Some(libc::EEXIST | libc::EBUSY | libc::EINVAL) => Self::Foreign { doing, source },
            _ => Self::Kernel { doing, source },
        }
    }
}

/// Closes the interfaces: from when this returns, no frame passes them. Those that are
/// closed already stay so. The interfaces need not exist.
///
/// # Errors
/// When the kernel refuses; then nothing is changed.
pub fn close(interfaces: &[&str]) -> Result<(), GateError> {
    let names = keys(interfaces)?;
    if names.is_empty() {
        return Ok(());
    }
    let doing = "closed";
    let socket = open_socket(doing)?;
    let messages = wire::transaction(Change::Add, &names, None);
    let done = socket.command(&messages);
    done.map_err(|source| GateError::of(doing, source))
}

/// Opens the interfaces; those that are not closed stay so. When none is left, the table
/// goes.
///
/// # Errors
/// When the kernel refuses; then nothing is changed, or the names are gone and the table is
/// still there.
pub fn open(interfaces: &[&str]) -> Result<(), GateError> {
    let doing = "opened";
    let wanted: BTreeSet<[u8; NAME_LENGTH]> = keys(interfaces)?.into_iter().collect();
    let socket = open_socket(doing)?;
    for _ in 0..TRIES {
        // The number is taken before the look: what changes later refuses the transaction,
        // so that no element that another lanfence adds meanwhile goes with the table.
        let generation = generation(&socket).map_err(|source| GateError::of(doing, source))?;
        let Some(closed) = look(&socket, doing)? else {
            return Ok(());
        };
        let (names, left): (Vec<_>, Vec<_>) =
            closed.into_iter().partition(|name| wanted.contains(name));
        if names.is_empty() && !left.is_empty() {
            return Ok(());
        }
        let change = if left.is_empty() {
            Change::DeleteTable
        } else {
            Change::Remove
        };
        match socket.command(&wire::transaction(change, &names, Some(generation))) {
            Ok(()) => return Ok(()),
            Err(error) if is_disturbed(&error) => {}
            Err(source) => return Err(GateError::of(doing, source)),
        }
    }
    Err(GateError::Disturbed { doing })
}

/// The interfaces that are closed now.
///
/// # Errors
/// When the kernel does not let this process look.
pub fn closed() -> Result<BTreeSet<String>, GateError> {
    let doing = "looked at";
    let closed = look(&open_socket(doing)?, doing)?;
    Ok(closed.into_iter().flatten().map(|key| text(&key)).collect())
}

/// `ERESTART`: the rules are others than those that the caller had seen.
fn is_disturbed(error: &io::Error) -> bool {
    const ERESTART: i32 = 85;
    error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(ERESTART)
}

/// The names in the set; none at all where there is no table.
fn look(
    socket: &Socket,
    doing: &'static str,
) -> Result<Option<BTreeSet<[u8; NAME_LENGTH]>>, GateError> {
    for _ in 0..TRIES {
        let mut names = BTreeSet::new();
        let done = socket.dump(&wire::ask_for_elements(), |message| {
            names.extend(wire::names(&message));
        });
        match done {
            Ok(()) => return Ok(Some(names)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            Err(error) if is_disturbed(&error) => {}
            Err(source) => return Err(GateError::of(doing, source)),
        }
    }
    Err(GateError::Disturbed { doing })
}

fn generation(socket: &Socket) -> io::Result<u32> {
    socket.send(&wire::ask_for_generation())?;
    let mut buffer = Vec::new();
    while let Some(bytes) = socket.receive(&mut buffer)? {
        for message in messages(bytes) {
            if let Some(answer) = message.answer() {
                answer?;
            } else if let Some(generation) = wire::generation(&message) {
                return Ok(generation);
            }
        }
    }
    Err(io::Error::other("the kernel did not answer"))
}

fn open_socket(doing: &'static str) -> Result<Socket, GateError> {
    let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0);
    socket.map_err(|source| GateError::of(doing, source))
}

/// The names as the kernel compares them: with zeroes up to the full length.
fn keys(interfaces: &[&str]) -> Result<Vec<[u8; NAME_LENGTH]>, GateError> {
    let key = |name: &&str| {
        let bytes = name.as_bytes();
        if bytes.is_empty()
            || bytes.len() >= NAME_LENGTH
            || bytes.iter().any(|it| b"/\0".contains(it))
        {
            return Err(GateError::Name {
                name: (*name).to_owned(),
            });
        }
        let mut key = [0; NAME_LENGTH];
        key[..bytes.len()].copy_from_slice(bytes);
        Ok(key)
    };
    interfaces.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty("")]
    #[case::too_long("sixteen-letters-")]
    #[case::a_path("a/b")]
    #[case::a_zero("a\0b")]
    fn what_cannot_be_an_interface_is_refused(#[case] name: &str) {
        let error = close(&[name]).expect_err("no interface");
        assert!(matches!(error, GateError::Name { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("cure:"), "{text}");
    }

    #[rstest]
    #[case::no_rights(libc::EPERM, "CAP_NET_ADMIN")]
    #[case::no_nftables(libc::EOPNOTSUPP, "modprobe nf_tables")]
    #[case::something_else_of_that_name(libc::EEXIST, "delete it")]
    #[case::anything(libc::ENOMEM, "dmesg")]
    fn each_answer_of_the_kernel_has_its_cure(#[case] errno: i32, #[case] cure: &str) {
        let error = GateError::of("closed", io::Error::from_raw_os_error(errno));
        let text = error.to_string();
        assert!(text.contains(cure), "{text}");
    }
}
