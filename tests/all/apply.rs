//! `apply`, `remove` and `repair` on a small host with real guests.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge, run};
use lanfence::host::gate;

/// A way to lose a filter, with its name.
type Break = (&'static str, fn(&SmallHost));

/// The state of the first interface and the kinds of its reasons.
fn state(host: &SmallHost) -> (String, Vec<String>) {
    let (_, found) = host.audit(&[]);
    let interface = &found["interfaces"][0];
    let reasons = interface["reasons"].as_array().expect("a list").iter();
    let kinds = reasons.map(|reason| reason["kind"].as_str().expect("a word").to_owned());
    let state = interface["state"].as_str().expect("a word");
    (state.to_owned(), kinds.collect())
}

#[test]
fn a_guest_is_fenced_and_freed_again() {
    on_a_small_host("apply::a_guest_is_fenced_and_freed_again", |host| {
        let guest = host.start("web", &on_bridge(1, ""));
        let before = host.definitions(&guest);
        let dry = host.lanfence(&["apply", "--dry-run", "web"]).ended(0);
        assert_eq!(dry.out.matches("would change").count(), 3, "{}", dry.out);
        assert_eq!(host.definitions(&guest), before);
        let ran = host.lanfence(&["apply", "web"]).ended(0);
        assert!(ran.out.contains("fenced"), "{}", ran.out);
        assert_eq!(state(host), ("fenced".into(), vec![]));
        let again = host.lanfence(&["apply", "web"]).ended(0);
        assert!(again.out.contains("nothing was changed"), "{}", again.out);
        host.lanfence(&["remove", "web"]).ended(0);
        assert_eq!(host.definitions(&guest), before);
        assert!(host.libvirt.filters().unwrap().is_empty());
        let again = host.lanfence(&["remove", "web"]).ended(0);
        assert!(again.out.contains("nothing was changed"), "{}", again.out);
    });
}

#[test]
fn rules_that_are_gone_are_made_anew() {
    on_a_small_host("apply::rules_that_are_gone_are_made_anew", |host| {
        host.start("web", &on_bridge(1, ""));
        host.lanfence(&["apply", "web"]).ended(0);
        let breaks: [Break; 7] = [
            ("flushed", |_| drop(run("ebtables", &["-t", "nat", "-F"]))),
            ("all flushed", |_| drop(run("nft", &["flush", "ruleset"]))),
            ("a jump gone", |_| {
                let rule = [
                    "-t",
                    "nat",
                    "-D",
                    "PREROUTING",
                    "-i",
                    "vnet0",
                    "-j",
                    "libvirt-I-vnet0",
                ];
                run("ebtables", &rule);
            }),
            ("a rule gone", |_| {
                run(
                    "ebtables",
                    &["-t", "nat", "-D", "libvirt-I-vnet0", "-j", "DROP"],
                );
            }),
            // As a watcher leaves it that was killed, or that could not mend it.
            ("a rule gone, and the device closed", |_| {
                gate::close(&["vnet0"]).expect("the gate can be closed");
                run(
                    "ebtables",
                    &["-t", "nat", "-D", "libvirt-I-vnet0", "-j", "DROP"],
                );
            }),
            ("an accept in front", |_| {
                run(
                    "ebtables",
                    &[
                        "-t",
                        "nat",
                        "-I",
                        "PREROUTING",
                        "-i",
                        "vnet0",
                        "-j",
                        "ACCEPT",
                    ],
                );
            }),
            ("the binding deleted", |host| {
                host.libvirt.delete_binding("vnet0").unwrap();
            }),
        ];
        for (name, damage) in breaks {
            damage(host);
            let (found, reasons) = state(host);
            assert_ne!(found, "fenced", "{name}");
            assert!(!reasons.is_empty(), "{name}");
            let ran = host.lanfence(&["repair"]);
            assert_eq!(ran.code, 0, "{name}: {}{}", ran.out, ran.err);
            assert_eq!(state(host), ("fenced".into(), vec![]), "{name}");
        }
    });
}

/// A guest that cannot be mended keeps no other from it.
#[test]
fn guests_are_mended_one_by_one() {
    on_a_small_host("apply::guests_are_mended_one_by_one", |host| {
        let foreign =
            "<filter name='mine'><rule action='drop' direction='out'><ip/></rule></filter>";
        host.libvirt.define_filter("mine", foreign).unwrap();
        host.start("web", &on_bridge(1, ""));
        host.start("mail", &on_bridge(2, "<filterref filter='mine'/>"));
        host.lanfence(&["apply", "web"]).ended(0);
        let policy = lanfence::policy::Policy::EXAMPLE;
        let policy = policy.lines().take_while(|line| *line != "[fence]");
        let policy = policy.collect::<Vec<_>>().join("\n") + "\n[fence]\nbridges = ['br0']\n";
        std::fs::write("/run/lanfence.toml", policy).unwrap();
        run("ebtables", &["-t", "nat", "-F"]);
        let ran = host
            .lanfence(&["repair", "--policy", "/run/lanfence.toml"])
            .ended(2);
        assert!(ran.err.contains("--replace"), "{}", ran.err);
        let (_, found) = host.audit(&["web"]);
        assert_eq!(found["interfaces"][0]["state"], "fenced", "{found}");
    });
}

#[test]
fn another_filter_is_replaced_while_the_guest_runs() {
    on_a_small_host(
        "apply::another_filter_is_replaced_while_the_guest_runs",
        |host| {
            let article = include_str!("../../examples/no-out-traffic.xml");
            host.libvirt
                .define_filter("no-out-traffic", article)
                .unwrap();
            let with = on_bridge(1, "<filterref filter='no-out-traffic'/>");
            let guest = host.start("win98", &with);
            let before = host.definitions(&guest);
            let (found, reasons) = state(host);
            assert_eq!(
                (found.as_str(), reasons[0].as_str()),
                ("open", "filter-leaks")
            );
            let refused = host.lanfence(&["apply", "win98"]).ended(2);
            assert!(refused.err.contains("--replace"), "{}", refused.err);
            host.lanfence(&["apply", "--replace", "win98"]).ended(0);
            assert_eq!(state(host), ("fenced".into(), vec![]));
            host.lanfence(&["remove", "win98"]).ended(0);
            assert_eq!(host.definitions(&guest), before);
        },
    );
}

#[test]
fn a_foreign_filter_of_that_name_is_left_alone() {
    on_a_small_host(
        "apply::a_foreign_filter_of_that_name_is_left_alone",
        |host| {
            host.start("web", &on_bridge(1, ""));
            let foreign =
                "<filter name='lan-only'><rule action='drop' direction='out'><ip/></rule></filter>";
            host.libvirt.define_filter("lan-only", foreign).unwrap();
            let before = host.libvirt.filters().unwrap();
            let refused = host.lanfence(&["apply", "web"]).ended(2);
            assert!(
                refused.err.contains("nothing was changed"),
                "{}",
                refused.err
            );
            assert_eq!(host.libvirt.filters().unwrap(), before);
        },
    );
}

#[test]
fn what_cannot_be_filtered_is_refused() {
    on_a_small_host("apply::what_cannot_be_filtered_is_refused", |host| {
        host.define(
            "web",
            "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>",
        );
        let refused = host.lanfence(&["apply", "web"]).ended(2);
        assert!(
            refused.err.contains("cannot be filtered"),
            "{}",
            refused.err
        );
        assert_eq!(state(host).0, "unfilterable");
        let direct = "<interface type='direct'><mac address='52:54:00:00:00:02'/>\
                      <source dev='eno7' mode='bridge'/></interface>";
        host.define("direct", direct);
        let refused = host.lanfence(&["apply", "direct"]).ended(2);
        assert!(refused.err.contains("eno7"), "{}", refused.err);
        assert!(
            refused.err.contains("<filterref filter='lan-only'/>"),
            "{}",
            refused.err
        );
    });
}

/// However early an exchange is killed, nothing of what the user had is forgotten, and the guest
/// is closed rather than open.
#[test]
fn an_exchange_that_is_killed_is_taken_up_again() {
    on_a_small_host(
        "apply::an_exchange_that_is_killed_is_taken_up_again",
        |host| {
            let article = include_str!("../../examples/no-out-traffic.xml");
            host.libvirt
                .define_filter("no-out-traffic", article)
                .unwrap();
            let with = on_bridge(1, "<filterref filter='no-out-traffic'/>");
            let guest = host.start("win98", &with);
            let before = host.definitions(&guest);
            for after in [100, 400, 800, 1200, 1600] {
                let mut command = host.command(&["apply", "--replace", "win98"]);
                let mut child = command
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .expect("lanfence starts");
                std::thread::sleep(std::time::Duration::from_millis(after));
                let _ = child.kill();
                child.wait().expect("it has ended");
                host.lanfence(&["apply", "--replace", "win98"]).ended(0);
                assert_eq!(state(host), ("fenced".into(), vec![]), "{after}");
                host.lanfence(&["remove", "win98"]).ended(0);
                assert_eq!(host.definitions(&guest), before, "{after}");
            }
        },
    );
}
