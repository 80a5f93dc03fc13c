//! What the watcher hears of the kernel and sees in it, on real rules, taps and bridges.

use crate::own_network::{bridge, entered, run};
use lanfence::host::watch::{LinkEvent, Links, Look, RuleEvents, Tables, Ways, look};
use lanfence::lab::Tap;

const BOTH: Ways = Ways {
    from: true,
    to: true,
};

/// Runs one command of ebtables.
fn ebtables(arguments: &str) {
    run("ebtables", &arguments.split(' ').collect::<Vec<_>>());
}

/// Makes the rules of an interface as libvirt's ebtables back end does: complete chains under
/// temporary names, the jumps, the old ones away, the new ones renamed. `between` is called
/// after each command.
fn build(device: &str, extra: &str, old: bool, mut between: impl FnMut(&str)) {
    let mut act = |command: String| {
        ebtables(&command);
        between(&command);
    };
    for (way, hook, option) in [('J', "PREROUTING", "-i"), ('P', "POSTROUTING", "-o")] {
        let chain = format!("libvirt-{way}-{device}");
        act(format!("-t nat -N {chain}"));
        let sub = format!("{way}-{device}-mac");
        act(format!("-t nat -N {sub}"));
        act(format!("-t nat -A {chain} -j {sub}"));
        act(format!("-t nat -A {sub} -s 52:54:00:00:00:01 -j RETURN"));
        act(format!("-t nat -A {sub} -j DROP"));
        act(format!("-t nat -A {chain} -p {extra} -j DROP"));
        act(format!("-t nat -A {hook} {option} {device} -j {chain}"));
    }
    for (way, temporary, hook, option) in [
        ('I', 'J', "PREROUTING", "-i"),
        ('O', 'P', "POSTROUTING", "-o"),
    ] {
        let chain = format!("libvirt-{way}-{device}");
        if old {
            act(format!("-t nat -D {hook} {option} {device} -j {chain}"));
            act(format!("-t nat -F {chain}"));
            act(format!("-t nat -X {chain}"));
            act(format!("-t nat -F {way}-{device}-mac"));
            act(format!("-t nat -X {way}-{device}-mac"));
        }
        act(format!("-t nat -E libvirt-{temporary}-{device} {chain}"));
        act(format!(
            "-t nat -E {temporary}-{device}-mac {way}-{device}-mac"
        ));
    }
}

fn seen(tables: &mut Tables, events: &mut RuleEvents, device: &str) -> Look {
    let changes = events.changes().expect("notifications");
    tables.refresh(&changes.parts).expect("the rules are read");
    look(tables, device)
}

#[test]
fn a_rebuild_leads_to_the_device_all_the_time_and_ends_with_the_same_print() {
    if !entered(
        "watch_kernel::a_rebuild_leads_to_the_device_all_the_time_and_ends_with_the_same_print",
    ) {
        return;
    }
    let mut events = RuleEvents::listen().expect("a socket");
    let mut tables = Tables::read().expect("the rules are read");
    assert_eq!(look(&tables, "vnet0").ways, Ways::default());
    let mut first = Vec::new();
    build("vnet0", "0x88b5", false, |_| {
        first.push(seen(&mut tables, &mut events, "vnet0"));
    });
    let proven = *first.last().expect("a look");
    assert_eq!((proven.ways, proven.rebuilding), (BOTH, false));
    assert!(
        !first[3].ways.from,
        "the chain is there, and nothing leads to it yet"
    );
    // Another interface changes nothing for this one.
    build("vnet10", "0x88b5", false, |command| {
        assert_eq!(seen(&mut tables, &mut events, "vnet0"), proven, "{command}");
    });
    // The same filter again, then another.
    for (extra, same) in [("0x88b5", true), ("0x88b6", false)] {
        build("vnet0", extra, true, |command| {
            let now = seen(&mut tables, &mut events, "vnet0");
            assert!(now.ways == BOTH, "{command} opens: {now:?}");
            assert!(
                now.rebuilding || now.print == proven.print || !command.contains("-A"),
                "{command}"
            );
        });
        let now = look(&tables, "vnet0");
        assert_eq!(
            (now.rebuilding, now.print == proven.print),
            (false, same),
            "{extra}"
        );
        // What is read bit by bit is what is there.
        assert_eq!(look(&Tables::read().expect("read"), "vnet0"), now);
    }
}

