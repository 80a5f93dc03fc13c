//! What is peculiar about a firmware, and what it is told to do.

use super::fetches;
use crate::guest::{Board, DomainKind, Image, Talk};
use crate::lab::LabError;
use crate::layout::{Host, Lan, Layout};
use std::path::{Path, PathBuf};

/// The word of the READY line before a guest is saved.
pub const SAVED: &str = "saved";

/// What is peculiar about a firmware.
pub trait Firmware {
    /// What it is called in reports.
    const NAME: &'static str;

    /// Whether it can be saved before it opens the NIC, and be told the run's number later.
    const IS_SAVED: bool;

    /// Whether it waits for a server for longer than a cell is to take, and knows no other way.
    /// What nobody answers is then answered in the server's name.
    const WAITS: bool;

    /// Whether it takes a file from a TFTP server only after it was told the size.
    const ASKS_SIZE: bool;

    /// Prepares what the guest in the domain of this name, with a NIC of this model, is told. DHCP
    /// keeps its address for it.
    /// A guest that is to be saved gets no number of a run.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn tell(
        names: (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError>;

    /// What is typed to a guest that was saved, so that it begins its rounds with this number.
    fn wakes(run: u32) -> String {
        fetches::number(run)
    }

    /// The files of the guest image that a saved guest was made of.
    fn booted_from(image: &Image) -> Vec<&Path> {
        vec![&image.ipxe]
    }

    /// The hosts with the addresses that the guest gives itself.
    fn settle(layout: Layout) -> Layout {
        layout
    }
}

/// What a guest is told to do, and how.
#[derive(Debug)]
pub enum Told {
    /// iPXE's script: where it is, and what it says.
    Script(PathBuf, String),
    /// The settings that iPXE hands on to GRUB, on its command line.
    Settings(String),
    /// What is typed on U-Boot's console, and the machine that it runs on.
    Typed(Board, Talk),
    /// EDK2's disk, what the scripts on it say, and what is typed to have them run at once.
    Disk(PathBuf, String, Talk),
}

impl Told {
    /// What the domain is made of.
    pub fn domain(&self) -> DomainKind<'_> {
        match self {
            Self::Script(path, _) => DomainKind::Ipxe(path),
            Self::Settings(words) => DomainKind::Grub(words),
            Self::Typed(board, _) => DomainKind::Uboot(*board),
            Self::Disk(path, ..) => DomainKind::Edk2(path),
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        match self {
            Self::Script(_, text) | Self::Settings(text) | Self::Disk(_, text, _) => text.clone(),
            Self::Typed(_, talk) => talk.typed(),
        }
    }

    /// What is to be typed, if anything.
    pub fn talk(&self) -> Option<&Talk> {
        match self {
            Self::Typed(_, talk) | Self::Disk(_, _, talk) => Some(talk),
            Self::Script(..) | Self::Settings(_) => None,
        }
    }
}
