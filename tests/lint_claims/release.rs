//! What this host has: the releases of iptables and libvirt that the claims are held against.

use lanfence::nwfilter::evaluate::{Backend, IptablesRelease};
use std::process::Command;

/// The release of this host's iptables.
pub fn of_iptables() -> Result<IptablesRelease, String> {
    let version = version("iptables")?;
    IptablesRelease::from_version(&version).ok_or(version)
}

/// Whether this host's libvirt has the back end: nftables since 12.8.
pub fn has(backend: Backend) -> bool {
    backend == Backend::Ebtables || of_libvirt().is_some_and(|version| version >= (12, 8))
}

/// The first two numbers of libvirt's version; none where it cannot be asked.
pub fn of_libvirt() -> Option<(u32, u32)> {
    let version = version("libvirtd").ok()?;
    let mut numbers = version
        .split_whitespace()
        .last()?
        .split('.')
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What a program says with `--version`.
fn version(program: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("--version");
    command.env("PATH", lanfence::pool::search_path());
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {output:?}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