/// What changes nothing for `vnet0`.
const HARMLESS: &[&str] = &[
    "ebtables -t nat -A PREROUTING -j ACCEPT",
    "ebtables -t nat -I PREROUTING -i vnet9 -j ACCEPT",
    "ebtables -t nat -I PREROUTING -j DROP",
    "ebtables -t nat -N foreign",
    "ebtables -t filter -A FORWARD -j ACCEPT",
    "iptables -A FORWARD -j ACCEPT",
    "nft add table bridge other",
];

/// What lets its frames past the rules, and whether rules lead to it in both directions all
/// the same.
const BAD: &[(&str, bool)] = &[
    ("ebtables -t nat -F", false),
    ("ebtables -t nat -F PREROUTING", false),
    (
        "ebtables -t nat -D POSTROUTING -o vnet0 -j libvirt-O-vnet0",
        false,
    ),
    ("ebtables -t nat -I PREROUTING -j ACCEPT", true),
    ("ebtables -t nat -I PREROUTING -i vnet0 -j ACCEPT", true),
    ("ebtables -t nat -I PREROUTING -i vnet+ -j ACCEPT", true),
    (
        "ebtables -t nat -A PREROUTING -i vnet0 -j libvirt-I-vnet0",
        true,
    ),
    ("ebtables -t nat -I libvirt-I-vnet0 -j ACCEPT", true),
    ("ebtables -t nat -D I-vnet0-mac -j DROP", true),
    ("ebtables -t nat -A libvirt-I-vnet0 -j ACCEPT", true),
    ("nft flush chain bridge nat I-vnet0-mac", true),
    ("nft flush ruleset", false),
    ("nft delete table bridge nat", false),
    ("nft flush table bridge nat", false),
];

#[test]
fn every_way_to_lose_rules_is_seen_and_names_who_did_it() {
    if !entered("watch_kernel::every_way_to_lose_rules_is_seen_and_names_who_did_it") {
        return;
    }
    let mut events = RuleEvents::listen().expect("a socket");
    let mut tables = Tables::read().expect("read");
    let harmless = HARMLESS.iter().map(|it| (*it, None));
    let bad = BAD.iter().map(|(it, leads)| (*it, Some(*leads)));
    let commands = harmless.chain(bad);
    for (command, leads) in commands {
        build("vnet0", "0x88b5", false, |_| {});
        let proven = seen(&mut tables, &mut events, "vnet0");
        let words: Vec<&str> = command.split(' ').collect();
        run(words[0], &words[1..]);
        let changes = events.changes().expect("notifications");
        tables.refresh(&changes.parts).expect("read");
        let now = look(&tables, "vnet0");
        match leads {
            None => assert_eq!(now, proven, "{command}"),
            Some(leads) => {
                assert_ne!(now.print, proven.print, "{command}");
                assert!(!now.rebuilding, "{command}");
                assert_eq!(now.ways == BOTH, leads, "{command}");
                let names: Vec<&str> = changes.culprits.iter().map(|it| it.name.as_str()).collect();
                assert_eq!(names, [words[0]], "{command}");
            }
        }
        run("nft", &["flush", "ruleset"]);
        let _ = events.changes();
        tables = Tables::read().expect("read");
    }
}

/// Deletes the rule before libvirt's lookup that ends so.
fn delete_rule(end: &str) {
    let base = "bridge libvirt_nwfilter_ethernet prerouting";
    let handle = format!("nft -a list chain {base} | sed -n 's/.*{end} # handle //p'");
    let command = format!("nft delete rule {base} handle $({handle})");
    run("sh", &["-ec", &command]);
}

/// Makes the rules of `vnet0` as libvirt's nftables back end does.
fn build_nftables(nft: &mut dyn FnMut(&str) -> Look) -> Look {
    nft("add table TABLE");
    for (base, hook, map, name) in [
        ("prerouting", "prerouting", "vmap-iif", "iif"),
        ("postrouting", "postrouting", "vmap-oif", "oif"),
    ] {
        // Its keys are numbers of devices, not names.
        nft(&format!(
            "add map TABLE {map} {{ type iface_index : verdict; }}"
        ));
        nft(&format!(
            "add chain TABLE {base} {{ type filter hook {hook} priority 0; }}"
        ));
        nft(&format!("add rule TABLE {base} {name} vmap @{map}"));
    }
    let mut proven = Look {
        print: 0,
        ways: Ways::default(),
        rebuilding: false,
    };
    for (end, map) in [("out", "vmap-iif"), ("in", "vmap-oif")] {
        nft(&format!("add chain TABLE vnet0-{end}"));
        nft(&format!(
            "add rule TABLE vnet0-{end} ether type 0x88b5 drop"
        ));
        proven = nft(&format!(
            "add element TABLE {map} {{ vnet0 : jump vnet0-{end} }}"
        ));
    }
    proven
}

