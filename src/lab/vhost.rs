//! A tap that is read as vhost-net reads one, without the vhost-net device.
//!
//! vhost-net hands a virtio guest each frame as the tap gives it, with the
//! virtio-net header that the kernel put before it (drivers/vhost/net.c). So what is
//! read here with that header is what the guest would get: a checksum that the
//! header calls unfinished stays unfinished. QEMU's own back end is different, it
//! repairs the server's DHCP messages on the way (`work_around_broken_dhclient`).

use super::error::LabError;
use super::links::BRIDGE;
use super::netns::ip_batch;
use super::tap::{Header, make};
use lanfence_agent::clients::{Arrived, Wire};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Instant;

/// `struct virtio_net_hdr` of linux/virtio_net.h, the kernel's default for taps.
const HEADER: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`, a flag in its first octet.
const NEEDS_CSUM: u8 = 1;

/// Largest frame kept; DHCP messages have under 600 bytes.
const ROOM: usize = 2048;

/// An open tap that is a port of the lab's bridge. It goes when it is dropped.
#[derive(Debug)]
pub struct VhostTap(OwnedFd);

impl VhostTap {
    /// Makes the tap in the caller's network namespace, offers the checksum offload
    /// that a virtio guest negotiates, puts it on the bridge and brings it up.
    ///
    /// # Errors
    /// When the tap cannot be made, or the bridge is missing.
    pub fn open(name: &str) -> Result<Self, LabError> {
        let failed = |source| LabError::system(format!("make the tap {name}"), source);
        let fd = make(name, Header::Virtio).map_err(failed)?;
        // SAFETY: this ioctl takes a number, no pointer.
        let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::TUN_F_CSUM) };
        if done < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        ip_batch(&[], &format!("link set {name} master {BRIDGE} up\n"))?;
        Ok(Self(fd))
    }
}

impl Wire for VhostTap {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        // All zeros: the frame is finished and not to be cut up.
        let bytes = [&[0; HEADER][..], frame].concat();
        nix::unistd::write(&self.0, &bytes)?;
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Option<Arrived>> {
        let mut buffer = vec![0; HEADER + ROOM];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ms = left.as_micros().div_ceil(1000);
            let wait = PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], wait) {
                Ok(0) if left.is_zero() => return Ok(None),
                Ok(0) | Err(nix::Error::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            match nix::unistd::read(&self.0, &mut buffer) {
                Ok(length) if length > HEADER => {
                    return Ok(Some(Arrived {
                        frame: buffer[HEADER..length].to_vec(),
                        pending: buffer[0] & NEEDS_CSUM != 0,
                    }));
                }
                Ok(_) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
