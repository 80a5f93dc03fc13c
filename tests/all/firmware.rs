//! Guests that are firmware: network stacks that are not Linux's, judged by sensors alone.

use crate::capture::{asked_file, sent_by_guest};
use crate::common::{example, guest_image, lanfence, verify};
use lanfence::report::model::{Failure, Verdict};
use rstest::rstest;

/// What every one of them shows.
const LEASE: [&str; 4] = ["dhcp/discover", "dhcp/offer", "dhcp/request", "dhcp/ack"];
const FILES: [&str; 3] = [
    "lan-unicast/tftp-lan",
    "lan-inbound/tftp-answer",
    "wan-ipv4/tftp-wan",
];

/// What those show that have TCP.
const PAGES: [&str; 4] = [
    "lan-unicast/http-connect",
    "lan-unicast/http-lan",
    "lan-inbound/http-answer",
    "wan-ipv4/http-wan",
];

/// What EDK2's shell shows, which has IPv6 too.
const ECHOES: [&str; 8] = [
    "lan-unicast/echo-lan",
    "lan-inbound/echo-answer",
    "wan-ipv4/echo-wan",
    "ipv6-control/own-dad",
    "ipv6-control/own-mld",
    "lan-unicast/echo6-lan",
    "lan-inbound/echo6-answer",
    "wan-ipv6/echo-wan",
];

/// The emulator of U-Boot with pcnet.
const MIPS: &str = "qemu-system-mipsel";

