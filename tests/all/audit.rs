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

/// The words of the one interface's reasons.
fn kinds(found: &serde_json::Value) -> Vec<&str> {
    let reasons = found["interfaces"][0]["reasons"].as_array();
    let reasons = reasons.into_iter().flatten();
    reasons
        .filter_map(|reason| reason["kind"].as_str())
        .collect()
}

#[test]
fn a_filter_is_proven_in_place() {
    on_a_small_host("audit::a_filter_is_proven_in_place", |host| {
        host.start("web", &on_bridge(1, ""));
        host.lanfence(&["apply", "web"]).ended(0);
        let (code, found) = host.audit(&["--prove"]);
        assert_eq!((code, kinds(&found)), (0, vec!["proven"]), "{found:#}");
        let left = run("ip", &["-br", "link", "show", "type", "tun"]);
        assert_eq!(
            left.lines().count(),
            1,
            "only the guest's tap is left: {left}"
        );
        assert_eq!(host.libvirt.bindings().unwrap().len(), 1);
        let weak = "<filter name='weak'><rule action='drop' direction='out'><arp/></rule></filter>";
        host.libvirt.define_filter("weak", weak).unwrap();
        host.start("bad", &on_bridge(2, "<filterref filter='weak'/>"));
        let (code, found) = host.audit(&["--prove", "bad"]);
        assert_eq!(code, 1);
        assert!(kinds(&found).contains(&"leaked"), "{found:#}");
    });
}
