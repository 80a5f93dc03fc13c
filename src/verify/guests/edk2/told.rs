//! How EDK2's shell is told what to do: by scripts and programs on a small disk, the first of which
//! it runs by itself.

use super::disk::{self, File};
use super::script;
use crate::frame::to_hex;
use crate::guest::{Image, Talk, variables_path};
use crate::lab::{LabError, STATE};
use crate::verify::guests::firmware::{Told, number};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the shell shows while any key but one makes it run its script at once.
const COUNTDOWN: &str = "any other key to continue";

/// Longest wait for the countdown: the boot takes 4 s of a CPU, and half a minute of a busy machine.
const BOOT: Duration = Duration::from_secs(60);

/// Writes the disk of the guest in the domain of this name: the script with its rounds, and the
/// programs that it runs.
///
/// # Errors
/// When it cannot be written.
pub fn told(
    name: &str,
    run: Option<u32>,
    rounds: &str,
    programs: &[File<'_>],
) -> Result<Told, LabError> {
    let path = PathBuf::from(format!("{STATE}/{name}.img"));
    let startup = script::startup(run);
    let scripts = [
        ("STARTUP", "NSH", startup.as_bytes()),
        ("GO", "NSH", rounds.as_bytes()),
    ];
    // What an earlier guest of this name has changed is no business of this one.
    let _ = std::fs::remove_file(variables_path(name));
    let mut text = format!("{startup}{rounds}");
    // A guest that was saved with another program is another one.
    for (name, _, bytes) in programs {
        let _ = writeln!(text, "{name} {}", to_hex(bytes));
    }
    match disk::write(&path, &[&scripts, programs].concat()) {
        Ok(()) => Ok(Told::Disk(path, text, wake())),
        Err(source) => Err(LabError::File { path, source }),
    }
}

/// What has a saved shell begin its rounds. Empty lines come first: it may lose what is typed in its
/// first moment.
pub fn wakes(run: u32) -> String {
    format!("\r\rgo {}", number(run))
}

/// The files of the guest image that it boots from.
pub fn booted_from(image: &Image) -> Vec<&Path> {
    vec![&image.ovmf_code, &image.ovmf_vars]
}

fn wake() -> Talk {
    Talk::new(vec![(COUNTDOWN, String::new())]).within(BOOT)
}
