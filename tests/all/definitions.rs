//! What the real libvirt makes of definitions, and `--domain` against it.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge};
use lanfence::domain::{Domain, Interface, interface_with, set_filterref};
use lanfence::nwfilter::FilterRef;
use serde_json::Value;

/// The interface of a guest as libvirt keeps it.
fn kept(host: &SmallHost, interface: &str) -> Result<(String, Interface), String> {
    let xml = format!(
        "<domain type='qemu'><name>g</name><memory unit='MiB'>16</memory>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os>\
         <devices>{interface}</devices></domain>"
    );
    let connect = host.libvirt.connection();
    let defined = connect.define_domain_xml(&xml);
    let domain = defined.map_err(|error| error.message().to_owned())?;
    let text = domain.xml_desc(0).expect("libvirt prints it");
    domain.undefine().expect("nothing uses it");
    let interface = Domain::parse(&text)
        .expect("it is read")
        .interfaces
        .remove(0);
    Ok((text, interface))
}

const FILTERREF: &str = "<filterref filter='x'><parameter name='A' value='1'/></filterref>";

#[test]
fn libvirt_drops_the_filterref_of_what_no_filter_can_hold() {
    on_a_small_host(
        "definitions::libvirt_drops_the_filterref_of_what_no_filter_can_hold",
        |host| {
            for (kind, source) in [
                ("bridge", "<source bridge='br0'/>"),
                ("network", "<source network='default'/>"),
                ("ethernet", ""),
                ("direct", "<source dev='lo' mode='bridge'/>"),
                ("user", ""),
                ("user", "<backend type='passt'/>"),
                ("vhostuser", "<source type='unix' path='/x' mode='client'/>"),
                (
                    "udp",
                    "<source address='127.0.0.1' port='5'><local address='127.0.0.1' port='6'/></source>",
                ),
                ("mcast", "<source address='230.0.0.1' port='5'/>"),
                ("server", "<source address='127.0.0.1' port='5'/>"),
                ("client", "<source address='127.0.0.1' port='5'/>"),
                ("internal", "<source name='x'/>"),
                ("null", ""),
            ] {
                let xml = format!("<interface type='{kind}'>{source}{FILTERREF}</interface>");
                // Older libvirts do not know every kind.
                let Ok((_, interface)) = kept(host, &xml) else {
                    assert!(!["bridge", "network", "ethernet", "user"].contains(&kind));
                    continue;
                };
                let is_kept = !interface.filterrefs.is_empty();
                assert_eq!(is_kept, interface.filterable(None).is_ok(), "{xml}");
            }
        },
    );
}

#[test]
fn of_two_filterrefs_libvirt_takes_one_at_most() {
    on_a_small_host(
        "definitions::of_two_filterrefs_libvirt_takes_one_at_most",
        |host| {
            let two = "<filterref filter='x'/><filterref filter='y'/>";
            let answer = kept(host, &on_bridge(1, two)).map(|(_, interface)| interface.filterrefs);
            eprintln!("{answer:?}");
            assert!(answer.is_err() || answer.is_ok_and(|kept| kept.len() == 1));
        },
    );
}

/// A filter holds its own interface alone, and libvirt takes all else beside it.
#[test]
fn libvirt_takes_another_way_out_beside_a_filter() {
    on_a_small_host(
        "definitions::libvirt_takes_another_way_out_beside_a_filter",
        |host| {
            let pci = "<hostdev mode='subsystem' type='pci' managed='no'><source>\
                       <address domain='0' bus='3' slot='0' function='0'/></source></hostdev>";
            let inside = on_bridge(1, FILTERREF) + pci;
            let (text, interface) = kept(host, &inside).expect("libvirt takes it");
            assert_eq!(interface.filterrefs.len(), 1);
            let ways = Domain::parse(&text).expect("it is read").hostdev_nics;
            assert_eq!(ways.len(), 1, "{text}");
        },
    );
}

