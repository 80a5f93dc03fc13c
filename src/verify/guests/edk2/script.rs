//! What EDK2's shell is told to do: rounds of a lease, IPv6 and fetches.

use crate::layout::wan::{WAN4, WAN6};
use crate::layout::{Host, Lan};
use crate::verify::guests::firmware::{END, Fetch, SAVED, fetches, number};
use lanfence_agent::READY;
use std::fmt::Write as _;

/// How many rounds it can go through. No cell needs more than some of these.
const ROUNDS: u32 = 64;

/// How often the shell looks for a lease, and how long it waits in between, in microseconds. The
/// client collects offers for 4 s and takes the lease then; the DISCOVER is repeated after that.
const LOOKS: u32 = 120;
const LOOK_US: u32 = 100_000;

/// Seconds after which a request for a file is repeated, and how often it is sent. The answer to
/// the last one of a round is held back until the filter has come or gone.
const REPEAT_S: u32 = 1;
const TIMES: u32 = 5;
const TIMES_OF_END: u32 = 30;

/// What the shell's commands end with where there is no such NIC, and what it then says and ends.
const NOT_FOUND: &str = "0xE";
const NO_NIC: &str = "it has no driver for the NIC";

/// An address of the guest's that it does not have (RFC 3849).
const NOBODYS: &str = "2001:db8::bad";

/// Seconds that a page is waited for.
const PAGE_S: u32 = 5;

/// The script that the shell runs by itself: the rounds, or where the guest is to be saved
/// first, nothing but a line.
pub fn startup(run: Option<u32>) -> String {
    let rest = run.map_or_else(
        || format!("echo {READY} {SAVED}\n"),
        |run| format!("go {}\n", number(run)),
    );
    format!("echo -off\nfs0:\n{rest}")
}

/// What every script with rounds begins with. Its argument is the number of the run. No file that it
/// fetches is looked at: the sensors tell what arrived.
fn beginning() -> String {
    format!(
        "echo -off\nset -v run %1\necho {READY} %run%\nconnect -r\nifconfig -l eth0 > x\n\
         if %lasterror% == {NOT_FOUND} then\n  reset -s \"{NO_NIC}\"\nendif\nfor %n run (1 {ROUNDS})\n"
    )
}

/// The line that fetches a file with the shell's own command.
fn fetch(lan: &Lan, (name, at, scheme): Fetch) -> String {
    let (server, file) = (at.address(lan), format!("%run%-{name}-%n"));
    let times = if name == END { TIMES_OF_END } else { TIMES };
    match scheme {
        "http" => format!("  http -t {PAGE_S} http://{server}/{file} x\n"),
        _ => format!("  tftp -c {times} -t {REPEAT_S} {server} {file} x\n"),
    }
}

/// The line that gives the shell the address that DHCP keeps for the guest.
fn kept(lan: &Lan, guest: &Host) -> String {
    let (netmask, gateway) = (lan.lan4.netmask(), lan.gateway.v4);
    format!(
        "  ifconfig -s eth0 static {} {netmask} {gateway}\n",
        guest.v4
    )
}

/// The script with the rounds of the shell's own commands.
pub fn rounds(lan: &Lan, guest: &Host) -> String {
    let (gateway, peer) = (&lan.gateway, &lan.peer);
    let (mine, local) = (guest.v6, guest.link_local);
    let mut text = beginning();
    // The lease is waited for in the background, for 4 s, and IPv6 takes 3 s of that. To go back to
    // automatic makes the address new, and so looked for before it is used. Now and then the firmware
    // is not done with the one before and takes no other. Neither command ends as if it had failed
    // then; but the ping says what it says of an address that nobody has.
    let _ = write!(
        text,
        "  ifconfig -r eth0\n  ifconfig -l eth0 > y\n  ifconfig6 -r eth0\n  \
         ping6 -n 1 -s {NOBODYS} {WAN6} > u\n  for %v run (1 {TIMES})\n    \
         ifconfig6 -s eth0 man host {mine} gw {}\n    ping6 -n 1 -s {mine} {WAN6} > v\n    \
         comp u v > z\n    if not %lasterror% == 0x0 then\n      goto addressed\n    endif\n    \
         stall {LOOK_US}\n  endfor\n  :addressed\n  type v\n  ping6 -n 1 -s {local} {}\n",
        gateway.link_local, peer.link_local
    );
    // Nothing in the shell says that there is a lease, but the list of addresses changes.
    let _ = write!(
        text,
        "  for %w run (1 {LOOKS})\n    ifconfig -l eth0 > x\n    comp x y > z\n    \
         if not %lasterror% == 0x0 then\n      goto leased\n    endif\n    stall {LOOK_US}\n  endfor\n{}  :leased\n",
        kept(lan, guest)
    );
    for (name, at, scheme) in fetches() {
        text += &fetch(lan, (name, at, scheme));
        if name == "wan" {
            let _ = writeln!(text, "  ping -n 1 {}\n  ping -n 1 {WAN4}", peer.v4);
        }
    }
    text + END_OF_ROUNDS
}

/// What every script with rounds ends with.
const END_OF_ROUNDS: &str = "endfor\nreset -s\n";

/// The script with rounds of the PXE client: a lease and its files, and then the bounds, which the
/// shell fetches when that client has ended.
pub fn rounds_of_pxe(lan: &Lan, guest: &Host) -> String {
    let mut text = beginning() + "  lease.efi\n";
    let (asked, bounds): (Vec<Fetch>, Vec<Fetch>) = fetches()
        .filter(|(.., scheme)| *scheme == "tftp")
        .partition(|(name, ..)| PXE_FILES.contains(name));
    for (name, ..) in asked {
        let _ = writeln!(text, "  {name}.efi %run%-{name}-%n");
    }
    text += "  stop.efi\n";
    text += &kept(lan, guest);
    for file in bounds {
        text += &fetch(lan, file);
    }
    text + END_OF_ROUNDS
}

/// The files that the PXE client fetches: each has a program of its name.
pub const PXE_FILES: [&str; 3] = ["lan", "router", "wan"];

/// The script with rounds of the HTTP boot client: two pages, for each of which it takes a lease;
/// what is fetched by TFTP the shell fetches then.
pub fn rounds_of_http(lan: &Lan, guest: &Host) -> String {
    let (pages, files): (Vec<Fetch>, Vec<Fetch>) =
        fetches().partition(|(.., scheme)| *scheme == "http");
    let mut text = beginning();
    for (name, ..) in pages {
        let _ = writeln!(text, "  {name}.efi %run%-{name}-%n");
    }
    text += &kept(lan, guest);
    for file in files {
        text += &fetch(lan, file);
    }
    text + END_OF_ROUNDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn what_the_shell_is_told() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let guest = lan.layout(1, None).guest;
        insta::assert_snapshot!(rounds(&lan, &guest));
    }

    #[test]
    fn what_the_boot_clients_are_told() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let guest = lan.layout(1, None).guest;
        insta::assert_snapshot!("pxe", rounds_of_pxe(&lan, &guest));
        insta::assert_snapshot!("http", rounds_of_http(&lan, &guest));
    }

    #[test]
    fn a_guest_that_is_to_be_saved_waits_to_be_told_the_run() {
        assert_eq!(
            startup(None),
            "echo -off\nfs0:\necho LANFENCE READY saved\n"
        );
        assert_eq!(startup(Some(10)), "echo -off\nfs0:\ngo 0a\n");
    }
}
