//! Interfaces that lose their filterref with their definition: what lanfence has fenced it knows again,
//! and what was left open on purpose stays open.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge};
use serde_json::Value;
use virt::domain::Domain;

const LIVE: u32 = virt_sys::VIR_DOMAIN_AFFECT_LIVE;

/// Another MAC and no filterref, as of an interface that was detached and attached again, from the next
/// start on: a guest that does nothing never gives a NIC back while it runs.
fn recreate(host: &SmallHost, guest: &Domain, old: u8, new: u8) {
    let [_, xml] = host.definitions(guest);
    let mac = |last: u8| format!("52:54:00:00:00:{last:02x}");
    let xml = xml.replace(&mac(old), &mac(new));
    let xml = xml.replace("<filterref filter='lan-only'/>", "");
    guest.destroy().expect("it runs");
    host.libvirt
        .connection()
        .define_domain_xml(&xml)
        .expect("libvirt takes it");
    guest.create().expect("QEMU starts it");
}

/// State and words of the interface with this MAC.
fn of(found: &Value, last: u8) -> (String, Vec<String>) {
    let mac = format!("52:54:00:00:00:{last:02x}");
    let all = found["interfaces"].as_array().expect("a list");
    let one = all.iter().find(|it| it["mac"] == mac.as_str());
    let one = one.unwrap_or_else(|| panic!("no {mac}: {found:#}"));
    let reasons = one["reasons"].as_array().expect("a list").iter();
    let kinds = reasons.map(|it| it["kind"].as_str().expect("a word").to_owned());
    (
        one["state"].as_str().expect("a word").to_owned(),
        kinds.collect(),
    )
}

fn state(host: &SmallHost, last: u8) -> String {
    of(&host.audit(&[]).1, last).0
}

#[test]
fn one_with_another_mac_is_known_in_the_place_of_the_old_one() {
    let name = "recreated::one_with_another_mac_is_known_in_the_place_of_the_old_one";
    on_a_small_host(name, |host| {
        let guest = host.start("web", &(on_bridge(1, "") + &on_bridge(2, "")));
        let mac = "52:54:00:00:00:01";
        host.lanfence(&["apply", "web", "--interface", mac])
            .ended(0);
        recreate(host, &guest, 1, 3);
        let (_, found) = host.audit(&[]);
        let (state_of, kinds) = of(&found, 3);
        assert_eq!(state_of, "open", "{found:#}");
        assert!(kinds.contains(&"recreated".to_owned()), "{found:#}");
        assert!(
            !of(&found, 2).1.contains(&"recreated".to_owned()),
            "{found:#}"
        );
        let ran = host.lanfence(&["repair"]).ended(0);
        assert!(!ran.out.contains("00:02"), "{}", ran.out);
        assert_eq!(state(host, 3), "fenced");
        assert_eq!(state(host, 2), "open", "it was left open on purpose");
        // It has taken the old one's place: another one beside it is another matter.
        guest
            .attach_device_flags(&on_bridge(4, ""), LIVE)
            .expect("libvirt takes it");
        host.lanfence(&["repair"]).ended(0);
        assert_eq!(state(host, 4), "open");
    });
}

#[test]
fn one_whose_filter_is_in_no_definition_any_more_is_known_by_its_mac() {
    let name = "recreated::one_whose_filter_is_in_no_definition_any_more_is_known_by_its_mac";
    on_a_small_host(name, |host| {
        let guest = host.start("web", &on_bridge(1, ""));
        let [_, bare] = host.definitions(&guest);
        host.lanfence(&["apply", "web"]).ended(0);
        let strip = || {
            host.libvirt
                .connection()
                .define_domain_xml(&bare)
                .expect("libvirt takes it");
            guest.destroy().expect("it runs");
            guest.create().expect("QEMU starts it");
        };
        strip();
        let (_, found) = host.audit(&[]);
        assert!(
            of(&found, 1).1.contains(&"stripped".to_owned()),
            "{found:#}"
        );
        host.lanfence(&["repair"]).ended(0);
        assert_eq!(state(host, 1), "fenced");
        // Who takes it away for good says so, by whatever he has done before.
        strip();
        let ran = host.lanfence(&["remove", "web"]).ended(0);
        assert!(ran.out.contains("forgotten"), "{}", ran.out);
        host.lanfence(&["repair"]).ended(0);
        let (_, found) = host.audit(&[]);
        assert_eq!(
            of(&found, 1),
            ("open".to_owned(), vec!["no-filter".to_owned(); 2])
        );
    });
}

#[test]
fn a_guest_that_was_made_anew_is_known_by_its_name() {
    on_a_small_host(
        "recreated::a_guest_that_was_made_anew_is_known_by_its_name",
        |host| {
            let guest = host.start("web", &on_bridge(1, ""));
            host.lanfence(&["apply", "web"]).ended(0);
            guest.destroy().expect("it runs");
            guest.undefine().expect("libvirt forgets it");
            host.lanfence(&["repair"]).ended(0);
            host.start("web", &on_bridge(7, ""));
            host.start("mail", &on_bridge(8, ""));
            host.lanfence(&["repair"]).ended(0);
            assert_eq!(state(host, 7), "fenced");
            assert_eq!(state(host, 8), "open", "nobody has asked for it");
        },
    );
}

#[test]
fn what_was_fenced_is_not_forgotten_without_a_word() {
    on_a_small_host(
        "recreated::what_was_fenced_is_not_forgotten_without_a_word",
        |host| {
            host.start("web", &on_bridge(1, ""));
            host.lanfence(&["apply", "web"]).ended(0);
            let file = "/run/lanfence/state/fenced.json";
            std::fs::write(file, "{").expect("root may");
            assert_eq!(host.audit(&[]).0, 0, "its definition tells");
            let ran = host.lanfence(&["repair"]).ended(3);
            assert!(
                ran.err.contains(file) && ran.err.contains("cure:"),
                "{}",
                ran.err
            );
            host.start("mail", &on_bridge(2, ""));
            let (_, found) = host.audit(&["mail"]);
            assert!(of(&found, 2).1.contains(&"unseen".to_owned()), "{found:#}");
            std::fs::remove_file(file).expect("root may");
            host.lanfence(&["repair"]).ended(0);
        },
    );
}
