//! The iPXE guest: a script of its own language, saved before it opens the NIC.

mod script;

use super::firmware::{Firmware, Told};
use crate::lab::{LabError, STATE};
use crate::layout::{Host, Lan};
use std::path::PathBuf;

/// iPXE with its own drivers and stack.
#[derive(Debug)]
pub enum Ipxe {}

impl Firmware for Ipxe {
    const NAME: &'static str = "iPXE";
    const IS_SAVED: bool = true;
    const WAITS: bool = false;
    const ASKS_SIZE: bool = false;

    fn tell(
        (name, _): (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError> {
        let path = PathBuf::from(format!("{STATE}/{name}.ipxe"));
        let text = script::script(lan, guest.v4, run);
        match std::fs::write(&path, &text) {
            Ok(()) => Ok(Told::Script(path, text)),
            Err(source) => Err(LabError::File { path, source }),
        }
    }
}
