use super::*;
use crate::report::examples;

#[test]
fn a_small_run() {
    let mut run = examples::red();
    for cell in &mut run.cells {
        cell.probes.retain(|probe| {
            ["dhcp/discover", "wan-ipv6/udp-53", "tunnels/lsrr"].contains(&probe.id.as_str())
        });
    }
    insta::assert_snapshot!(html(&run, Some("out")));
}
