//! The hook as the real libvirt calls it.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge, run, until};
use lanfence::domain::Domain;
use lanfence::host::{Access, Libvirt};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const POLICY: &str = "/etc/libvirt/lanfence.toml";

/// Ends libvirtd and starts it anew: it looks for hooks only when it starts. Guests run on.
fn restart() -> SmallHost {
    let pid = fs::read_to_string("/run/libvirtd.pid").expect("it runs");
    let pid = pid.trim();
    run("kill", &[pid]);
    // Nobody waits for it, so that its entry stays, without a command line.
    let line = format!("/proc/{pid}/cmdline");
    until("the end of libvirtd", || {
        fs::read(&line).is_ok_and(|line| line.is_empty()) || !fs::exists(&line).unwrap_or(true)
    });
    run("libvirtd", &["--daemon"]);
    let mut opened = None;
    until("libvirtd's start", || {
        opened = Libvirt::open(None, Access::Write).ok();
        opened.is_some()
    });
    let libvirt = opened.expect("it was waited for");
    SmallHost { libvirt }
}

/// Puts the script into place, with this program and a policy of this text.
fn install(policy: &str) {
    let script = include_str!("../../dist/hooks/qemu.d/lanfence");
    let program = format!("{} hook --policy {POLICY}", env!("CARGO_BIN_EXE_lanfence"));
    let script = script.replace("/usr/bin/lanfence hook", &program);
    assert!(script.contains(&program), "{script}");
    let dir = "/etc/libvirt/hooks/qemu.d";
    fs::create_dir_all(dir).expect("the host's own /etc/libvirt");
    let file = format!("{dir}/lanfence");
    fs::write(&file, script).expect("room for a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(POLICY, policy).expect("room for a file");
}

#[test]
fn libvirt_starts_no_open_guest_and_ends_none_that_runs() {
    on_a_small_host(
        "libvirt_hook::libvirt_starts_no_open_guest_and_ends_none_that_runs",
        |host| {
            let xml = host.lanfence(&["generate"]).ended(0).out;
            host.libvirt
                .define_filter("lan-only", &xml)
                .expect("a good filter");
            let saved = host.start("saved", &on_bridge(3, ""));
            saved.managed_save(0).expect("it is saved without a filter");

            install("[lan]\nprefixes = ['192.168.1.0/24']\n[fence]\nbridges = ['br0']\n");
            let host = restart();
            let error = host.define("open", &on_bridge(9, "")).create().unwrap_err();
            assert!(
                error.message().contains("cure: lanfence apply open"),
                "{error}"
            );
            let fenced = on_bridge(1, "<filterref filter='lan-only'/>");
            let web = host.start("web", &fenced);

            let back = host.libvirt.guest("saved").expect("it is there");
            back.create().expect("it comes back");
            let xml = back.xml_desc(0).expect("it is printed");
            let guest = Domain::parse(&xml).expect("it is read");
            let filterref = guest.interfaces[0]
                .filterref()
                .expect("the hook has put it in");
            assert_eq!(filterref.filter, "lan-only");
            assert_eq!(host.libvirt.bindings().expect("the list").len(), 2);
            drop((web, back));

            fs::write(POLICY, "no policy").expect("room for a file");
            let host = restart();
            for name in ["web", "saved"] {
                let guest = host.libvirt.guest(name).expect("it is there");
                assert!(guest.is_active().expect("an answer"), "{name}");
            }
            let other = host.define("other", &on_bridge(5, "<filterref filter='lan-only'/>"));
            let error = other.create().unwrap_err();
            assert!(error.message().contains("lanfence.toml:1:"), "{error}");
        },
    );
}
