//! Claims about chains, whole trees, and names that libvirt does not know.

use crate::claim::{Claim, Shows, Side, claim};
use crate::frames::{FAR, arp_for, bpdu, tcp, udp, udp_in};
use crate::table::{drop_out, drops, tree, web, x};
use Shows::{Binds, Drops, Dumps, DumpsNot, Keeps, NoRules, Passes, Refuses, Rule};

pub fn chains() -> Vec<Claim> {
    let bound = |sub: &str| {
        format!(
            "<filter name='x'><filterref filter='{sub}'/><rule action='drop' direction='out' priority='1000'/></filter>"
        )
    };
    let top = bound("sub");
    vec![
        claim(
            "chain-end-accepts",
            "what runs off the end does not meet the rest of the root chain",
            tree(
                &[
                    "<filter name='sub' chain='ipv4'><rule action='accept' direction='out'><ip protocol='udp'/></rule></filter>",
                    &top,
                ],
                &[Passes(web())],
            ),
            tree(
                &[
                    "<filter name='sub' chain='ipv4'><rule action='accept' direction='out'><ip protocol='udp'/></rule><rule action='return' direction='out' priority='1000'/></filter>",
                    &top,
                ],
                &[Drops(web()), Passes(udp(FAR))],
            ),
        ),
        claim(
            "chain-of-another-protocol",
            "the rule is there and never matches",
            x_in(
                "ipv4",
                &drops("out", "<arp/>"),
                &[Rule("-p ARP"), Passes(arp_for(FAR))],
            ),
            x_in("arp", &drops("out", "<arp/>"), &[Drops(arp_for(FAR))]),
        ),
        claim(
            "chain-priority-0",
            "it is not written down",
            tree(
                &["<filter name='x' chain='ipv4' priority='0'/>"],
                &[DumpsNot("priority")],
            ),
            tree(
                &["<filter name='x' chain='ipv4' priority='1'/>"],
                &[Keeps("priority='1'")],
            ),
        ),
        claim(
            // B13
            "stp-chain-priority",
            "the chain comes behind a rule of priority -400",
            tree(
                &[
                    "<filter name='sub' chain='stp'><rule action='drop' direction='out'/></filter>",
                    ACCEPTING,
                ],
                &[Passes(bpdu("BPDU", 0, 0))],
            ),
            tree(
                &[
                    "<filter name='sub' chain='stp' priority='-810'><rule action='drop' direction='out'/></filter>",
                    ACCEPTING,
                ],
                &[Drops(bpdu("BPDU", 0, 0))],
            ),
        ),
        claim(
            "long-chain-name",
            "an interface with a long name cannot be bound",
            x_in("ipv4-1234567", &drops("out", ""), &[Refuses("")]),
            x_in("ipv4-12345", &drops("out", ""), &[Binds]),
        )
        .on("interface-of-15"),
    ]
}

const ACCEPTING: &str = "<filter name='x'><filterref filter='sub'/><rule action='accept' direction='out' priority='-400'/></filter>";

/// `x` in a chain of its own.
fn x_in(chain: &str, rule: &str, shows: &[Shows]) -> Side {
    let text = format!("<filter name='x' chain='{chain}'>{rule}</filter>");
    tree(&[&text], shows)
}