#[test]
fn the_rules_of_the_nftables_back_end_are_followed_through_its_maps() {
    if !entered("watch_kernel::the_rules_of_the_nftables_back_end_are_followed_through_its_maps") {
        return;
    }
    for tap in ["vnet0", "vnet5"] {
        run("ip", &["tuntap", "add", tap, "mode", "tap"]);
    }
    let mut events = RuleEvents::listen().expect("a socket");
    let mut tables = Tables::read().expect("read");
    let table = "bridge libvirt_nwfilter_ethernet";
    let mut nft = |command: &str| {
        let command = command.replace("TABLE", table);
        run("nft", &[&command]);
        seen(&mut tables, &mut events, "vnet0")
    };
    let proven = build_nftables(&mut nft);
    assert_eq!((proven.ways, proven.rebuilding), (BOTH, false));
    // Another interface is none of this one's business.
    nft("add chain TABLE vnet5-out");
    assert_eq!(
        nft("add element TABLE vmap-iif { vnet5 : jump vnet5-out }"),
        proven
    );
    // A rebuild: a jump meanwhile, the map's element changes its chain, the chain its name.
    for command in [
        "add chain TABLE n-vnet0-out",
        "add rule TABLE n-vnet0-out ether type 0x88b5 drop",
        "add rule TABLE prerouting iifname vnet0 jump n-vnet0-out",
        "delete element TABLE vmap-iif { vnet0 }",
        "add element TABLE vmap-iif { vnet0 : jump n-vnet0-out }",
    ] {
        let now = nft(command);
        assert!(now.ways == BOTH && now.rebuilding, "{command}: {now:?}");
    }
    delete_rule("jump n-vnet0-out");
    nft("delete chain TABLE vnet0-out");
    assert_eq!(nft("rename chain TABLE n-vnet0-out vnet0-out"), proven);
    // And it is lost.
    let lost = nft("delete element TABLE vmap-oif { vnet0 }");
    assert_eq!(
        lost.ways,
        Ways {
            from: true,
            to: false
        }
    );
}

#[test]
fn what_keeps_frames_from_the_nftables_back_end_is_seen() {
    if !entered("watch_kernel::what_keeps_frames_from_the_nftables_back_end_is_seen") {
        return;
    }
    for tap in ["vnet0", "vnet5"] {
        run("ip", &["tuntap", "add", tap, "mode", "tap"]);
    }
    let mut events = RuleEvents::listen().expect("a socket");
    let mut tables = Tables::read().expect("read");
    let table = "bridge libvirt_nwfilter_ethernet";
    let mut nft = |command: &str| {
        let command = command.replace("TABLE", table);
        run("nft", &[&command]);
        seen(&mut tables, &mut events, "vnet0")
    };
    let proven = build_nftables(&mut nft);
    // What stands before the lookup may let its frames past, or those of another.
    for (name, concerns) in [("vnet0", true), ("vnet5", false)] {
        let now = nft(&format!("insert rule TABLE prerouting iif {name} accept"));
        assert_eq!(now != proven, concerns, "{name}");
        delete_rule("accept");
    }
    assert_eq!(nft("add chain TABLE vnet6-out"), proven);
    // The kernel keeps the rules of a dormant table, and applies none of them.
    let dormant = nft("add table TABLE { flags dormant; }");
    assert_eq!(dormant.ways, Ways::default());
    assert_eq!(nft("add table TABLE"), proven);
}

