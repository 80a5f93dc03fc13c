//! The U-Boot guest: a network stack and drivers of its own, without TCP. It sends UDP without
//! checksums and does not look at those of others. It is in the place of the firmware and is
//! told what to do on its console, line by line; then nobody types any more.

use super::firmware::{END, Firmware, Told, fetches, number};
use crate::guest::{Board, Talk};
use crate::lab::LabError;
use crate::layout::{Host, Lan};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// U-Boot for machine `pc`, and for MIPS Malta where only that one has a driver.
#[derive(Debug)]
pub enum Uboot {}

impl Firmware for Uboot {
    const NAME: &'static str = "U-Boot";
    // It is at its prompt 0.2 s after its start.
    const IS_SAVED: bool = false;
    // As long as it is told to: a file that is held back must not be given up.
    const WAITS: bool = true;
    const ASKS_SIZE: bool = false;

    fn tell(
        (_, nic): (&str, &str),
        lan: &Lan,
        guest: &Host,
        run: Option<u32>,
    ) -> Result<Told, LabError> {
        let board = Board::of_nic(nic);
        let talk = talk(board, lan, guest.v4, run.unwrap_or(0));
        Ok(Told::Typed(board, talk))
    }
}

/// What U-Boot shows on a PC while any key keeps it from looking for a disk.
const COUNTDOWN: &str = "stop autoboot";

/// What is peculiar about U-Boot on a machine.
struct Traits {
    /// Its prompt.
    prompt: &'static str,
    /// Where a file is put: free memory that is mapped.
    load: &'static str,
    /// What it says and is told before it is at its prompt.
    before: Option<&'static str>,
    /// What it has to look for itself.
    first: &'static str,
}

fn traits(board: Board) -> Traits {
    match board {
        Board::Pc => Traits {
            prompt: "=> ",
            load: "1000000",
            before: Some(COUNTDOWN),
            first: "virtio scan; ",
        },
        // It waits for no key, and its NIC is there.
        Board::Malta => Traits {
            prompt: "maltael # ",
            load: "81000000",
            before: None,
            first: "",
        },
    }
}

/// How many rounds it can go through. No cell needs more than some of these.
const ROUNDS: u32 = 64;

/// Settings of U-Boot (its doc/usage/environment.rst): a lease alone is taken, no file with it;
/// the address that DHCP keeps for it is used where it gets no lease; a request is repeated
/// every quarter of a second and 200 times, by its clock, which is off on some machines, and nothing is begun anew; a lease is given up after 4 s.
const SETTINGS: [(&str, &str); 5] = [
    ("autoload", "no"),
    ("netretry", "no"),
    ("bootpretryperiod", "4000"),
    ("tftptimeout", "250"),
    ("tftptimeoutcountmax", "200"),
];

/// Before each file. U-Boot asks from port 1024 and the milliseconds of its clock, and a command may take less
/// than one: then what still comes for one file, be it the file or its refusal, is taken for the
/// next one, which is never asked for.
const PAUSE: &str = "sleep 0.002";

/// The lines, each shorter than the 256 characters that U-Boot takes.
fn talk(board: Board, lan: &Lan, address: Ipv4Addr, run: u32) -> Talk {
    let Traits {
        prompt,
        load,
        before,
        first,
    } = traits(board);
    let typed = |words: &[(&str, &str)]| {
        let set = words
            .iter()
            .map(|(name, value)| format!("setenv {name} {value}"));
        set.collect::<Vec<_>>().join("; ")
    };
    let (netmask, gateway) = (lan.lan4.netmask().to_string(), lan.gateway.v4.to_string());
    let address = address.to_string();
    let addresses = [
        ("ipaddr", address.as_str()),
        ("netmask", &netmask),
        ("gatewayip", &gateway),
    ];
    let before = before.map(|shown| (shown, String::new()));
    let mut lines: Vec<(&str, String)> = before.into_iter().collect();
    lines.push((prompt, format!("{first}{}", typed(&SETTINGS))));
    lines.push((prompt, typed(&addresses)));
    let run = number(run);
    let mut round = "run lease".to_owned();
    // A DHCP client that gets no lease has forgotten the address that it had.
    let lease = format!("setenv lease 'dhcp || setenv ipaddr {address}'");
    lines.push((prompt, lease));
    for (name, at, scheme) in fetches() {
        // It asks for the router's link-layer address in each command, and each command takes a
        // second and more where a driver negotiates the link.
        if scheme != "tftp" || name == "router" {
            continue;
        }
        let server = at.address(lan);
        // A hyphen would be part of no variable's name.
        let variable = name.replace('-', "_");
        let file = format!("{PAUSE}; tftpboot {load} {server}:{run}-{name}-${{n}}");
        lines.push((prompt, format!("setenv {variable} '{file}'")));
        let _ = write!(round, "; run {variable}");
    }
    let numbers: Vec<String> = (1..=ROUNDS).map(|round| round.to_string()).collect();
    let numbers = numbers.join(" ");
    lines.push((prompt, format!("setenv rounds '{numbers}'")));
    lines.push((prompt, format!("for n in ${{rounds}}; do {round}; done")));
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
    use rstest::rstest;

    #[rstest]
    #[case::on_a_pc("pc", Board::Pc)]
    #[case::on_malta("malta", Board::Malta)]
    fn what_is_typed(#[case] name: &str, #[case] board: Board) {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let typed = talk(board, &lan, Ipv4Addr::new(192, 168, 1, 110), 0xffff_ffff).typed();
        assert!(typed.lines().all(|line| line.len() < 256), "{typed}");
        insta::assert_snapshot!(name, typed);
    }
}
