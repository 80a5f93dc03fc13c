//! The checksums of a DHCP server's answers, finished as libvirt has it in its own networks.

use super::error::{LabError, ProgramFault};
use super::netns::Netns;
use crate::nwfilter::evaluate::Backend;
use std::process::Command;

/// libvirt's rule where it uses iptables, but for the chain and the device (measured:
/// docs/measurements.md#M46).
const IPTABLES: &str =
    "-t mangle -A POSTROUTING -o eth0 -p udp --dport 68 -j CHECKSUM --checksum-fill";

/// What it does where it uses nftables, which cannot finish a checksum: a filter of tc, and a queueing
/// discipline to hang it on (the same measurement).
const TC: [&str; 2] = [
    "qdisc add dev eth0 root handle 2: htb",
    "filter add dev eth0 prio 2 protocol ip parent 2: u32 match ip sport 67 ffff match ip dport 68 ffff action csum ip and udp",
];

/// Has the kernel finish the checksums of what the router's DHCP server answers to the LAN.
///
/// # Errors
/// [`LabError`] when the router's namespace cannot be entered, the tool cannot be started, or the
/// kernel has no such target (`xt_CHECKSUM`) or action (`act_csum`).
pub fn finish(router: &Netns, backend: Backend) -> Result<(), LabError> {
    match backend {
        Backend::Ebtables => run(router, "iptables", IPTABLES),
        Backend::Nftables => TC
            .into_iter()
            .try_for_each(|words| run(router, "tc", words)),
    }
}

fn run(router: &Netns, program: &'static str, words: &str) -> Result<(), LabError> {
    let mut command = Command::new(program);
    command.args(words.split(' '));
    let output = tokio::task::block_in_place(|| router.run(|| command.output()))?;
    let shown = format!("{program} {words}");
    let failed = |source| LabError::Program {
        program: shown.clone(),
        source,
    };
    let output = output.map_err(|source| {
        failed(ProgramFault::Start {
            package: if program == "tc" {
                "iproute2"
            } else {
                "iptables"
            },
            source,
        })
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LabError::host(
        format!(
            "the kernel finishes no checksums here: `{shown}` ended with {}: {said}",
            output.status
        ),
        "leave --segment out, or run on a kernel with xt_CHECKSUM (ebtables) or act_csum (nftables)",
    ))
}
