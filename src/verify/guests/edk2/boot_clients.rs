//! EDK2's PXE client and its HTTP boot client, each a guest of its own: other DHCP clients than the
//! shell's, which a machine uses that boots over its network. A boot would ask them once and restart
//! the machine for more. So the shell asks them, by a program that calls them as a boot does.

use super::program::{self, Deed};
use super::script::{PXE_FILES, rounds_of_http, rounds_of_pxe};
use super::told::{booted_from, told, wakes};
use crate::guest::Image;
use crate::lab::LabError;
use crate::layout::{Host, Lan};
use crate::verify::guests::firmware::{Firmware, Told, fetches};
use std::path::Path;

/// The PXE client: a lease, and files by its TFTP.
#[derive(Debug)]
pub enum Pxe {}

/// The HTTP boot client: a lease for each page.
#[derive(Debug)]
pub enum HttpBoot {}

/// A program on the disk: its name and what is in it.
type Program = (String, Vec<u8>);

impl Firmware for Pxe {
    const NAME: &'static str = "EDK2's PXE client";
    const IS_SAVED: bool = true;
    // 24 s for a file.
    const WAITS: bool = true;
    const ASKS_SIZE: bool = true;

    fn tell(
        (name, _): (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError> {
        let fetched = fetches().filter(|(name, ..)| PXE_FILES.contains(name));
        let mut programs: Vec<Program> = fetched
            .map(|(name, at, _)| program(name, &Deed::Fetch(at.address(lan))))
            .collect();
        let lease = Deed::Lease(guest.v4, lan.lan4.netmask());
        programs.extend([program("lease", &lease), program("stop", &Deed::Stop)]);
        with_programs(name, run, &rounds_of_pxe(lan, guest), &programs)
    }

    fn wakes(run: u32) -> String {
        wakes(run)
    }

    fn booted_from(image: &Image) -> Vec<&Path> {
        booted_from(image)
    }
}

impl Firmware for HttpBoot {
    const NAME: &'static str = "EDK2's HTTP boot client";
    const IS_SAVED: bool = true;
    const WAITS: bool = true;
    const ASKS_SIZE: bool = true;

    fn tell(
        (name, _): (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError> {
        let pages = fetches().filter(|(.., scheme)| *scheme == "http");
        let programs: Vec<Program> = pages
            .map(|(name, at, _)| program(name, &Deed::Web(at.address(lan))))
            .collect();
        with_programs(name, run, &rounds_of_http(lan, guest), &programs)
    }

    fn wakes(run: u32) -> String {
        wakes(run)
    }

    fn booted_from(image: &Image) -> Vec<&Path> {
        booted_from(image)
    }
}

fn program(name: &str, deed: &Deed) -> Program {
    (name.to_uppercase(), program::file(deed))
}

fn with_programs(
    name: &str,
    run: Option<u32>,
    rounds: &str,
    programs: &[Program],
) -> Result<Told, LabError> {
    let files: Vec<_> = programs
        .iter()
        .map(|(name, bytes)| (name.as_str(), "EFI", bytes.as_slice()))
        .collect();
    told(name, run, rounds, &files)
}