/// No dash stands for what a stack cannot do: its cells say less. EDK2's NICs but virtio are driven by
/// the ROM of another project.
#[rstest]
#[case::what_old_guests_want("ipxe/pcnet", "iPXE", &[&PAGES[..]])]
#[case::what_linux_wants_firmware_for("ipxe/i82551", "iPXE", &[&PAGES[..]])]
#[case::another_stack("grub/pcnet", "GRUB over iPXE", &[&PAGES[..]])]
#[case::no_tcp("uboot/virtio-non-transitional", "U-Boot", &[])]
#[case::its_own_driver_for_an_old_nic("uboot/pcnet", "U-Boot", &[])]
#[case::ipv6("edk2/virtio", "EDK2", &[&PAGES[..], &ECHOES])]
#[case::a_driver_from_a_rom("edk2/pcnet", "EDK2", &[&PAGES[..], &ECHOES])]
#[case::a_pxe_client("edk2-pxe/virtio", "EDK2's PXE client", &[])]
#[case::a_pxe_client_on_a_rom("edk2-pxe/pcnet", "EDK2's PXE client", &[])]
#[case::an_http_boot_client("edk2-http/virtio", "EDK2's HTTP boot client", &[&PAGES[..]])]
fn the_generated_filter_is_green(
    #[case] name: &str,
    #[case] driver: &str,
    #[case] more: &[&[&str]],
) {
    if name == "uboot/pcnet" && lanfence::lab::find_program(MIPS).is_none() {
        eprintln!(
            "skipped: {MIPS} is not installed (`cargo xtask verify --cell {name}` does that)"
        );
        return;
    }
    let done = verify(&["--cell", name]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(
        (cell.leak_check, cell.driver.as_deref()),
        (Some(true), Some(driver))
    );
    let ids: Vec<&str> = cell.probes.iter().map(|probe| probe.id.as_str()).collect();
    let expected = [&[&LEASE[..], &FILES], more].concat().concat();
    assert_eq!(ids, expected);
}

/// The article's filter sees IPv4 only. That leaks is shown by what no Linux sent, and how it asks
/// for a lease is in the evidence: with the broadcast flag (RFC 2131 section 4.1).
#[test]
fn the_articles_filter_lets_ipv6_out_of_edk2() {
    let filter = example("no-out-traffic.xml");
    let done = verify(&["--cell", "edk2/virtio", "--filter", &filter]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks = done.with(Verdict::Fail(Failure::Leak));
    let ids: Vec<&str> = leaks.iter().map(|leak| leak.id.as_str()).collect();
    assert_eq!(ids, ["wan-ipv6/echo-wan"], "{}", done.printed());
    let blocked = done.with(Verdict::Fail(Failure::Blocked));
    assert!(blocked.is_empty(), "{}", done.printed());
    let frames = sent_by_guest(&done.capture("edk2/virtio"));
    // Op, hardware, its length, hops; then the number of the exchange and the seconds.
    let parts = frames.iter().flat_map(|it| it.frame.windows(240));
    let messages =
        parts.filter(|part| part.starts_with(&[1, 1, 6, 0]) && part[236..] == [99, 130, 83, 99]);
    let flags: Vec<[u8; 2]> = messages.map(|part| [part[10], part[11]]).collect();
    assert!(!flags.is_empty(), "a lease was asked for");
    assert!(flags.iter().all(|flags| *flags == [0x80, 0]), "{flags:?}");
}

/// What comes late for one file is not taken for the next one.
#[rstest]
#[case::ipxe("ipxe/virtio")]
#[case::grub("grub/pcnet")]
#[case::u_boot("uboot/virtio-non-transitional")]
#[case::edk2("edk2/virtio")]
fn each_file_is_asked_for_from_a_port_of_its_own(#[case] cell: &str) {
    let done = verify(&["--cell", cell, "--no-filter"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let mut asked: Vec<(u16, String)> = Vec::new();
    for sent in sent_by_guest(&done.capture(cell)) {
        let Some(file) = asked_file(&sent.frame) else {
            continue;
        };
        if !asked.contains(&file) {
            asked.push(file);
        }
    }
    assert!(asked.len() > 10, "{asked:?}");
    for pair in asked.windows(2) {
        assert!(pair[0].0 != pair[1].0, "{pair:?}");
    }
}

/// A guest image whose boot loader is damaged: the guest never sends a frame.
#[rstest]
#[case::grub_that_lost_its_script("grub/pcnet", "grub.0", "GRUB over iPXE sent no frame")]
#[case::a_firmware_that_is_none("edk2/virtio", "ovmf-code.fd", "on the guest's console")]
#[case::a_driver_that_is_none("edk2/pcnet", "efi-pcnet.rom", "it has no driver for the NIC")]
#[case::a_rom_that_is_none(
    "uboot/virtio-non-transitional",
    "u-boot.rom",
    "on the guest's console"
)]
fn a_damaged_boot_loader_is_inconclusive(
    #[case] cell: &str,
    #[case] damaged: &str,
    #[case] why: &str,
) {
    let image = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(guest_image())
        .expect("an image")
        .flatten()
    {
        let here = image.path().join(file.file_name());
        std::os::unix::fs::symlink(file.path(), here).expect("a link");
    }
    let loader = image.path().join(damaged);
    std::fs::remove_file(&loader).expect("the link");
    // As long as it has to be.
    let length = std::fs::metadata(guest_image().join(damaged)).map_or(0, |data| data.len());
    let length = usize::try_from(length.max(512)).expect("it fits");
    std::fs::write(&loader, vec![0x90; length]).expect("a file");
    let dir = image.path().display().to_string();
    let done = verify(&["--cell", cell, "--guest-image", &dir]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let error = done.run().cells[0].error.as_ref().expect("an error");
    assert!(error.message.contains(why), "{}", error.message);
}

#[test]
fn a_boot_loader_that_the_image_lacks_is_a_reason_to_skip() {
    let image = tempfile::tempdir().expect("a directory");
    for name in ["vmlinux", "initramfs.cpio", "manifest.json", "ipxe.lkrn"] {
        let (there, here) = (guest_image().join(name), image.path().join(name));
        std::os::unix::fs::symlink(there, here).expect("a link");
    }
    let dir = image.path().display().to_string();
    let listed = lanfence()
        .args([
            "verify",
            "--list",
            "--cell",
            "grub/pcnet",
            "--cell",
            "uboot/e1000",
            "--cell",
            "edk2/virtio",
        ])
        .args(["--guest-image", &dir])
        .output()
        .expect("lanfence can be started");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for (cell, what) in [
        ("grub/pcnet", "GRUB"),
        ("uboot/e1000", "U-Boot"),
        ("edk2/virtio", "EDK2"),
    ] {
        let line = format!(
            "{cell} skipped: the guest image holds no {what}; `cargo xtask image` makes one that does\n"
        );
        assert!(listed.contains(&line), "{listed}");
    }
}

/// A machine without the package of the other emulator.
#[test]
fn an_emulator_that_the_machine_lacks_is_a_reason_to_skip() {
    let programs = tempfile::tempdir().expect("a directory");
    let there = lanfence::lab::find_program("qemu-system-x86_64").expect("QEMU");
    let here = programs.path().join("qemu-system-x86_64");
    std::os::unix::fs::symlink(there, here).expect("a link");
    let listed = lanfence()
        .args(["verify", "--list", "--cell", "uboot/*"])
        .env("PATH", programs.path())
        .output()
        .expect("lanfence can be started");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = listed.lines().find(|line| line.starts_with("uboot/pcnet "));
    let line = line.unwrap_or_else(|| panic!("no such cell: {listed}"));
    for words in [
        "skipped: ",
        "qemu-system-mipsel is not installed",
        "`apt-get install ",
    ] {
        assert!(line.contains(words), "{line}");
    }
    assert!(listed.contains("uboot/e1000\n"), "the others run: {listed}");
}

#[test]
fn the_articles_filter_stops_what_its_guests_were_meant_to_send() {
    let filter = example("no-out-traffic.xml");
    let done = verify(&["--cell", "ipxe/pcnet", "--filter", &filter]);
    assert_eq!(done.code, 0, "{}", done.printed());
}

#[rstest]
#[case::no_filter("ipxe/pcnet", &["--no-filter"])]
#[case::rules_that_vanish("ipxe/pcnet", &["--inject", "flush"])]
#[case::no_filter_for_grub("grub/pcnet", &["--no-filter"])]
fn what_reaches_the_wan_is_a_leak(#[case] cell: &str, #[case] arguments: &[&str]) {
    let done = verify(&[&["--cell", cell], arguments].concat());
    assert_eq!(done.code, 1, "{}", done.printed());
    let leaks = done.with(Verdict::Fail(Failure::Leak));
    let ids: Vec<&str> = leaks.iter().map(|leak| leak.id.as_str()).collect();
    let expected = ["wan-ipv4/tftp-wan", "wan-ipv4/http-wan"];
    assert_eq!(ids, expected, "{}", done.printed());
}

/// What stops a client's questions.
const NO_DHCP: &str = "<ip protocol='udp' srcportstart='68' dstportstart='67'/>";

#[rstest]
#[case::dhcp("ipxe/pcnet", NO_DHCP, "dhcp/discover")]
#[case::all_ipv4("ipxe/pcnet", "<mac protocolid='ipv4'/>", "lan-unicast/tftp-lan")]
#[case::dhcp_of_u_boot("uboot/virtio-non-transitional", NO_DHCP, "dhcp/discover")]
fn a_filter_that_stops_the_lan_is_red(
    #[case] cell: &str,
    #[case] stopped: &str,
    #[case] blocked: &str,
) {
    let dir = tempfile::tempdir().expect("a directory");
    let filter = dir.path().join("f.xml");
    let text =
        format!("<filter name='f'><rule action='drop' direction='out'>{stopped}</rule></filter>");
    std::fs::write(&filter, text).expect("a filter");
    let filter = filter.display().to_string();
    let done = verify(&["--cell", cell, "--filter", &filter]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let found = done.with(Verdict::Fail(Failure::Blocked));
    let named = found.iter().any(|probe| probe.id == blocked);
    assert!(named, "{}", done.printed());
}

/// The filter is no reason why nobody answers: the client asks in vain, and goes on with the address
/// that is kept for it, so that the rest is judged.
#[rstest]
#[case::grub("grub/pcnet")]
#[case::u_boot("uboot/virtio-non-transitional")]
fn a_server_that_does_not_answer_in_time_is_not_the_filters_fault(#[case] cell: &str) {
    let done = verify(&["--cell", cell, "--inject", "deaf-server"]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(cell.error, None, "{}", done.printed());
    let inconclusive = done.with(Verdict::Inconclusive).into_iter();
    let ids: Vec<&str> = inconclusive.map(|probe| probe.id.as_str()).collect();
    assert_eq!(
        ids,
        ["dhcp/offer", "dhcp/request", "dhcp/ack"],
        "{}",
        done.printed()
    );
    let real = &cell.dhcp.as_ref().expect("its client").clients[0];
    let filtered = real.filtered.as_ref().expect("with the filter");
    assert!(
        !filtered.refused && filtered.bound_us.is_none(),
        "{filtered:?}"
    );
}

/// A server that is heard too late is neither one that is silent nor one that the filter stops: its
/// answers are seen, the client's own row says when they came, and what it did not ask for then is
/// not judged. The server is itself again afterwards.
#[rstest]
#[case::grub("grub/pcnet")]
#[case::u_boot("uboot/virtio-non-transitional")]
fn a_server_that_answers_too_late_is_told_apart(#[case] cell: &str) {
    let done = verify(&["--cell", cell, "--inject", "late-server"]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(cell.error, None, "{}", done.printed());
    let inconclusive = done.with(Verdict::Inconclusive).into_iter();
    let ids: Vec<&str> = inconclusive.map(|probe| probe.id.as_str()).collect();
    assert_eq!(ids, ["dhcp/request", "dhcp/ack"], "{}", done.printed());
    let real = &cell.dhcp.as_ref().expect("its client").clients[0];
    let filtered = real.filtered.as_ref().expect("with the filter");
    let why = filtered.failure.as_deref().unwrap_or_default();
    assert!(why.contains("first answer came after"), "{filtered:?}");
    assert!(
        !filtered.refused && filtered.bound_us.is_none(),
        "{filtered:?}"
    );
}

/// GRUB's connections come from the same ports in each boot. Guests that share an address have
/// the same ends, and a server that still held those of the boot before would not answer.
#[test]
fn a_connection_of_the_boot_before_does_not_keep_a_server_from_answering() {
    let done = verify(&[
        "--cell",
        "grub/pcnet",
        "--cell",
        "grub/rtl8139",
        "--jobs",
        "1",
        "--param",
        "IP=192.168.1.57",
        "--attach",
        "before-first-frame",
    ]);
    assert_eq!(done.code, 0, "{}", done.printed());
    assert_eq!(done.run().cells.len(), 2);
}

#[rstest]
#[case::a_dead_sensor("ipxe/pcnet", "sensor")]
#[case::a_link_that_is_down("ipxe/pcnet", "link")]
#[case::a_paused_guest("ipxe/pcnet", "pause")]
#[case::a_dead_sensor_beside_grub("grub/pcnet", "sensor")]
#[case::a_dead_sensor_beside_edk2("edk2/virtio", "sensor")]
#[case::a_link_of_edk2_that_is_down("edk2/virtio", "link")]
fn what_breaks_in_mid_run_is_inconclusive(#[case] cell: &str, #[case] part: &str) {
    let done = verify(&["--cell", cell, "--inject", part]);
    assert_eq!(done.code, 5, "{}", done.printed());
}
