//! The GRUB guest: GRUB's own DHCP, TFTP, TCP and HTTP over iPXE's drivers. GRUB is iPXE's
//! initial RAM disk; iPXE opens the NIC, sends nothing itself and starts it. The script is in
//! GRUB's image (`images/grub/grub.cfg`), made with the guest image. What differs from run to
//! run is in the answer of a DHCP server that there never was: iPXE makes it up of its settings
//! for whatever it starts, as firmware hands on the answer that it booted with.

use super::firmware::{At, Firmware, Told, number};
use crate::lab::LabError;
use crate::layout::{Host, Lan};
use std::net::Ipv4Addr;

/// GRUB for the PC BIOS.
#[derive(Debug)]
pub enum Grub {}

impl Firmware for Grub {
    const NAME: &'static str = "GRUB over iPXE";
    // It boots in the time that iPXE takes to be restored and to fetch an address.
    const IS_SAVED: bool = false;
    // 15 s for a connection, 30 s for a file (GRUB 2.06, net/tcp.c and net/tftp.c).
    const WAITS: bool = true;
    // It waits for the answer to its options (GRUB 2.06, `tftp_open` in net/tftp.c).
    const ASKS_SIZE: bool = true;

    fn tell(_: (&str, &str), lan: &Lan, guest: &Host, run: Option<u32>) -> Result<Told, LabError> {
        Ok(Told::Settings(settings(lan, guest.v4, run.unwrap_or(0))))
    }
}

/// iPXE's command line. The settings are those that GRUB makes variables of
/// (`grub_net_configure_by_dhcp_ack` in its net/bootp.c): the file's name, host name, domain,
/// root path and extensions path of the answer.
fn settings(lan: &Lan, address: Ipv4Addr, run: u32) -> String {
    let server = |at: At| at.address(lan);
    let (peer, gateway, wan) = (server(At::Peer), server(At::Gateway), server(At::Wan));
    let run = number(run);
    format!(
        "set filename {run} && set hostname {peer} && set domain {gateway} && set root-path {wan} && set 18:string {address} && ifopen net0 && imgexec <INITRD>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::verify::guests::firmware::fetches;

    const SCRIPT: &str = include_str!("../../../../images/grub/grub.cfg");

    #[test]
    fn what_the_script_in_the_image_needs_to_know_is_set() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        insta::assert_snapshot!(settings(&lan, Ipv4Addr::new(192, 168, 1, 110), 10));
    }

    /// The judge looks for the requests that it names, the script is in the image.
    #[test]
    fn the_script_in_the_image_fetches_what_is_judged() {
        let fetched: Vec<String> = SCRIPT
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cat ").map(str::to_owned))
            .collect();
        let expected: Vec<String> = fetches()
            .map(|(name, at, scheme)| {
                let server = match at {
                    At::Peer => "peer",
                    At::Gateway => "gateway",
                    At::Wan => "wan",
                };
                format!("({scheme},${server})/$run-{name}-$n")
            })
            .collect();
        assert_eq!(fetched, expected);
    }

    /// Rounds from 1 on without a gap, and enough of them for all passes of a cell.
    #[test]
    fn the_script_counts() {
        let line = SCRIPT.lines().find_map(|line| {
            let line = line.strip_prefix("for n in ")?;
            line.strip_suffix("; do")
        });
        let numbers: Vec<u32> = line
            .expect("a loop")
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert_eq!(numbers, (1..=64).collect::<Vec<u32>>());
    }
}
