//! What iPXE is told to do: endless rounds of a lease and fetches.

use crate::layout::Lan;
use crate::verify::guests::firmware::{At, END, SAVED, fetches, number};
use lanfence_agent::READY;
use std::net::Ipv4Addr;

/// How long iPXE waits for a file, in milliseconds; an answer takes 5 to 50 ms.
/// It is waited out only where the filter stops what must pass.
const PATIENCE_MS: u32 = 400;

/// The same for the WAN host, which a good filter makes it wait out. Here only the
/// request matters. It leaves at once, since the router is a neighbour by then; a
/// busy machine may take the CPU away from the guest before that, and its clock
/// goes on: in 175 cells with 8 to 12 workers and more on 2 cores every request left
/// in time (measured: docs/measurements.md#M39). iPXE does not sleep meanwhile, so others wait for
/// it too.
const WAN_PATIENCE_MS: u32 = 75;

/// The same for a round's end, whose answer is held back until the next round
/// may begin: time enough to suspend the guest on a busy machine, and to bind a
/// filter to one that cannot be suspended.
const END_PATIENCE_MS: u32 = 4000;

/// DHCP alone. What `dhcp` does besides is to wait 16 s for a router's advertisement
/// (measured: docs/measurements.md#M39). Where it gets no lease iPXE closes the NIC and has no
/// address; it opens it again with the last one, at first the one that DHCP keeps for it, so that
/// the rest can be judged.
const LEASE: &str = "\
clear net0/ip ||
clear net0/netmask ||
clear net0/gateway ||
ifconf --configurator dhcp || goto kept
set ip ${net0/ip}
set netmask ${net0/netmask}
set gateway ${net0/gateway}
goto fetch
:kept
set net0/ip ${ip} ||
set net0/netmask ${netmask} ||
set net0/gateway ${gateway} ||
ifopen net0 ||
:fetch
";

/// The script of the guest that DHCP keeps the address for: endless rounds of a lease
/// and fetches, each file name with the run's and the round's number in it. A guest
/// that is to be saved is told the run's number later, on its console, and repeats it.
pub fn script(lan: &Lan, address: Ipv4Addr, run: Option<u32>) -> String {
    use std::fmt::Write as _;
    let run = run.map_or_else(
        || format!("echo {READY} {SAVED}\nread run\necho {READY} ${{run}}"),
        |run| format!("set run {}", number(run)),
    );
    let (netmask, gateway) = (lan.lan4.netmask(), lan.gateway.v4);
    let mut text = format!(
        "#!ipxe\nset n:int32 0\nset ip {address}\nset netmask {netmask}\nset gateway {gateway}\n{run}\n:round\ninc n\n{LEASE}"
    );
    for (name, at, scheme) in fetches() {
        let server = at.address(lan);
        let patience = match (at, name) {
            (_, END) => END_PATIENCE_MS,
            (At::Wan, _) => WAN_PATIENCE_MS,
            (At::Peer | At::Gateway, _) => PATIENCE_MS,
        };
        // A failure is no news to the script: the sensors tell.
        let _ = writeln!(
            text,
            "imgfetch --timeout {patience} --name {name} {scheme}://{server}/${{run}}-{name}-${{n}} ||\nimgfree {name} ||"
        );
    }
    text + "goto round\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn a_guest_that_is_to_be_saved_is_told_the_run_and_nothing_else() {
        let lan = Lan::of(&Policy::example()).expect("the example has room");
        let script = |run| script(&lan, Ipv4Addr::new(192, 168, 1, 110), run);
        insta::assert_snapshot!(script(None));
        let (told, knows) = (script(None), script(Some(10)));
        let alike = |text: &str| text.split_once(":round").map(|(_, rest)| rest.to_owned());
        assert_eq!(alike(&told), alike(&knows));
        assert!(knows.contains("\nset run 0a\n:round\n"), "{knows}");
    }
}
