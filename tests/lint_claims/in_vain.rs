//! Claims about attributes that libvirt leaves out, and rules that no frame matches.

use crate::claim::{Claim, Frame, Shows, claim};
use crate::frames::{FAR, arp_for, from_a_group, udp};
use crate::table::{drop_out, web};
use Shows::{Drops, Dumps, Lost, NoRule, Passes, Rule};

/// Attributes that are in the filter and in no rule.
pub fn left_out() -> Vec<Claim> {
    let claims = [masks_and_ends(), sets()];
    let claims = claims.into_iter().flatten();
    claims
        .map(|(about, bad, shows, good, passes)| {
            let bad = drop_out(bad, &shows);
            claim("left-out", about, bad, drop_out(good, &[Passes(passes)]))
        })
        .collect()
}

/// What is claimed, what triggers it and what that does, what does not and lets the frame pass.
type LeftOut = (&'static str, &'static str, Vec<Shows>, &'static str, Frame);

fn masks_and_ends() -> Vec<LeftOut> {
    vec![
        (
            "a mask without an address",
            "<ip dstipmask='24'/>",
            vec![Dumps("dstipmask='24'"), NoRule("--ip-dst"), Drops(udp(FAR))],
            "<ip dstipaddr='10.0.0.0' dstipmask='24'/>",
            udp(FAR),
        ),
        (
            "a mask without a MAC",
            "<mac srcmacmask='ff:ff:ff:00:00:00'/>",
            vec![Dumps("srcmacmask"), NoRule(" -s "), Drops(udp(FAR))],
            "<mac srcmacaddr='fe:ff:ff:00:00:00' srcmacmask='ff:ff:ff:00:00:00'/>",
            udp(FAR),
        ),
        (
            "a mask of ARP without an address",
            "<arp arpsrcipmask='24'/>",
            vec![
                Dumps("arpsrcipmask"),
                NoRule("--arp-ip"),
                Drops(arp_for(FAR)),
            ],
            "<arp arpsrcipaddr='10.0.0.0' arpsrcipmask='24'/>",
            arp_for(FAR),
        ),
        (
            "an end of ports without a start",
            "<ip protocol='tcp' dstportend='79'/>",
            vec![Dumps("dstportend='79'"), NoRule("--ip-dport"), Drops(web())],
            "<ip protocol='tcp' dstportstart='1' dstportend='79'/>",
            web(),
        ),
        (
            "an end of ports without a start at layer 3",
            "<tcp dstportend='79'/>",
            vec![Dumps("dstportend='79'"), NoRule("--dport"), Drops(web())],
            "<tcp dstportstart='1' dstportend='79'/>",
            web(),
        ),
        (
            "an end of addresses without a start",
            "<all dstipto='10.0.0.9'/>",
            vec![Dumps("dstipto"), NoRule("iprange"), Drops(udp(FAR))],
            "<all dstipfrom='10.0.0.1' dstipto='10.0.0.9'/>",
            udp(FAR),
        ),
        (
            "a range beside an address",
            "<all dstipaddr='192.168.1.77' dstipfrom='10.0.0.1' dstipto='10.0.0.9'/>",
            vec![
                Dumps("dstipfrom"),
                NoRule("iprange"),
                Drops(udp(FAR)),
                Passes(udp("10.0.0.5")),
            ],
            "<all dstipfrom='10.0.0.1' dstipto='10.0.0.9'/>",
            udp(FAR),
        ),
    ]
}

fn sets() -> Vec<LeftOut> {
    vec![
        (
            "an ipset without flags",
            "<all ipset='s'/>",
            vec![Dumps("ipset='s'"), NoRule("-set"), Drops(udp(FAR))],
            "<udp dstipaddr='10.0.0.1'/>",
            udp(FAR),
        ),
        (
            "flags without an ipset",
            "<all ipsetflags='dst'/>",
            vec![Dumps("ipsetflags='dst'"), NoRule("-set"), Drops(udp(FAR))],
            "<udp dstipaddr='10.0.0.1'/>",
            udp(FAR),
        ),
    ]
}

/// Rules that are there and that no frame meets.
pub fn matches_nothing() -> Vec<Claim> {
    let nothing = |about, bad, rule, passes: Frame, good, drops: Frame| {
        let bad = drop_out(bad, &[Rule(rule), Passes(passes)]);
        claim(
            "matches-nothing",
            about,
            bad,
            drop_out(good, &[Drops(drops)]),
        )
    };
    vec![
        nothing(
            "none of all addresses",
            "<ip match='no' dstipaddr='0.0.0.0' dstipmask='0'/>",
            "0.0.0.0/0",
            udp(FAR),
            "<ip dstipaddr='0.0.0.0' dstipmask='0'/>",
            udp(FAR),
        ),
        nothing(
            "a gratuitous message with two addresses",
            "<arp gratuitous='true' arpsrcipaddr='1.0.0.1' arpdstipaddr='192.168.1.77'/>",
            "--arp-gratuitous",
            arp_for(FAR),
            "<arp arpsrcipaddr='1.0.0.1' arpdstipaddr='192.168.1.77'/>",
            arp_for(FAR),
        ),
        nothing(
            "flags outside of their mask",
            "<tcp flags='SYN/SYN,ACK'/>",
            "--tcp-flags",
            web(),
            "<tcp flags='SYN/SYN'/>",
            web(),
        ),
        nothing(
            "a range that ends before it begins",
            "<all dstipfrom='192.168.1.99' dstipto='192.168.1.1'/>",
            "192.168.1.99-192.168.1.1",
            udp(FAR),
            "<all dstipfrom='192.168.1.1' dstipto='192.168.1.99'/>",
            udp(FAR),
        ),
        claim(
            "matches-nothing",
            "the MAC of a group as the source",
            drop_out(
                "<mac srcmacaddr='01:00:5e:00:00:01'/>",
                &[Rule("-s 01:00:5e:00:00:01"), Lost(from_a_group())],
            ),
            drop_out("<mac dstmacaddr='02:00:00:00:00:02'/>", &[Drops(udp(FAR))]),
        ),
    ]
}
