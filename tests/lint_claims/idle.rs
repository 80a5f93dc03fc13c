//! Claims about rules and chains in each other's way.

use crate::claim::{Claim, Shows, claim};
use crate::frames::{FAR, discover, offer, udp, udp_in};
use crate::table::{rule, tree, web, x};
use Shows::{Drops, Passes};

/// Rules that stand where they cannot do what they say.
pub fn idle() -> Vec<Claim> {
    let both = |first: String, second: String, shows: &[Shows]| x(&(first + &second), shows);
    let ip = "<ip protocol='udp'/>";
    vec![
        claim(
            "never-acts",
            "an accept before it decides",
            both(
                rule("accept", -650, "<mac protocolid='ipv4'/>"),
                rule("drop", 500, ip),
                &[Passes(udp(FAR))],
            ),
            both(
                rule("drop", -700, ip),
                rule("accept", -650, "<mac protocolid='ipv4'/>"),
                &[Drops(udp(FAR)), Passes(web())],
            ),
        ),
        claim(
            "redundant-rule",
            "the frames are dropped with it and without it",
            both(
                rule("drop", 1, "<ip/>"),
                rule("drop", 2, ip),
                &[Drops(udp(FAR)), Drops(web())],
            ),
            x(&rule("drop", 1, "<ip/>"), &[Drops(udp(FAR)), Drops(web())]),
        ),
    ]
}

/// Rules of one layer that the other makes useless.
pub fn idle_across_layers() -> Vec<Claim> {
    let both = |first: String, second: String, shows: &[Shows]| x(&(first + &second), shows);
    let ip = "<ip protocol='udp'/>";
    vec![
        claim(
            "layer-2-drops-first",
            "the priority does not help",
            both(
                rule("accept", -1000, "<udp/>"),
                rule("drop", 1000, "<ip/>"),
                &[Drops(udp(FAR)), Drops(web())],
            ),
            both(
                rule("accept", -1000, ip),
                rule("drop", 1000, "<ip/>"),
                &[Passes(udp(FAR)), Drops(web())],
            ),
        ),
        claim(
            "layer-3-drops-after",
            "layer 2 accepts in vain",
            both(
                rule("accept", -1000, ip),
                rule("drop", 1000, "<all/>"),
                &[Drops(udp(FAR)), Drops(web())],
            ),
            both(
                rule("accept", -1000, "<udp/>"),
                rule("drop", 1000, "<all/>"),
                &[Passes(udp(FAR)), Drops(web())],
            ),
        ),
    ]
}

/// A question for a lease that one layer lets through and the other does not.
pub fn leases() -> Vec<Claim> {
    let both = |first: String, second: String, shows: &[Shows]| x(&(first + &second), shows);
    let ask = rule("accept", 100, "<udp srcportstart='68' dstportstart='67'/>");
    vec![
        claim(
            "no-lease",
            "layer 2 drops the question",
            both(
                ask.clone(),
                rule("drop", 200, "<ip srcipaddr='0.0.0.0'/>"),
                &[Drops(discover()), Passes(udp(FAR))],
            ),
            both(
                ask.clone(),
                rule("drop", 200, "<all srcipaddr='0.0.0.0'/>"),
                &[Passes(discover())],
            ),
        ),
        claim(
            "no-lease",
            "the answer belongs to no connection",
            both(
                ask.clone(),
                "<rule action='drop' direction='in' priority='200'><all/></rule>".to_owned(),
                &[Passes(discover()), Drops(offer())],
            ),
            both(
                ask,
                "<rule action='drop' direction='in' priority='200'><tcp/></rule>".to_owned(),
                &[Passes(discover()), Passes(offer())],
            ),
        ),
    ]
}

/// Rules that do a part of what they say.
pub fn idle_in_part() -> Vec<Claim> {
    let both = |first: String, second: String, shows: &[Shows]| x(&(first + &second), shows);
    let peer = |priority: i16| {
        format!(
            "<rule action='drop' direction='inout' priority='{priority}'><ip srcipaddr='{FAR}'/></rule>"
        )
    };
    let sub = "<filter name='sub' chain='ipv4' priority='-700'><rule action='drop' direction='out'/></filter>";
    let behind = |priority: i16| {
        let accept = rule("accept", priority, "<ip/>");
        format!("<filter name='x'>{accept}<filterref filter='sub'/></filter>")
    };
    vec![
        claim(
            "never-acts-one-way",
            "an accept before it decides for one direction",
            both(
                rule("accept", 100, "<ip/>"),
                peer(500),
                &[Passes(udp(FAR)), Drops(udp_in())],
            ),
            both(
                rule("accept", 100, "<ip/>"),
                peer(50),
                &[
                    Drops(udp(FAR)),
                    Drops(udp_in()),
                    Passes(udp("192.168.1.78")),
                ],
            ),
        ),
        claim(
            "chain-never-entered",
            "an accept before the chain decides",
            tree(&[sub, &behind(-900)], &[Passes(udp(FAR))]),
            tree(&[sub, &behind(-600)], &[Drops(udp(FAR))]),
        ),
        claim(
            "drops-no-connection",
            "the connection is accepted",
            both(
                rule("accept", 100, "<udp/>"),
                rule("drop", 200, "<udp dstportstart='7'/>"),
                &[Passes(udp(FAR))],
            ),
            both(
                rule("accept", 100, "<udp/>"),
                rule("drop", 50, "<udp dstportstart='7'/>"),
                &[Drops(udp(FAR))],
            ),
        ),
    ]
}
