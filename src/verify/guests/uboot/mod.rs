//! The U-Boot guest: a network stack and drivers of its own, without TCP. It sends UDP without
//! checksums and does not look at those of others. It is in the place of the firmware and is
//! told what to do on its console, line by line; then nobody types any more.

use super::firmware::{END, Firmware, Told, fetches, number};
use crate::guest::Talk;
use crate::lab::LabError;
use crate::layout::Lan;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// U-Boot for machine `pc`.
#[derive(Debug)]
pub enum Uboot {}

impl Firmware for Uboot {
    const NAME: &'static str = "U-Boot";
    // It is at its prompt 0.2 s after its start.
    const IS_SAVED: bool = false;
    // As long as it is told to: a file that is held back must not be given up.
    const WAITS: bool = true;
    const ASKS_SIZE: bool = false;

    fn tell(_: &str, lan: &Lan, address: Ipv4Addr, run: Option<u32>) -> Result<Told, LabError> {
        Ok(Told::Typed(talk(lan, address, run.unwrap_or(0))))
    }
}

/// What U-Boot shows while any key keeps it from looking for a disk.
const COUNTDOWN: &str = "stop autoboot";

/// Its prompt.
const PROMPT: &str = "=> ";

/// How many rounds it can go through. No cell needs more than some of these.
const ROUNDS: u32 = 64;

/// Settings of U-Boot (its doc/usage/environment.rst): a lease alone is taken, no file with it;
/// the address that DHCP keeps for it is used where it gets no lease; a request is repeated
/// after a second and 20 times, and nothing is begun anew; a lease is given up after 4 s.
const SETTINGS: [(&str, &str); 5] = [
    ("autoload", "no"),
    ("netretry", "no"),
    ("bootpretryperiod", "4000"),
    ("tftptimeout", "1000"),
    ("tftptimeoutcountmax", "20"),
];

/// Where a file is put: free memory of any machine with 128 MiB.
const LOAD: &str = "1000000";

/// The lines, each shorter than the 512 characters that U-Boot takes.
fn talk(lan: &Lan, address: Ipv4Addr, run: u32) -> Talk {
    let mut settings = "virtio scan".to_owned();
    let (netmask, gateway) = (lan.lan4.netmask().to_string(), lan.gateway.v4.to_string());
    let address = address.to_string();
    let addresses = [
        ("ipaddr", address.as_str()),
        ("netmask", &netmask),
        ("gatewayip", &gateway),
    ];
    for (name, value) in SETTINGS.into_iter().chain(addresses) {
        let _ = write!(settings, "; setenv {name} {value}");
    }
    let mut lines = vec![(COUNTDOWN, String::new()), (PROMPT, settings)];
    let run = number(run);
    let mut round = "run lease".to_owned();
    lines.push((PROMPT, "setenv lease dhcp".to_owned()));
    for (name, at, scheme) in fetches() {
        // It asks for the router's link-layer address in each command, and each command takes a
        // second and more where a driver negotiates the link.
        if scheme != "tftp" || name == "router" {
            continue;
        }
        let server = at.address(lan);
        // A hyphen would be part of no variable's name.
        let variable = name.replace('-', "_");
        let file = format!("tftpboot {LOAD} {server}:{run}-{name}-${{n}}");
        lines.push((PROMPT, format!("setenv {variable} '{file}'")));
        let _ = write!(round, "; run {variable}");
    }
    let numbers: Vec<String> = (1..=ROUNDS).map(|round| round.to_string()).collect();
    let numbers = numbers.join(" ");
    lines.push((PROMPT, format!("for n in {numbers}; do {round}; done")));
    debug_assert!(
        round.ends_with(END),
        "the last file is the one that is held back"
    );
    Talk::new(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn what_is_typed() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let typed = talk(&lan, Ipv4Addr::new(192, 168, 1, 110), 0xffff_ffff).typed();
        assert!(typed.lines().all(|line| line.len() < 512), "{typed}");
        insta::assert_snapshot!(typed);
    }
}
