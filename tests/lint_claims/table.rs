//! Every lint with what it claims of libvirt, and filters that show it.
//!
//! B1 to B20 in the comments are the bugs of libvirt in docs/libvirt-bugs.md.

use crate::claim::{Claim, Shows, Side, claim};
use crate::frames::{FAR, answer_from, arp_for, bpdu, echo, tagged_arp, tcp, udp, udp_tos};
use crate::idle::{idle, idle_across_layers, idle_in_part, leases};
use crate::in_vain::{left_out, matches_nothing};
use crate::trees::{chains, names, roots};
use Shows::{Binds, BindsWhereTaken, Drops, DropsOn, Dumps, DumpsNot, ForgetsNextTime};
use Shows::{Keeps, NoRule, Passes, Rule};
use lanfence::nwfilter::evaluate::{Backend, IptablesRelease, Portability};

/// Lints that claim nothing of libvirt that a test could show, and why.
pub const WITHOUT: [(&str, &str); 1] = [(
    "many-rules",
    "it is about time, 15 ms a rule, and tests do not hold times against a clock",
)];

/// Lints whose claim has a test of its own, those about definitions in tests/all/definitions.rs.
pub const APART: [&str; 7] = [
    "equal-chain-priority",
    "filterref-dropped",
    "filterref-in-network",
    "no-filterref",
    "no-uuid",
    "second-way",
    "several-filterrefs",
];

/// Every claim.
pub fn claims() -> Vec<Claim> {
    [
        fields(),
        addresses(),
        layer3(),
        idle(),
        idle_across_layers(),
        idle_in_part(),
        leases(),
        left_out(),
        matches_nothing(),
        icmp(),
        releases(),
        ipsets(),
        chains(),
        roots(),
        names(),
    ]
    .concat()
}

/// The filter `x` with this inside.
pub fn x(inside: &str, shows: &[Shows]) -> Side {
    tree(&[&format!("<filter name='x'>{inside}</filter>")], shows)
}

/// Several filters, the last one bound.
pub fn tree(filters: &[&str], shows: &[Shows]) -> Side {
    Side {
        filters: filters.iter().map(|text| (*text).to_owned()).collect(),
        shows: shows.to_vec(),
    }
}

/// A rule that drops.
pub fn drops(direction: &str, element: &str) -> String {
    format!("<rule action='drop' direction='{direction}'>{element}</rule>")
}

/// `x` with one rule that drops frames from the guest.
pub fn drop_out(element: &str, shows: &[Shows]) -> Side {
    x(&drops("out", element), shows)
}

pub fn web() -> crate::claim::Frame {
    tcp("TCP to port 80", 80)
}

/// What depends on the release of iptables that the test runs with.
fn releases() -> Vec<Claim> {
    let taken = |thing| [BindsWhereTaken(thing)];
    vec![
        claim(
            // B8
            "iptables-release",
            "an older iptables has no continue",
            x(
                "<rule action='continue' direction='out'><udp/></rule>",
                &taken(Portability::Continue),
            ),
            x(
                "<rule action='continue' direction='out'><ip protocol='udp'/></rule>",
                &[Dumps("continue"), Binds, Passes(udp(FAR))],
            ),
        ),
        claim(
            "iptables-release",
            "a newer ebtables takes no hexadecimal port from a variable",
            drop_out(
                "<ip protocol='tcp' dstportstart='$PORT'/>",
                &taken(Portability::HexPort),
            ),
            drop_out(
                "<ip protocol='tcp' dstportstart='0x50'/>",
                &[Drops(web()), Passes(tcp("TCP to port 81", 81))],
            ),
        )
        .with(&[("PORT", "0x50")]),
        claim(
            "iptables-release",
            "an older ebtables takes no hexadecimal VLAN number from a variable",
            drop_out("<vlan vlanid='$ID'/>", &taken(Portability::HexVlanId)),
            drop_out("<vlan vlanid='0x64'/>", &[Rule("--vlan-id 100"), Binds]),
        )
        .with(&[("ID", "0x64")]),
        claim(
            "iptables-release",
            "a newer iptables takes no range that ends before it begins",
            drop_out(
                "<udp dstportstart='64' dstportend='53'/>",
                &taken(Portability::BackwardPorts),
            ),
            drop_out("<udp dstportstart='53' dstportend='64'/>", &[Binds]),
        ),
    ]
}

