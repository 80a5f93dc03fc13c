//! Random histories of a guest on a small host: whatever happens, `repair` fences it again in one
//! run, and nothing that lanfence does leaves it less protected.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge, until};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRng, TestRunner};
use std::process::{Command, Stdio};
use std::time::Duration;
use virt::domain::Domain;
use virt_sys as sys;

/// Something that happens to a guest or its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Apply,
    Remove,
    Detach,
    Redefine,
    Flush,
    DropJump,
    DeleteBinding,
    WeakenFilter,
    Restart,
    SaveAndRestore,
    /// Back to a snapshot that was taken before the guest had a filter, and on from there.
    Revert,
    /// Another NIC for the running guest.
    Attach,
    /// An `apply` that is killed after so many milliseconds.
    KilledApply(u16),
    /// A `repair` that is killed.
    KilledRepair(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Apply),
        1 => Just(Event::Remove),
        1 => Just(Event::Detach),
        1 => Just(Event::Redefine),
        2 => Just(Event::Flush),
        1 => Just(Event::DropJump),
        1 => Just(Event::DeleteBinding),
        1 => Just(Event::WeakenFilter),
        1 => Just(Event::Restart),
        1 => Just(Event::SaveAndRestore),
        1 => Just(Event::Revert),
        1 => Just(Event::Attach),
        2 => (0..1500_u16).prop_map(Event::KilledApply),
        2 => (0..1500_u16).prop_map(Event::KilledRepair),
    ]
}

/// Runs lanfence and kills it after a while.
fn killed(host: &SmallHost, arguments: &[&str], after: u16) {
    let mut command = host.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("lanfence starts");
    std::thread::sleep(Duration::from_millis(after.into()));
    let _ = child.kill();
    child.wait().expect("it has ended");
}

/// A command that may find nothing to do.
fn attempt(program: &str, arguments: &[&str]) {
    let _ = Command::new(program).args(arguments).output();
}

fn happen(host: &SmallHost, guest: &Domain, bare: &str, event: Event) {
    match event {
        Event::Apply => drop(host.lanfence(&["apply", "web"]).ended(0)),
        Event::Remove => drop(host.lanfence(&["remove", "web"]).ended(0)),
        Event::Detach => {
            let bare = on_bridge(1, "");
            guest
                .update_device_flags(&bare, sys::VIR_DOMAIN_AFFECT_LIVE)
                .expect("libvirt takes it");
        }
        Event::Redefine => {
            let connect = host.libvirt.connection();
            connect.define_domain_xml(bare).expect("libvirt takes it");
        }
        Event::Flush => attempt("nft", &["flush", "ruleset"]),
        Event::DropJump => {
            let device = host.device(guest);
            let chain = format!("libvirt-I-{device}");
            let rule = ["-t", "nat", "-D", "PREROUTING", "-i", &device, "-j", &chain];
            attempt("ebtables", &rule);
        }
        Event::DeleteBinding => host
            .libvirt
            .delete_binding(&host.device(guest))
            .expect("libvirt answers"),
        Event::WeakenFilter => {
            let filters = host.libvirt.filters().expect("libvirt answers");
            if let Some((name, xml)) = filters.iter().find(|(name, _)| name == "lan-only") {
                let weak = xml.replace("action='drop'", "action='accept'");
                host.libvirt
                    .define_filter(name, &weak)
                    .expect("libvirt takes it");
            }
        }
        Event::Restart => {
            guest.destroy().expect("it runs");
            guest.create().expect("QEMU starts it");
        }
        Event::SaveAndRestore => {
            guest.managed_save(0).expect("it is saved");
            guest.create().expect("it goes on");
        }
        Event::Revert => revert(guest, bare),
        Event::Attach => {
            let [live, _] = host.definitions(guest);
            if live.matches("<interface ").count() == 1 {
                let another = on_bridge(2, "");
                guest
                    .attach_device_flags(&another, sys::VIR_DOMAIN_AFFECT_LIVE)
                    .expect("libvirt takes it");
            }
        }
        Event::KilledApply(after) => killed(host, &["apply", "web"], after),
        Event::KilledRepair(after) => killed(host, &["repair", "web"], after),
    }
}

/// The snapshot is of the guest while it was off: then it needs no disk that could hold it.
fn revert(guest: &Domain, bare: &str) {
    let xml = format!(
        "<domainsnapshot><name>before</name><state>shutoff</state>\
         <creationTime>1</creationTime>{bare}</domainsnapshot>"
    );
    let snapshot = guest
        .create_snapshot_xml(&xml, sys::VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
        .expect("libvirt takes it");
    snapshot.revert(0).expect("libvirt goes back");
    snapshot
        .delete(sys::VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        .expect("nothing else knows it");
    guest.create().expect("QEMU starts it");
}

fn is_fenced(host: &SmallHost) -> bool {
    let (code, found) = host.audit(&["web"]);
    (code == 0) == (found["interfaces"][0]["state"] == "fenced") && code == 0
}

/// One history; what must hold after each of its events.
fn run(host: &SmallHost, events: &[Event]) {
    let guest = host.start("web", &on_bridge(1, ""));
    let before = host.definitions(&guest);
    for (number, event) in events.iter().enumerate() {
        let fenced = is_fenced(host);
        happen(host, &guest, &before[1], *event);
        let told = || format!("event {number} of {events:?}");
        match event {
            Event::Apply => assert!(is_fenced(host), "{}", told()),
            // What lanfence does by itself, however it ends, takes no fence away: a device that
            // is closed is no less protected.
            Event::KilledApply(_) | Event::KilledRepair(_) if fenced => {
                let (_, found) = host.audit(&["web"]);
                let state = &found["interfaces"][0]["state"];
                assert!(
                    state == "fenced" || state == "drifted",
                    "{}: {found:#}",
                    told()
                );
            }
            _ => {}
        }
    }
    let ran = host.lanfence(&["repair", "web"]);
    assert!(is_fenced(host), "{events:?}: {ran:?}");
    let again = host.lanfence(&["repair", "web"]).ended(0);
    assert!(
        again.out.contains("nothing was changed"),
        "{events:?}: {again:?}"
    );
    host.lanfence(&["remove", "web"]).ended(0);
    let after = host.definitions(&guest);
    assert_eq!(before[1], after[1], "{events:?}");
    guest.destroy().expect("it runs");
    guest
        .undefine_flags(sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        .expect("it is defined");
    until("the end of the guest", || {
        host.libvirt
            .bindings()
            .is_ok_and(|bindings| bindings.is_empty())
    });
}

/// Histories for each run of the tests: each takes some seconds.
const HISTORIES: u64 = 4;

/// Names another number of histories, for a long run, and other ones.
const VARIABLES: [&str; 2] = ["LANFENCE_HISTORIES", "LANFENCE_HISTORIES_SEED"];

#[test]
fn whatever_happens_one_repair_fences_the_guest() {
    on_a_small_host(
        "histories::whatever_happens_one_repair_fences_the_guest",
        |host| {
            let [count, seed] = VARIABLES.map(|name| std::env::var(name).ok()?.parse::<u64>().ok());
            let config = Config::default();
            let seed: [u8; 32] =
                std::array::from_fn(|place| seed.unwrap_or_default().to_le_bytes()[place % 8]);
            let rng = TestRng::from_seed(config.rng_algorithm, &seed);
            let mut runner = TestRunner::new_with_rng(config, rng);
            let strategy = proptest::collection::vec(event(), 1..8);
            for _ in 0..count.unwrap_or(HISTORIES) {
                let events = strategy.new_tree(&mut runner).expect("a history").current();
                run(host, &events);
            }
        },
    );
}
