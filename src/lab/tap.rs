//! A tap that the lab itself holds: to the bridge it is a guest's NIC, without a guest.

use super::error::LabError;
use super::links::BRIDGE;
use super::netns::ip_batch;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Largest frame that a tap hands out: 64 KiB of IP and its Ethernet header with a tag.
pub const LARGEST: usize = 65_536 + 18;

/// Frames that a tap keeps for a reader that is busy; the kernel's default is 1000. This is
/// the most that every kernel takes (measured: docs/measurements.md#M44).
const QUEUE: i16 = i16::MAX;

/// Checks that taps can be made: they come from /dev/net/tun, and libvirt's own message
/// about a missing one names no cure.
///
/// # Errors
/// [`LabError::Host`] with the cure when the device cannot be opened.
pub fn check_device() -> Result<(), LabError> {
    let path = "/dev/net/tun";
    let Err(error) = std::fs::File::options().read(true).write(true).open(path) else {
        return Ok(());
    };
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "`sudo chmod 0666 /dev/net/tun` (udev's default), or run as root"
        }
        _ => "`sudo modprobe tun`; in a container, pass the device in",
    };
    Err(LabError::host_because(
        format!("{path} cannot be opened"),
        error,
        cure,
    ))
}

/// An open tap that is a port of the lab's bridge. It goes when it is dropped.
#[derive(Debug)]
pub struct Tap {
    name: String,
    fd: OwnedFd,
}

impl Tap {
    /// Makes the tap in the caller's network namespace, puts it on the bridge
    /// and brings it up.
    ///
    /// # Errors
    /// When the tap cannot be made, or the bridge is missing.
    pub fn open(name: &str) -> Result<Self, LabError> {
        Self::open_on(name, BRIDGE)
    }

    /// The same on another bridge, whose name must be one that the kernel takes.
    ///
    /// # Errors
    /// When the tap cannot be made, or the bridge is missing.
    pub fn open_on(name: &str, bridge: &str) -> Result<Self, LabError> {
        let fd = make(name, Header::None)
            .map_err(|source| LabError::system(format!("make the tap {name}"), source))?;
        ip_batch(
            &[],
            &format!("link set {name} txqueuelen {QUEUE} master {bridge} up\n"),
        )?;
        let name = name.to_owned();
        Ok(Self { name, fd })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the link down, as a pulled cable does.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn unplug(&self) -> Result<(), LabError> {
        ip_batch(&[], &format!("link set {} down\n", self.name))
    }

    /// Sends a frame as the guest would. When this returns, the frame has met
    /// the filter: the kernel takes it through the bridge within the call.
    ///
    /// # Errors
    /// When the link is down, or the frame is shorter than an Ethernet header.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        nix::unistd::write(&self.fd, frame)?;
        Ok(())
    }

    /// Takes the next frame for the guest into the buffer, which should hold
    /// [`LARGEST`] bytes; its length, or none when there is none now.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match nix::unistd::read(&self.fd, buffer) {
            Ok(length) => Ok(Some(length)),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What stands before each frame that is read from or written to a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Nothing: the kernel finishes checksums before it hands a frame out.
    None,
    /// A virtio-net header, which can leave them to the reader.
    Virtio,
}

/// Opens the tun device and makes it the tap (Documentation/networking/tuntap.rst).
pub(super) fn make(name: &str, header: Header) -> io::Result<OwnedFd> {
    // SAFETY: the path is a C string; the result is checked before use.
    let fd = unsafe {
        libc::open(
            c"/dev/net/tun".as_ptr(),
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: ifreq is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let flags = match header {
        Header::None => libc::IFF_TAP | libc::IFF_NO_PI,
        Header::Virtio => libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR,
    };
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("small constants");
    // SAFETY: the request outlives the call and holds a name that ends with a zero.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}