fn fields() -> Vec<Claim> {
    vec![
        claim(
            // B9
            "arp-mask-inherited",
            "the target is compared under the mask of the sender",
            drop_out(
                "<arp arpsrcipaddr='1.0.0.0' arpsrcipmask='8' arpdstipaddr='1.2.3.4'/>",
                &[Rule("--arp-ip-dst 1.0.0.0/8"), Drops(arp_for("1.9.9.9"))],
            ),
            drop_out(
                "<arp arpsrcipaddr='1.0.0.0' arpsrcipmask='8' arpdstipaddr='1.2.3.4' arpdstipmask='32'/>",
                &[Passes(arp_for("1.9.9.9")), Drops(arp_for("1.2.3.4"))],
            ),
        ),
        claim(
            // B10
            "dscp-is-tos",
            "the number is compared with the whole TOS byte",
            drop_out(
                "<ip dscp='46'/>",
                &[
                    Passes(udp_tos("DSCP 46", 46 << 2)),
                    Drops(udp_tos("TOS byte 46", 46)),
                ],
            ),
            drop_out(
                "<all dscp='46'/>",
                &[
                    Drops(udp_tos("DSCP 46", 46 << 2)),
                    Passes(udp_tos("TOS byte 46", 46)),
                ],
            ),
        ),
        claim(
            // B11
            "vlan-encap",
            "a name never matches",
            drop_out(
                "<vlan encap-protocol='arp'/>",
                &[Rule("--vlan-encap"), Passes(tagged_arp())],
            ),
            drop_out("<vlan vlanid='5'/>", &[Drops(tagged_arp())]),
        ),
        claim(
            // B12
            "stp-attributes",
            "the type is compared with the version, which is always 0",
            drop_out(
                "<stp type='0'/>",
                &[Drops(bpdu("type 0", 0, 0)), Drops(bpdu("type 128", 0, 128))],
            ),
            drop_out("<stp/>", &[Drops(bpdu("type 128", 0, 128))]),
        ),
        claim(
            // B31
            "stp-attributes",
            "a range matches what is outside of it",
            drop_out("<stp age='1' age-hi='2'/>", &[Drops(bpdu("age 0", 0, 0))]),
            drop_out("<stp type='1'/>", &[Passes(bpdu("type 0", 0, 0))]),
        )
        .of(Backend::Nftables),
        claim(
            // B12
            "stp-attributes",
            "another type never matches",
            drop_out("<stp type='128'/>", &[Passes(bpdu("type 128", 0, 128))]),
            drop_out("<stp/>", &[Drops(bpdu("type 128", 0, 128))]),
        ),
        claim(
            "inout-turned-round",
            "from the guest the destination is the source",
            x(
                &drops("inout", "<ip dstipaddr='192.168.1.77'/>"),
                &[Passes(udp(FAR)), Drops(answer_from(FAR))],
            ),
            x(
                &drops("out", "<ip dstipaddr='192.168.1.77'/>"),
                &[Drops(udp(FAR)), Passes(answer_from(FAR))],
            ),
        ),
    ]
}

fn addresses() -> Vec<Claim> {
    vec![
        claim(
            "broadcast-mask",
            "addresses beside it match",
            drop_out(
                "<ip dstipaddr='255.255.255.255' dstipmask='24'/>",
                &[Rule("255.255.255.0/24"), Drops(udp("255.255.255.7"))],
            ),
            drop_out(
                "<ip dstipaddr='255.255.255.255' dstipmask='32'/>",
                &[Passes(udp("255.255.255.7")), Drops(udp("255.255.255.255"))],
            ),
        ),
        claim(
            "host-bits",
            "the bits under the mask say nothing",
            drop_out(
                "<ip dstipaddr='192.168.1.1' dstipmask='24'/>",
                &[Rule("192.168.1.0/24"), Drops(udp(FAR))],
            ),
            drop_out(
                "<ip dstipaddr='192.168.1.1' dstipmask='32'/>",
                &[Passes(udp(FAR)), Drops(udp("192.168.1.1"))],
            ),
        ),
        claim(
            "part-of-multicast",
            "other groups do not match",
            drop_out(
                "<ip dstipaddr='224.0.0.0' dstipmask='8'/>",
                &[Passes(udp("239.1.1.1")), Drops(udp("224.0.0.1"))],
            ),
            drop_out(
                "<ip dstipaddr='224.0.0.0' dstipmask='4'/>",
                &[Drops(udp("239.1.1.1")), Drops(udp("224.0.0.1"))],
            ),
        ),
        claim(
            "negated-list",
            "each value is matched by the rule for another",
            drop_out(
                "<ip match='no' dstipaddr='$L'/>",
                &[Drops(udp("10.0.0.1")), Drops(udp("10.0.0.2"))],
            ),
            x(
                "<rule action='accept' direction='out' priority='1'><ip dstipaddr='$L'/></rule>\
                 <rule action='drop' direction='out'><ip/></rule>",
                &[
                    Passes(udp("10.0.0.1")),
                    Passes(udp("10.0.0.2")),
                    Drops(udp(FAR)),
                ],
            ),
        )
        .with(&[("L", "10.0.0.1"), ("L", "10.0.0.2")]),
        claim(
            "learning-lets-out",
            "another source passes until the address is known",
            drop_out(
                "<ip match='no' srcipaddr='$IP'/>",
                &[Dumps("$IP"), Passes(answer_from("10.9.9.9"))],
            ),
            drop_out(
                "<ip match='no' srcipaddr='$L'/>",
                &[Dumps("$L"), Drops(answer_from("10.9.9.9"))],
            ),
        )
        .with(&[("L", "192.168.1.50")]),
    ]
}

