//! Every lint with what it claims of libvirt, and filters that show it.
//!
//! B1 to B20 in the comments are the numbers of the bugs in the project's
//! notes on libvirt 11.3.0.

use crate::claim::{Claim, Shows, Side, claim};
use crate::frames::{FAR, answer_from, arp_for, bpdu, echo, tagged_arp, tcp, udp, udp_in, udp_tos};
use Shows::{
    Binds, Drops, Dumps, DumpsNot, ForgetsNextTime, Keeps, NoRule, NoRules, Passes, Refuses, Rule,
};

/// Lints that claim nothing of libvirt that a test could show, and why.
pub const WITHOUT: [(&str, &str); 1] = [(
    "many-rules",
    "it is about time, 15 ms a rule, and tests do not hold times against a clock",
)];

/// Lints whose claim has a test of its own.
pub const APART: [&str; 1] = ["equal-chain-priority"];

/// Every claim.
pub fn claims() -> Vec<Claim> {
    [
        fields(),
        addresses(),
        layer3(),
        icmp(),
        ipsets(),
        chains(),
        roots(),
        names(),
    ]
    .concat()
}

/// The filter `x` with this inside.
fn x(inside: &str, shows: &[Shows]) -> Side {
    tree(&[&format!("<filter name='x'>{inside}</filter>")], shows)
}

/// Several filters, the last one bound.
fn tree(filters: &[&str], shows: &[Shows]) -> Side {
    Side {
        filters: filters.iter().map(|text| (*text).to_owned()).collect(),
        shows: shows.to_vec(),
    }
}

/// A rule that drops.
fn drops(direction: &str, element: &str) -> String {
    format!("<rule action='drop' direction='{direction}'>{element}</rule>")
}

/// `x` with one rule that drops frames from the guest.
fn drop_out(element: &str, shows: &[Shows]) -> Side {
    x(&drops("out", element), shows)
}

fn web() -> crate::claim::Frame {
    tcp("TCP to port 80", 80)
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
                &[Rule("! --sport 1 ! --dport 80"), Drops(web())],
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

fn chains() -> Vec<Claim> {
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

fn roots() -> Vec<Claim> {
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
            // B8
            "refused",
            "continue at layer 3",
            x(
                "<rule action='continue' direction='out'><tcp/></rule>",
                &[Dumps("continue"), Refuses("")],
            ),
            x(
                "<rule action='continue' direction='out'><ip protocol='tcp'/></rule>",
                &[Binds, Passes(web())],
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
    ]
}

/// What libvirt ignores, or reads as something else, without a word.
fn names() -> Vec<Claim> {
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
