//! Sends raw frames from a host of the lab, with pnet's datalink channel.

use super::error::LabError;
use super::netns::Netns;
use pnet::datalink::{self, Channel, Config, DataLinkSender};
use std::sync::{Mutex, PoisonError};

/// An open layer-2 sender on a host's LAN interface.
pub struct Sender {
    name: String,
    channel: Mutex<Box<dyn DataLinkSender>>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// Opens a sender on an interface of the namespace.
    ///
    /// # Errors
    /// When there is no such interface, or the privilege for packet sockets is missing.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self, LabError> {
        let name = format!("{}/{interface}", netns.name());
        let channel = netns.run(|| {
            let found = datalink::interfaces()
                .into_iter()
                .find(|candidate| candidate.name == interface);
            let found = found.ok_or_else(|| {
                LabError::system(
                    format!("find {name}"),
                    std::io::Error::from(std::io::ErrorKind::NotFound),
                )
            })?;
            match datalink::channel(&found, Config::default()) {
                Ok(Channel::Ethernet(sender, _receiver)) => Ok(sender),
                Ok(_) => Err(LabError::system(
                    format!("open {name}"),
                    std::io::Error::other("not an Ethernet channel"),
                )),
                Err(source) => Err(LabError::system(format!("open {name} for sending"), source)),
            }
        })??;
        Ok(Self {
            name,
            channel: Mutex::new(channel),
        })
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn send(&self, frame: &[u8]) -> Result<(), LabError> {
        let sent = self
            .channel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send_to(frame, None);
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(source)) => Err(LabError::system(
                format!("send a frame on {}", self.name),
                source,
            )),
            None => Err(LabError::system(
                format!("send a frame on {}", self.name),
                std::io::Error::other("no room for it"),
            )),
        }
    }
}