fn layer3() -> Vec<Claim> {
    vec![
        claim(
            // B1
            "lost-negation",
            "the negated port matches",
            drop_out(
                "<tcp match='no' dstportstart='80'/>",
                &[
                    DumpsNot("match='no'"),
                    Drops(web()),
                    Passes(tcp("TCP to port 81", 81)),
                ],
            ),
            drop_out(
                "<ip protocol='tcp'/><ip match='no' dstportstart='80'/>",
                &[
                    Dumps("match='no'"),
                    Passes(web()),
                    Drops(tcp("TCP to port 81", 81)),
                ],
            ),
        ),
        claim(
            // B1
            "lost-negation",
            "the sign is that of the source port",
            drop_out(
                "<tcp srcportstart='0' srcportend='65535'/><tcp match='no' dstportstart='80'/>",
                &[DumpsNot("match='no'"), Drops(web())],
            ),
            drop_out(
                "<tcp match='no' srcportstart='1' srcportend='2' dstportstart='80'/>",
                &[Dumps("match='no'"), Passes(web())],
            ),
        ),
        claim(
            "negated-port-pair",
            "one port that differs is enough",
            drop_out(
                "<tcp match='no' srcportstart='1' dstportstart='80'/>",
                &[
                    Rule("! --sport 1 ! --dport 80"),
                    DropsOn(IptablesRelease::Older, web()),
                ],
            ),
            drop_out(
                "<tcp match='no' srcportstart='1' srcportend='2' dstportstart='80'/>",
                &[Rule("! --sport 1:2 ! --dport 80"), Passes(web())],
            ),
        ),
        claim(
            "layer-3",
            "nothing is filtered where the bridge does not call iptables",
            drop_out("<tcp/>", &[Rule("-p tcp"), Passes(web())]),
            drop_out("<ip protocol='tcp'/>", &[Drops(web())]),
        )
        .without_bridge_nf(),
        claim(
            "layer-3-outside-root",
            "rules of root filters come first whatever their priority",
            tree(
                &[
                    "<filter name='sub' chain='ipv4'><rule action='drop' direction='out' priority='1'><tcp/></rule></filter>",
                    "<filter name='x'><filterref filter='sub'/><rule action='accept' direction='out' priority='900'><tcp/></rule></filter>",
                ],
                &[Passes(web())],
            ),
            tree(
                &[
                    "<filter name='sub'><rule action='drop' direction='out' priority='1'><tcp/></rule></filter>",
                    "<filter name='x'><filterref filter='sub'/><rule action='accept' direction='out' priority='900'><tcp/></rule></filter>",
                ],
                &[Drops(web())],
            ),
        ),
    ]
}

/// A rule for frames from the guest.
pub fn rule(action: &str, priority: i16, element: &str) -> String {
    format!("<rule action='{action}' direction='out' priority='{priority}'>{element}</rule>")
}

fn icmp() -> Vec<Claim> {
    vec![
        claim(
            // B2
            "icmp-code-alone",
            "every code matches",
            drop_out("<icmp code='1'/>", &[Drops(echo())]),
            drop_out("<icmp type='8' code='1'/>", &[Passes(echo())]),
        ),
        claim(
            // B2
            "icmp-code-alone",
            "a negated code matches too",
            drop_out("<icmp match='no' code='0'/>", &[Drops(echo())]),
            drop_out("<icmp match='no' type='8' code='0'/>", &[Passes(echo())]),
        ),
        claim(
            // B7
            "icmp-type-inout",
            "there is no rule of it",
            x(
                &drops("inout", "<icmp type='8'/>"),
                &[NoRule("-p icmp"), Passes(echo())],
            ),
            drop_out("<icmp type='8'/>", &[Rule("-p icmp"), Drops(echo())]),
        ),
    ]
}

fn ipsets() -> Vec<Claim> {
    vec![
        claim(
            // B3
            "ipset-ignored",
            "the rule matches every address",
            drop_out(
                "<tcp ipset='s' ipsetflags='dst'/>",
                &[DumpsNot("ipset"), Drops(web())],
            ),
            drop_out(
                "<all ipset='s' ipsetflags='dst'/>",
                &[Dumps("ipset='s' ipsetflags='dst'")],
            ),
        ),
        claim(
            // B4
            "ipset-forgotten",
            "libvirt writes down what it does not read",
            drop_out("<tcp ipset='s'/>", &[ForgetsNextTime("ipset='s'")]),
            drop_out(
                "<all ipset='s' ipsetflags='src'/>",
                &[Keeps("ipset='s' ipsetflags='src'")],
            ),
        ),
    ]
}
