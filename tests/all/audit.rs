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
        assert_eq!(
            (code, kinds(&found)),
            (0, vec!["proven", "counted"]),
            "{found:#}"
        );
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

/// Something that takes a guest's frames past its filter, though all its rules are there, and what
/// takes it away where the cure that is printed holds a place for a number.
type WayPast = (&'static str, &'static str, Option<&'static str>);

const WAYS_PAST: [WayPast; 6] = [
    (
        "tc sends every frame elsewhere",
        "tc qdisc add dev vnet0 ingress && tc filter add dev vnet0 parent ffff: protocol all \
         u32 match u32 0 0 action mirred egress redirect dev $BRIDGE",
        None,
    ),
    (
        "tc sends a copy elsewhere",
        "tc filter add dev vnet0 parent ffff: protocol all u32 match u32 0 0 \
         action mirred egress mirror dev $BRIDGE",
        None,
    ),
    (
        "nft sends frames elsewhere before the bridge",
        "nft 'table netdev x { chain y { type filter hook ingress device \"vnet0\" priority 0; \
         fwd to \"'$BRIDGE'\"; }; }'",
        Some("nft delete table netdev x"),
    ),
    (
        "the table is dormant",
        "nft 'add table bridge nat { flags dormant; }'",
        None,
    ),
    (
        "an accept of some frames in front",
        "ebtables -t nat -I PREROUTING -p ARP -i vnet0 -j ACCEPT",
        None,
    ),
    (
        "an accept in its own chain",
        "ebtables -t nat -I libvirt-I-vnet0 -j ACCEPT",
        Some("ebtables -t nat -D libvirt-I-vnet0 -j ACCEPT"),
    ),
];

#[test]
fn what_takes_frames_past_the_filter_is_open_and_its_cure_cures() {
    let name = "audit::what_takes_frames_past_the_filter_is_open_and_its_cure_cures";
    on_a_small_host(name, |host| {
        host.start("web", &on_bridge(1, ""));
        host.lanfence(&["apply", "web"]).ended(0);
        for (what, command, undo) in WAYS_PAST {
            let bridge = run("ip", &["-br", "link", "show", "type", "bridge"]);
            let bridge = bridge.split_whitespace().next().unwrap_or_default();
            let command = command.replace("$BRIDGE", bridge);
            run("sh", &["-ec", &command]);
            let (code, found) = host.audit(&[]);
            let state = &found["interfaces"][0]["state"];
            assert_eq!((code, state), (1, &"open".into()), "{what}: {found:#}");
            let cure = found["interfaces"][0]["reasons"][0]["cure"].as_str();
            run("sh", &["-ec", undo.or(cure).expect("a cure")]);
            let (code, found) = host.audit(&[]);
            assert_eq!(code, 0, "{what}, cured by {cure:?}: {found:#}");
        }
        // libvirt's own limits of bandwidth take nothing past a filter.
        run(
            "sh",
            &[
                "-ec",
                "tc filter add dev vnet0 parent ffff: protocol all u32 match u32 0 0 police rate 1mbit burst 10k drop || true",
            ],
        );
        assert_eq!(host.audit(&[]).0, 0);
    });
}

/// The proof's own taps do not go by what stands before the guest's; the counters do.
#[test]
fn a_guest_whose_rules_count_nothing_is_not_proven() {
    let name = "audit::a_guest_whose_rules_count_nothing_is_not_proven";
    on_a_small_host(name, |host| {
        host.start("web", &on_bridge(1, ""));
        host.lanfence(&["apply", "web"]).ended(0);
        run(
            "ebtables",
            &[
                "-t",
                "nat",
                "-I",
                "POSTROUTING",
                "-o",
                "vnet0",
                "-j",
                "ACCEPT",
            ],
        );
        let (code, found) = host.audit(&["--prove"]);
        assert_eq!(code, 1);
        assert!(kinds(&found).contains(&"leaked"), "{found:#}");
    });
}

/// One filter may keep to the policy for one guest and not for another.
#[test]
fn a_filter_that_names_a_guest_is_judged_for_each() {
    let name = "audit::a_filter_that_names_a_guest_is_judged_for_each";
    on_a_small_host(name, |host| {
        let xml = host.lanfence(&["generate"]).ended(0).out;
        let xml = xml.replacen("lan-only", "mine", 1);
        let allowed = "<rule action='accept' direction='out' priority='101'>\
                       <mac srcmacaddr='52:54:00:00:00:02'/></rule></filter>";
        let xml = xml.replace("</filter>", allowed);
        host.libvirt
            .define_filter("mine", &xml)
            .expect("libvirt takes it");
        let with = "<filterref filter='mine'/>";
        host.start("a", &on_bridge(1, with));
        host.start("b", &on_bridge(2, with));
        let (code, found) = host.audit(&[]);
        let states = [0, 1].map(|at| found["interfaces"][at]["state"].clone());
        assert_eq!(
            (code, states),
            (1, ["fenced".into(), "open".into()]),
            "{found}"
        );
    });
}

/// A name that means nothing is no proof that all is well.
#[test]
fn what_is_named_must_be_there() {
    on_a_small_host("audit::what_is_named_must_be_there", |host| {
        host.start("web", &on_bridge(1, ""));
        for (named, told) in [
            (&["--bridge", "br00"][..], "there is no bridge br00"),
            (&["--network", "typo"], "no network typo"),
            (&["wbe"], "there is no guest wbe"),
            (&["web", "--interface", "vnet7"], "is called vnet7"),
            (
                &["--connect", "qemu+ssh://kvm1/system"],
                "run lanfence on kvm1 itself",
            ),
        ] {
            for verb in ["audit", "repair"] {
                let ran = host.lanfence(&[&[verb], named].concat()).ended(2);
                assert!(ran.err.contains(told), "{verb} {named:?}: {}", ran.err);
            }
        }
        host.lanfence(&["audit", "--bridge", "br0"]).ended(1);
    });
}

/// States and words of everything that the audit tells of.
fn all(found: &serde_json::Value) -> Vec<String> {
    let interfaces = found["interfaces"].as_array().into_iter().flatten();
    let told = interfaces.map(|one| {
        let reasons = one["reasons"].as_array().into_iter().flatten();
        let messages = reasons.filter_map(|reason| reason["message"].as_str());
        let messages: Vec<&str> = messages.collect();
        let state = one["state"].as_str().unwrap_or_default();
        format!("{state}: {}", messages.join("; "))
    });
    told.collect()
}

const PCI: &str = "<hostdev mode='subsystem' type='pci' managed='no'><source>\
     <address domain='0' bus='3' slot='0' function='0'/></source></hostdev>";

/// A way out that no filter sees is told of wherever it is: what does not run yet may run tomorrow.
#[test]
fn another_way_out_is_found_in_every_definition() {
    on_a_small_host(
        "audit::another_way_out_is_found_in_every_definition",
        |host| {
            host.define("bare", PCI);
            let (code, found) = host.audit(&["bare"]);
            assert_eq!(
            (code, all(&found)),
            (1, vec!["unfilterable: the persistent definition has another way out: the PCI device 0000:03:00.0 of the host".to_owned()])
        );
            host.start("web", &on_bridge(1, ""));
            host.lanfence(&["apply", "web"]).ended(0);
            assert_eq!(host.audit(&["web"]).0, 0);
            let guest = host.libvirt.guest("web").unwrap();
            let flags = virt_sys::VIR_DOMAIN_AFFECT_CONFIG;
            guest
                .attach_device_flags(PCI, flags)
                .expect("libvirt takes it");
            let (code, found) = host.audit(&["web"]);
            assert_eq!(code, 1);
            assert!(
                all(&found)[1].starts_with("drifted: the persistent definition"),
                "{found:#}"
            );
            guest
                .detach_device_flags(PCI, flags)
                .expect("libvirt takes it");
            // The next start would have it on macvtap.
            let macvtap = on_bridge(1, "").replace("type='bridge'", "type='direct'");
            let macvtap = macvtap.replace("bridge='br0'", "dev='lo'");
            guest
                .update_device_flags(&macvtap, flags)
                .expect("libvirt takes it");
            let (code, found) = host.audit(&["web"]);
            assert_eq!((code, all(&found).len()), (1, 1));
            assert!(all(&found)[0].contains("macvtap"), "{found:#}");
        },
    );
}

/// libvirt starts by the files: those of every filter that a guest has are looked at.
#[test]
fn the_files_of_all_its_filters_are_looked_at() {
    on_a_small_host(
        "audit::the_files_of_all_its_filters_are_looked_at",
        |host| {
            let inner =
                "<filter name='inner'><rule action='drop' direction='out'><arp/></rule></filter>";
            let outer = "<filter name='outer'><filterref filter='inner'/></filter>";
            host.libvirt.define_filter("inner", inner).unwrap();
            host.libvirt.define_filter("outer", outer).unwrap();
            host.start("web", &on_bridge(1, "<filterref filter='outer'/>"));
            assert!(!kinds(&host.audit(&[]).1).contains(&"filter-file"));
            std::fs::remove_file("/etc/libvirt/nwfilter/inner.xml").unwrap();
            let (_, found) = host.audit(&[]);
            assert!(kinds(&found).contains(&"filter-file"), "{found:#}");
            let _ = host.lanfence(&["repair", "web"]);
            assert!(!kinds(&host.audit(&[]).1).contains(&"filter-file"));
        },
    );
}

/// What a saved image has, the next start has, whatever the definition says.
#[test]
fn an_interface_of_the_saved_image_alone_is_open_and_is_repaired() {
    let name = "audit::an_interface_of_the_saved_image_alone_is_open_and_is_repaired";
    on_a_small_host(name, |host| {
        let guest = host.start("web", &on_bridge(1, ""));
        guest.managed_save(0).expect("it is saved");
        let [bare, _] = host.definitions(&guest);
        let other = bare.replace("52:54:00:00:00:01", "52:54:00:00:00:05");
        host.libvirt
            .connection()
            .define_domain_xml(&other)
            .expect("libvirt takes it");
        host.lanfence(&["apply", "web"]).ended(0);
        let (code, found) = host.audit(&[]);
        assert_eq!(code, 1, "{found:#}");
        let open = all(&found)
            .iter()
            .filter(|it| it.starts_with("open: the saved image"))
            .count();
        assert_eq!(open, 1, "{found:#}");
        host.lanfence(&["repair", "web"]).ended(0);
        assert_eq!(host.audit(&[]).0, 0);
        guest.create().expect("it goes on");
        assert_eq!(host.audit(&[]).0, 0, "as it was saved");
    });
}

/// No guest starts whose tap gets the name of a binding that nobody uses.
#[test]
fn a_binding_of_a_device_that_is_gone_is_told_of() {
    let name = "audit::a_binding_of_a_device_that_is_gone_is_told_of";
    on_a_small_host(name, |host| {
        let weak = "<filter name='weak'><rule action='drop' direction='out'><arp/></rule></filter>";
        host.libvirt.define_filter("weak", weak).unwrap();
        run("ip", &["tuntap", "add", "dev", "gone0", "mode", "tap"]);
        run("ip", &["link", "set", "gone0", "master", "br0"]);
        let binding = "<filterbinding><owner><name>web</name>\
             <uuid>6f0b9c9e-0c0b-4c9a-9d6e-3a6d1d1f2b78</uuid></owner><portdev name='gone0'/>\
             <mac address='52:54:00:00:00:01'/><filterref filter='weak'/></filterbinding>";
        host.libvirt.create_binding("gone0", binding).unwrap();
        assert_eq!(host.audit(&[]).0, 0, "its device is there");
        run("ip", &["link", "del", "gone0"]);
        let (code, found) = host.audit(&[]);
        assert_eq!(
            (code, kinds(&found)),
            (1, vec!["stale-binding"]),
            "{found:#}"
        );
        let cure = found["interfaces"][0]["reasons"][0]["cure"].as_str();
        assert_eq!(cure, Some("virsh nwfilter-binding-delete gone0"));
        host.libvirt.delete_binding("gone0").unwrap();
        assert_eq!(host.audit(&[]).0, 0);
    });
}