#[test]
fn lost_notifications_lead_to_a_look_at_everything() {
    if !entered("watch_kernel::lost_notifications_lead_to_a_look_at_everything") {
        return;
    }
    let mut events = RuleEvents::listen_with_room(64 << 10).expect("a socket");
    let mut tables = Tables::read().expect("read");
    build("vnet0", "0x88b5", false, |_| {});
    let proven = seen(&mut tables, &mut events, "vnet0");
    // More than the socket keeps, in transactions that an ordinary user's nft can send.
    run("nft", &["add chain bridge nat many"]);
    let many = "add rule bridge nat many ether type 0x88b7 drop\n".repeat(200);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), many).expect("written");
    let path = file.path().to_str().expect("a path");
    for _ in 0..15 {
        run("nft", &["-f", path]);
    }
    run("nft", &["flush", "chain", "bridge", "nat", "many"]);
    run("ebtables", &["-t", "nat", "-F", "PREROUTING"]);
    let (mut overrun, mut now) = (false, proven);
    for _ in 0..100 {
        let changes = events.changes().expect("lost notifications are no error");
        overrun |= changes.overrun;
        tables.refresh(&changes.parts).expect("read");
        now = look(&tables, "vnet0");
    }
    assert!(overrun, "the socket keeps more than this test thinks");
    assert_eq!(
        now.ways,
        Ways {
            from: false,
            to: true
        }
    );
}

#[test]
fn what_tc_does_with_a_taps_frames_is_heard_of() {
    if !entered("watch_kernel::what_tc_does_with_a_taps_frames_is_heard_of") {
        return;
    }
    bridge();
    let _tap = Tap::open("vnet0").expect("a tap");
    let mut links = Links::listen().expect("a socket");
    let early = || LinkEvent::Early {
        tap: "vnet0".into(),
    };
    run("tc", &["qdisc", "add", "dev", "vnet0", "ingress"]);
    assert_eq!(links.changes().expect("events"), []);
    let filter = "filter add dev vnet0 parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev br0";
    run("tc", &filter.split(' ').collect::<Vec<_>>());
    assert!(links.changes().expect("events").contains(&early()));
    run("tc", &["qdisc", "del", "dev", "vnet0", "ingress"]);
    assert!(links.changes().expect("events").contains(&early()));
}

#[test]
fn taps_are_heard_of_when_they_join_leave_and_change_their_names() {
    if !entered("watch_kernel::taps_are_heard_of_when_they_join_leave_and_change_their_names") {
        return;
    }
    bridge();
    run("ip", &["link", "add", "br1", "type", "bridge"]);
    let mut links = Links::listen().expect("a socket");
    let text = String::from;
    let joined = |tap: &str, bridge: &str| LinkEvent::Joined {
        tap: tap.into(),
        bridge: bridge.into(),
    };
    let tap = Tap::open("vnet0").expect("a tap");
    assert_eq!(links.changes().expect("events"), [joined("vnet0", "br0")]);
    assert_eq!(links.ports().collect::<Vec<_>>(), [("vnet0", "br0")]);
    // What is no tap is no guest.
    run(
        "ip",
        &["link", "add", "v0", "type", "veth", "peer", "name", "v1"],
    );
    run("ip", &["link", "set", "v0", "master", "br0"]);
    assert_eq!(links.changes().expect("events"), []);
    run("ip", &["link", "set", "vnet0", "nomaster"]);
    assert_eq!(
        links.changes().expect("events"),
        [LinkEvent::Left { tap: text("vnet0") }]
    );
    run("ip", &["link", "set", "vnet0", "master", "br1"]);
    assert_eq!(links.changes().expect("events"), [joined("vnet0", "br1")]);
    run("ip", &["link", "set", "vnet0", "down"]);
    run("ip", &["link", "set", "vnet0", "name", "x"]);
    let renamed = LinkEvent::Renamed {
        from: text("vnet0"),
        to: text("x"),
        bridge: Some(text("br1")),
    };
    assert_eq!(links.changes().expect("events"), [renamed]);
    run("ip", &["link", "set", "x", "up"]);
    let before = links.counters("x").expect("an answer").expect("a tap");
    tap.write(&[0xff; 60]).expect("it is up");
    let now = links.counters("x").expect("an answer").expect("a tap");
    let carried = now.since(before);
    assert_eq!((carried.frames_from, carried.bytes_from), (1, 60));
    assert_eq!(links.counters("nothing").expect("an answer"), None);
    drop(tap);
    assert_eq!(
        links.changes().expect("events"),
        [LinkEvent::Gone { tap: text("x") }]
    );
    // A watcher that starts later knows what is there.
    let _tap = Tap::open("vnet1").expect("a tap");
    let links = Links::listen().expect("a socket");
    assert_eq!(links.ports().collect::<Vec<_>>(), [("vnet1", "br0")]);
}
