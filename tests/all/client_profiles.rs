//! The profiles of DHCP clients that can be had, held against captures of the real ones made here:
//! what is played and what it stands for cannot drift apart.

use crate::capture::{Captured, sent_by_guest};
use crate::common::{Verified, verify};
use lanfence::frame::dhcp::{Message, MessageType, message};
use lanfence::frame::{BROADCAST, Checksum, Datagram, Link};
use lanfence_agent::clients::{Facts, PROFILES, Profile, frame, profile};
use rstest::rstest;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The DHCP message in a frame.
fn said(left: &Captured) -> Option<Message> {
    Message::parse(Datagram::read(&left.frame, false)?.payload)
}

fn is(left: &Captured, kind: MessageType) -> bool {
    said(left).is_some_and(|said| said.kind == Some(kind))
}

/// What left the guest of the only cell, as the sensor at its tap has it.
#[track_caller]
fn left(done: &Verified) -> Vec<Captured> {
    sent_by_guest(&done.capture(&done.run().cells[0].name))
}

/// Where the fields stand that differ from run to run: the UDP checksum, transaction and seconds.
const CHANGING: std::ops::Range<usize> = 40..42;
const TRANSACTION: std::ops::Range<usize> = 46..52;

/// The option with the machine's UUID, and where options begin in a frame.
const UUID: u8 = 97;
const OPTIONS: usize = 42 + 240;

/// The list of options that the client asks for. EDK2's HTTP boot client says that it has 27 and
/// sets all but the one at this place, where it sends what was in memory: 235 mostly, 0 now and then
/// (`HttpBootBuildDhcp4Options` in its HttpBootDhcp4.c).
const LIST: u8 = 55;
const NEVER_SET: (&str, usize) = ("edk2-http", 24);

/// The client's frame without what differs from run to run.
fn masked(name: &str, frame: &[u8]) -> Vec<u8> {
    let mut masked = frame.to_vec();
    masked[CHANGING].fill(0);
    masked[TRANSACTION].fill(0);
    let mut at = OPTIONS;
    while let [code, length, ..] = masked[at..] {
        if code == 255 {
            break;
        }
        let end = at + 2 + usize::from(length);
        if code == UUID {
            masked[at + 2..end].fill(0);
        }
        if code == LIST && name == NEVER_SET.0 {
            masked[at + 2 + NEVER_SET.1] = 0;
        }
        at = end;
    }
    masked
}

/// The message of this kind as the profile has it, for the place and the addresses of the real one.
fn expected(profile: &Profile, kind: MessageType, real: &Captured, nth: usize) -> Vec<u8> {
    let said = said(real).expect("a message");
    let facts = Facts {
        mac: said.client,
        xid: said.xid,
        address: said.requested.unwrap_or(Ipv4Addr::UNSPECIFIED),
        server: said.server.unwrap_or(Ipv4Addr::UNSPECIFIED),
        bound: false,
    };
    let way = (
        Link::new(said.client, BROADCAST),
        (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
    );
    let nth = u16::try_from(nth).expect("a few");
    let (first, step) = profile.ids;
    let id = first.wrapping_add(step.wrapping_mul(nth));
    let found = u16::from_be_bytes([real.frame[18], real.frame[19]]);
    let vary = profile.ids_vary;
    let profile = Profile {
        ids: (id & !vary | found & vary, 0),
        ..*profile
    };
    frame(&profile, kind, &facts, way, nth)
}

#[rstest]
#[case("grub")]
#[case("u-boot")]
#[case("u-boot-malta")]
#[case("ipxe")]
#[case("edk2")]
#[case("edk2-pxe")]
#[case("edk2-http")]
fn a_profile_is_what_the_real_client_sends(#[case] name: &str) {
    let profile = profile(name).expect("a profile");
    if name == "u-boot-malta" && lanfence::lab::find_program("qemu-system-mipsel").is_none() {
        eprintln!(
            "skipped: qemu-system-mipsel is not installed (`cargo xtask verify --cell uboot/pcnet` does that)"
        );
        return;
    }
    // A cell that is not green keeps its capture.
    let done = verify(&["--cell", profile.cell, "--no-filter", "--attach", "running"]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let left = left(&done);
    let packets: Vec<&Captured> = left
        .iter()
        .filter(|it| it.frame[12..14] == [0x08, 0x00])
        .collect();
    let sum = if profile.unsummed {
        Checksum::Zero
    } else {
        Checksum::Complete
    };
    for kind in [message::DISCOVER, message::REQUEST] {
        let nth = packets.iter().position(|it| is(it, kind));
        let nth = nth.unwrap_or_else(|| panic!("no {kind}: {}", done.printed()));
        let real = packets[nth];
        let read = Datagram::read(&real.frame, false).expect("a datagram");
        assert_eq!(read.checksum, sum, "{kind}");
        let played = expected(profile, kind, real, nth);
        let found = masked(name, &real.frame);
        assert_eq!(found, masked(name, &played), "{name}'s {kind}");
    }
}

/// Every profile of software that can be had is held against it above.
#[test]
fn no_profile_of_real_software_is_left_out() {
    let held = [
        "grub",
        "u-boot",
        "u-boot-malta",
        "ipxe",
        "edk2",
        "edk2-pxe",
        "edk2-http",
    ];
    let real = PROFILES.iter().filter(|profile| !profile.cell.is_empty());
    let real: Vec<&str> = real.map(|profile| profile.name).collect();
    assert_eq!(real, held);
}

/// A server that a filter keeps from being heard of: the real client asks as often, and waits as
/// long, as the profile says. The guest's clock may be off by half and more, and a busy machine
/// only lengthens a wait.
#[test]
fn a_real_client_repeats_itself_as_its_profile_says() {
    let profile = profile("grub").expect("a profile");
    let dir = tempfile::tempdir().expect("a directory");
    let filter = dir.path().join("f.xml");
    let text = "<filter name='f'><rule action='drop' direction='out'>\
        <ip protocol='udp' srcportstart='68' dstportstart='67'/></rule></filter>";
    std::fs::write(&filter, text).expect("a filter");
    let filter = filter.display().to_string();
    let attach = ["--attach", "before-first-frame"];
    let cell = ["--cell", profile.cell, "--filter", &filter];
    let done = verify(&[&cell[..], &attach].concat());
    assert_eq!(done.code, 1, "{}", done.printed());
    let asked: Vec<Duration> = left(&done)
        .iter()
        .filter(|it| is(it, message::DISCOVER))
        .map(|it| it.at)
        .collect();
    let waits = asked.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let waits: Vec<Duration> = waits.take(profile.retries.len()).collect();
    assert_eq!(waits.len(), profile.retries.len(), "{waits:?}");
    for (wait, ms) in waits.iter().zip(profile.retries) {
        let least = Duration::from_millis(u64::from(*ms)).mul_f64(0.7);
        assert!(*wait > least && *wait < least * 5, "{waits:?}");
    }
    let real = &done.run().cells[0]
        .dhcp
        .as_ref()
        .expect("its client")
        .clients[0];
    assert!(real.real && real.control.bound_us.is_some(), "{real:?}");
    let stopped = real.filtered.as_ref().expect("with the filter");
    let why = stopped.failure.as_deref().unwrap_or_default();
    assert!(why.starts_with("no answer to its DISCOVER"), "{stopped:?}");
    assert!(!stopped.refused, "nobody answered: {stopped:?}");
}
