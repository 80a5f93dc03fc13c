//! The audit on a small host: every way to lose a filter, and what the audit says of it.

use crate::small_host::{on_a_small_host, on_bridge, run};

#[test]
fn an_interface_without_a_filter_is_open() {
    on_a_small_host("audit::an_interface_without_a_filter_is_open", |host| {
        let guest = host.start("web", &on_bridge(1, ""));
        let ran = host.lanfence(&["audit"]).ended(1);
        assert!(
            ran.out.contains("the running guest has no filter"),
            "{}",
            ran.out
        );
        let xml = host.lanfence(&["generate"]).ended(0).out;
        host.libvirt.define_filter("lan-only", &xml).unwrap();
        let with = on_bridge(1, "<filterref filter='lan-only'/>");
        guest.update_device_flags(&with, 3).unwrap();
        let (code, found) = host.audit(&[]);
        assert_eq!(
            (code, &found["interfaces"][0]["state"]),
            (0, &"fenced".into()),
            "{found:#}"
        );
        run("ebtables", &["-t", "nat", "-F"]);
        let (code, found) = host.audit(&[]);
        let interface = &found["interfaces"][0];
        assert_eq!(
            (code, &interface["state"]),
            (1, &"open".into()),
            "{found:#}"
        );
        assert_eq!(interface["reasons"][0]["kind"], "rules-missing");
    });
}