#[test]
fn libvirt_drops_the_filterref_of_a_network() {
    on_a_small_host(
        "definitions::libvirt_drops_the_filterref_of_a_network",
        |host| {
            let xml = format!(
                "<network><name>n</name><bridge name='virbr9'/>{FILTERREF}\
             <portgroup name='p'>{FILTERREF}</portgroup></network>"
            );
            let connect = host.libvirt.connection();
            // The lab's libvirtd may have no network driver.
            if let Ok(network) = connect.define_network_xml(&xml) {
                let text = network.xml_desc(0).expect("libvirt prints it");
                let read = lanfence::domain::Network::parse(&text).expect("it is read");
                assert!(!read.filterref_inside(), "{text}");
            }
        },
    );
}

/// What libvirt prints after it was given the edited text is the edited text, and after the
/// filterref is taken out again, what it printed before.
#[test]
fn libvirt_keeps_an_edited_definition_as_it_was_edited() {
    on_a_small_host(
        "definitions::libvirt_keeps_an_edited_definition_as_it_was_edited",
        |host| {
            let interfaces = [on_bridge(1, ""), on_bridge(2, "<link state='down'/>")].concat();
            let before = host.define("g", &interfaces).xml_desc(0).expect("printed");
            let filterref = FilterRef {
                filter: "x".into(),
                parameters: vec![("A".into(), "1".into()), ("A".into(), "2".into())],
            };
            let guest = Domain::parse(&before).expect("it is read");
            let edited = set_filterref(&before, &guest.interfaces[1], Some(&filterref));
            let connect = host.libvirt.connection();
            let defined = connect
                .define_domain_xml(&edited)
                .expect("libvirt takes it");
            let printed = defined.xml_desc(0).expect("printed");
            let read = Domain::parse(&printed).expect("it is read");
            assert_eq!(read.interfaces[1].filterref(), Some(&filterref));
            assert_eq!(read.interfaces[0].filterref(), None);
            let back = set_filterref(&printed, &read.interfaces[1], None);
            assert_eq!(back, before);
            let alone = interface_with(&printed, &read.interfaces[1], None);
            assert!(before.contains(&alone), "{alone}");
        },
    );
}

#[test]
fn the_verbs_take_a_guest_from_libvirt() {
    on_a_small_host("definitions::the_verbs_take_a_guest_from_libvirt", |host| {
        let filter = "<filter name='own'><filterref filter='part'/></filter>";
        let part = "<filter name='part'><rule action='drop' direction='out' priority='-500'>\
                    <mac match='no' srcmacaddr='$MAC'/></rule></filter>";
        host.libvirt
            .define_filter("part", part)
            .expect("libvirt takes it");
        host.libvirt
            .define_filter("own", filter)
            .expect("libvirt takes it");
        let fenced = on_bridge(7, "<filterref filter='own'/><target dev='tap7'/>");
        host.start("web", &[fenced, on_bridge(8, "")].concat());

        let checked = host.lanfence(&[
            "check",
            "--domain",
            "web",
            "--interface",
            "tap7",
            "--format",
            "json",
        ]);
        let json: Value =
            serde_json::from_str(&checked.out).unwrap_or_else(|_| panic!("{checked:?}"));
        assert_eq!(json["filter"], "own");
        assert_eq!(
            json["files"],
            serde_json::json!(["libvirt:own", "libvirt:part"])
        );
        assert_eq!(json["guest"], "web, interface 52:54:00:00:00:07, virtio");

        let uri = host.libvirt.uri();
        let explained = host.lanfence(&[
            "explain",
            "--domain",
            "web",
            "--interface",
            "52:54:00:00:00:07",
            "--connect",
            uri,
        ]);
        assert!(explained.out.contains("52:54:00:00:00:07"), "{explained:?}");
        host.lanfence(&["lint", "--domain", "web", "--interface", "tap7"])
            .ended(0);

        for (arguments, code, part) in [
            (&["--domain", "web"][..], 2, "several interfaces"),
            (
                &["--domain", "web", "--interface", "52:54:00:00:00:08"],
                2,
                "lanfence apply web",
            ),
            (&["--domain", "mail"], 2, "mail"),
            (
                &["--domain", "web", "--connect", "qemu:///session"],
                2,
                "qemu:///system",
            ),
            (
                &[
                    "--domain",
                    "web",
                    "--connect",
                    "qemu+unix:///system?socket=/nowhere",
                ],
                3,
                "/nowhere",
            ),
        ] {
            let ran = host.lanfence(&[&["check"], arguments].concat()).ended(code);
            assert!(ran.err.contains(part), "{}", ran.err);
        }
    });
}