pub fn roots() -> Vec<Claim> {
    let part = |name: &str, priority: &str, rule: &str| {
        format!("<filter name='{name}' {priority}>{rule}</filter>")
    };
    let first = "<rule action='drop' direction='out' priority='100'><ip protocol='tcp'/></rule>";
    let then = "<rule action='accept' direction='out' priority='200'><ip/></rule>";
    let both = "<filter name='x'><filterref filter='a'/><filterref filter='b'/></filter>";
    vec![
        claim(
            "default-accept",
            "frames of other types pass",
            drop_out("<ip/>", &[Passes(arp_for(FAR)), Drops(udp(FAR))]),
            drop_out("", &[Drops(arp_for(FAR)), Drops(udp(FAR))]),
        ),
        claim(
            "direction-unfiltered",
            "everything passes to the guest",
            drop_out("", &[Passes(udp_in()), Drops(udp(FAR))]),
            x(&drops("inout", ""), &[Drops(udp_in()), Drops(udp(FAR))]),
        ),
        claim(
            "root-priority",
            "the priority of the rules decides",
            tree(
                &[
                    &part("a", "chain='root' priority='900'", first),
                    &part("b", "chain='root' priority='-900'", then),
                    both,
                ],
                &[Keeps("priority='900'"), Drops(web()), Passes(udp(FAR))],
            ),
            tree(
                &[
                    &part("a", "chain='root'", &first.replace("100", "300")),
                    &part("b", "chain='root'", then),
                    both,
                ],
                &[Passes(web()), Passes(udp(FAR))],
            ),
        ),
        claim(
            // B14
            "refused",
            "a negated protocol with a port",
            drop_out(
                "<ip match='no' protocol='tcp' dstportstart='80'/>",
                &[Dumps("match='no'"), Refuses("")],
            ),
            drop_out(
                "<ip protocol='tcp'/><ip match='no' dstportstart='80'/>",
                &[Passes(web()), Drops(tcp("TCP to port 81", 81))],
            ),
        ),
        claim(
            "refused",
            "lists of different lengths",
            drop_out(
                "<ip srcipaddr='$L' dstipaddr='$M'/>",
                &[Dumps("$L"), Refuses("ardinality")],
            ),
            drop_out("<ip srcipaddr='$L' dstipaddr='$M[@2]'/>", &[Binds]),
        )
        .with(&[("L", "10.0.0.1"), ("M", "10.0.0.1"), ("M", "10.0.0.2")]),
        claim(
            "missing-filter",
            "the filter cannot be bound",
            x(
                "<filterref filter='nowhere'/>",
                &[Dumps("nowhere"), Refuses("nowhere")],
            ),
            x("", &[Binds]),
        ),
        claim(
            "unset-variable",
            "a variable that the interface does not give",
            drop_out(
                "<ip dstipaddr='$NOBODY'/>",
                &[Dumps("$NOBODY"), Refuses("NOBODY")],
            ),
            drop_out("<ip dstipaddr='$L'/>", &[Dumps("$L"), Binds]),
        )
        .with(&[("L", "10.0.0.1")]),
    ]
}

/// What libvirt silently ignores or reads as something else.
pub fn names() -> Vec<Claim> {
    let ignored = |about, bad: Side, good: Side| claim("silently-ignored", about, bad, good);
    let good = || drop_out("<ip dstipaddr='1.2.3.4'/>", &[Passes(udp(FAR))]);
    vec![
        ignored(
            // B5
            "an unknown attribute",
            drop_out("<ip dstipadr='1.2.3.4'/>", &[DumpsNot("1.2.3.4"), Drops(udp(FAR))]),
            good(),
        ),
        ignored(
            // B5
            "an unknown element",
            drop_out("<pi dstipaddr='1.2.3.4'/>", &[DumpsNot("1.2.3.4"), Drops(udp(FAR))]),
            good(),
        ),
        ignored(
            "an element of another protocol",
            drop_out(
                "<ip/><arp arpdstipaddr='1.2.3.4'/>",
                &[DumpsNot("1.2.3.4"), Drops(udp(FAR))],
            ),
            good(),
        ),
        ignored(
            // B6
            "a priority out of range",
            x(
                "<rule action='drop' direction='out' priority='5000'/>",
                &[Dumps("priority='500'")],
            ),
            x(
                "<rule action='drop' direction='out' priority='999'/>",
                &[Dumps("priority='999'")],
            ),
        ),
        ignored(
            // B15
            "flags of tcp over IPv6",
            drop_out("<tcp-ipv6 flags='SYN/SYN'/>", &[DumpsNot("flags")]),
            drop_out("<tcp flags='SYN/SYN'/>", &[Dumps("flags='SYN/SYN'")]),
        ),
        ignored(
            // B15
            "the documented name msg-age",
            drop_out("<stp msg-age='5'/>", &[DumpsNot("age")]),
            drop_out("<stp age='5'/>", &[Dumps("age='5'")]),
        ),
        ignored(
            // B18
            "a parameter with a dash in its value",
            tree(
                &[SUB, "<filter name='x'><filterref filter='sub'><parameter name='D' value='a-b'/></filterref></filter>"],
                &[DumpsNot("parameter"), Drops(udp("10.0.0.1"))],
            ),
            tree(
                &[SUB, "<filter name='x'><filterref filter='sub'><parameter name='D' value='10.0.0.2'/></filterref></filter>"],
                &[Dumps("parameter"), Drops(udp("10.0.0.1"))],
            ),
        )
        .with(&[("D", "10.0.0.1")]),
        // An empty filter makes no rule, so that nothing above is due to libvirt's own.
        claim(
            "direction-unfiltered",
            "an empty filter makes no rule",
            x("", &[NoRules, Passes(udp(FAR))]),
            x(&drops("inout", ""), &[Drops(udp(FAR))]),
        ),
    ]
}

const SUB: &str =
    "<filter name='sub'><rule action='drop' direction='out'><ip dstipaddr='$D'/></rule></filter>";
