//! DHCP like the old clients: real frames of real profiles, with real guests.

use crate::common::{is_client, verify, verify_policy};
use lanfence::frame::Checksum;
use lanfence::report::model::{Cell, DhcpClients, Failure, ProbeResult, Verdict};
use lanfence_agent::clients::PROFILES;
use rstest::rstest;

fn clients(cell: &Cell) -> &DhcpClients {
    let found = cell.dhcp.as_ref();
    found.unwrap_or_else(|| panic!("{} played no DHCP clients", cell.name))
}

/// The article's tip, explained: what a client that checks checksums gets on pcnet is
/// finished, what it would get from vhost-net on virtio is not.
#[test]
fn a_strict_client_hears_its_server_on_pcnet_and_not_through_an_unfinished_checksum() {
    let done = verify(&["--nic", "pcnet", "--nic", "virtio", "--attach", "running"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let [pcnet, virtio] = done.run().cells.as_slice() else {
        panic!("two cells: {}", done.printed());
    };
    let (pcnet, virtio) = (clients(pcnet), clients(virtio));

    let old = &pcnet.clients[0];
    assert_eq!((old.name.as_str(), old.strict), ("windows-2003", true));
    assert!(old.control.bound_us.is_some(), "{old:?}");
    assert_eq!(pcnet.at_tap(), Some(Checksum::Complete));
    assert_eq!(pcnet.at_guest(), Some(Checksum::Complete));
    assert!(pcnet.vhost.is_empty(), "nothing is left to an offload");

    assert_eq!(virtio.at_tap(), Some(Checksum::Partial));
    let [strict, trusting] = virtio.vhost.as_slice() else {
        panic!("two clients on a tap: {virtio:?}");
    };
    assert!(strict.strict && strict.control.refused, "{strict:?}");
    assert_eq!(strict.control.bound_us, None);
    assert_eq!(strict.control.at_guest, Some(Checksum::Partial));
    // The same answers on the same tap are good enough for who asks the kernel.
    assert!(
        !trusting.strict && trusting.control.bound_us.is_some(),
        "{trusting:?}"
    );
    assert_eq!(trusting.control.failure, None);

    // However the lines are broken.
    let said: Vec<&str> = done.stdout.split_whitespace().collect();
    let said = said.join(" ");
    for words in ["left to offload", "The cure is pcnet, rtl8139 or e1000"] {
        assert!(said.contains(words), "{words}: {}", done.printed());
    }
}

/// The same NIC in a network of libvirt's: what the server answers is finished before it comes to the tap.
#[test]
fn a_network_of_libvirts_finishes_the_checksums() {
    let network = ["--segment", "network"];
    let done = verify(&[&["--nic", "virtio", "--attach", "running"][..], &network].concat());
    assert_eq!(done.code, 0, "{}", done.printed());
    let run = done.run();
    assert_eq!(run.host.segment, "network");
    let [virtio] = run.cells.as_slice() else {
        panic!("a cell: {}", done.printed());
    };
    let of = clients(virtio);
    assert_eq!(of.at_tap(), Some(Checksum::Complete));
    assert_eq!(of.at_guest(), Some(Checksum::Complete));
    assert!(of.vhost.is_empty(), "nothing is left to an offload");
    assert!(!done.stdout.contains("cure"), "{}", done.printed());
}

#[test]
fn every_client_lives_through_a_lease_behind_the_filter() {
    let done = verify(&["--nic", "rtl8139", "--attach", "running"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    let played: Vec<&str> = clients(cell)
        .clients
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(played, names);
    for (client, profile) in clients(cell).clients.iter().zip(PROFILES) {
        let informs = !profile.inform.is_empty();
        for run in [Some(&client.control), client.filtered.as_ref()] {
            let run = run.expect("played with the filter too");
            assert_eq!(run.failure, None, "{client:?}");
            assert!(
                run.bound_us.is_some() && run.renewed_us.is_some() != profile.renew.is_empty(),
                "{client:?}"
            );
            assert_eq!(run.informed_us.is_some(), informs, "{client:?}");
            assert_eq!(run.at_tap, Some(Checksum::Complete), "{client:?}");
        }
    }
    let judged: Vec<&ProbeResult> = cell.probes.iter().filter(|it| is_client(it)).collect();
    assert_eq!(judged.len(), PROFILES.len());
    assert!(
        judged.iter().all(|it| it.verdict == Verdict::Pass),
        "{judged:?}"
    );
}

/// The article's tip, shown by software that nobody here wrote: it gets a lease on pcnet, where
/// checksums are finished, and refuses the same offer with an unfinished one, or does not look.
#[rstest]
#[case::strict("grub/rtl8139", Checksum::Complete, true)]
#[case::another_strict_one("ipxe/pcnet", Checksum::Complete, true)]
#[case::one_that_collects_offers("edk2/virtio", Checksum::Complete, true)]
#[case::careless("uboot/virtio-non-transitional", Checksum::Complete, false)]
fn real_clients_stand_beside_the_played_ones(
    #[case] name: &str,
    #[case] at_tap: Checksum,
    #[case] strict: bool,
) {
    let done = verify(&["--cell", name]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let [real] = clients(&done.run().cells[0]).clients.as_slice() else {
        panic!("one client: {}", done.printed());
    };
    assert_eq!((real.real, real.strict), (true, strict), "{real:?}");
    for run in [Some(&real.control), real.filtered.as_ref()] {
        let run = run.expect("with the filter too");
        assert!(run.bound_us.is_some() && run.failure.is_none(), "{real:?}");
        assert_eq!(run.at_tap, Some(at_tap), "{real:?}");
    }
    let unfinished = real.unfinished.as_ref().expect("tried in the first cell");
    assert_eq!(unfinished.at_tap, Some(Checksum::Partial), "{real:?}");
    assert_eq!(unfinished.refused, strict, "{real:?}");
    assert_eq!(unfinished.bound_us.is_some(), !strict, "{real:?}");
    let words = if strict {
        "itself refused an offer with an unfinished"
    } else {
        "itself took an offer with an unfinished"
    };
    let told = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains(words) && told.contains("real: "),
        "{}",
        done.printed()
    );
}

/// Each filter stops the lives of all clients at another place, and the verdict names it.
#[test]
fn a_filter_that_stops_answers_is_blamed_for_every_client() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("f.xml");
    let xml = "<filter name='no-replies' chain='root'>\
        <rule action='drop' direction='in' priority='100'><ip protocol='udp' srcportstart='67'/></rule>\
        </filter>";
    std::fs::write(&file, xml).expect("the filter");
    let file = file.to_str().expect("a name in UTF-8");
    let done = verify(&["--nic", "pcnet", "--attach", "running", "--filter", file]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let blocked = done.with(Verdict::Fail(Failure::Blocked)).into_iter();
    let blocked: Vec<_> = blocked.filter(|probe| is_client(probe)).collect();
    assert_eq!(blocked.len(), PROFILES.len(), "{}", done.printed());
    for probe in blocked {
        let note = probe.note.as_deref().unwrap_or_default();
        assert_eq!(note, "the OFFER was seen leaving and not arriving");
    }
}

#[test]
fn a_policy_without_dhcp_judges_no_client() {
    let dir = tempfile::tempdir().expect("a directory for the policy");
    let file = dir.path().join("policy.toml");
    let policy = "[lan]\nprefixes = [\"192.168.1.0/24\", \"fe80::/10\"]\n[dhcp]\nclient = false\n";
    std::fs::write(&file, policy).expect("the policy");
    let file = file.to_str().expect("a name in UTF-8");
    let done = verify_policy(file, &["--nic", "pcnet", "--attach", "running"]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert!(!cell.probes.iter().any(is_client));
    let all = &clients(cell).clients;
    assert!(
        all.iter()
            .all(|it| it.filtered.is_none() && it.control.failure.is_none())
    );
}
