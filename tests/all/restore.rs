//! Restored guests: the same verdicts as booted ones, and what is done with a bad snapshot.

use crate::common::{Verified, guest_image, lanfence, verify_with};
use lanfence::report::model::{Failure, ProbeResult, Verdict};
use lanfence::report::verdict_lines::verdict_lines;
use rstest::rstest;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::TempDir;

/// Runs `verify` with a cache of its own.
fn verify_in(cache: &Path, arguments: &[&str]) -> Verified {
    let mut command = lanfence();
    command.env("LANFENCE_CACHE", cache);
    verify_with(command, arguments)
}

/// Names of the first cell's steps; the lab's start belongs to whichever cell came first.
fn steps(done: &Verified) -> Vec<&str> {
    let timings = &done.run().cells[0].timings;
    let names = timings.iter().map(|timing| timing.step.word());
    names.filter(|name| *name != "lab").collect()
}

/// The saved guests in a cache.
fn snapshots(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache.join("saved")).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end != "lock"))
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .collect()
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// When libvirt wrote down what it knows of QEMU, which takes it nearly a second to ask.
fn asked(cache: &Path) -> Vec<SystemTime> {
    let dir = cache.join("libvirt/qemu/capabilities");
    let entries = std::fs::read_dir(dir).expect("what libvirt knows");
    entries
        .map(|entry| entry.expect("an entry").metadata())
        .map(|data| data.and_then(|data| data.modified()).expect("a time"))
        .collect()
}

/// Runs cells that make their snapshot, that restore it, and that boot cold, in this order.
/// All three must come to the same verdicts, more than `least` of them. libvirt asks QEMU for
/// its capabilities before the first run only; under KVM it sometimes asks again.
fn snapshot_restored_and_cold(cache: &Path, cells: &[&str], least: usize) -> [Verified; 3] {
    let cold = [cells, &["--boot", "cold"]].concat();
    let done = [cells, cells, &cold].map(|arguments| {
        let done = verify_in(cache, arguments);
        assert_eq!(done.code, 0, "{}", done.printed());
        (done, asked(cache))
    });
    let [(first, before), (second, _), (third, after)] = done;
    if first.run().host.accel == "tcg" {
        assert_eq!(before, after, "libvirt asked QEMU once more");
    }
    let done = [first, second, third];
    let lines = done.each_ref().map(|done| verdict_lines(done.run()));
    assert!(lines[0].lines().count() > least, "{}", lines[0]);
    assert_eq!(
        lines[0], lines[2],
        "snapshot made and restored, against booted"
    );
    assert_eq!(lines[1], lines[2], "restored, against booted");
    assert_eq!(steps(&done[2])[0], "boot");
    done
}

#[test]
fn a_guest_is_saved_once_and_restored_guests_judge_like_booted_ones() {
    let cache = temporary();
    let nics = ["--jobs", "1", "--nic", "pcnet", "--nic", "virtio"];
    let [first, second, _] = snapshot_restored_and_cold(cache.path(), &nics, 400);
    assert_eq!(steps(&first)[..3], ["save", "restore", "plug"]);
    assert_eq!(steps(&second)[..2], ["restore", "plug"]);
    assert_eq!(snapshots(cache.path()).len(), 1);
}

/// iPXE reads the NIC's MAC when it starts: one snapshot for each model, with its NIC. An
/// i82551 does not wait at the end of a round, and tulip's driver is slow at the start.
#[test]
fn ipxe_is_saved_with_its_nic_and_goes_on_under_another_filter() {
    let cache = temporary();
    let cells = "--jobs 1 --cell ipxe/i82551 --cell ipxe/tulip".split(' ');
    let cells: Vec<&str> = cells.collect();
    let [first, second, _] = snapshot_restored_and_cold(cache.path(), &cells, 20);
    assert_eq!(steps(&first)[..3], ["save", "restore", "round"]);
    assert_eq!(steps(&second)[..2], ["restore", "round"]);
    assert_eq!(snapshots(cache.path()).len(), 2);
    // The snapshot holds no filter: without one, everything that was stopped gets out.
    let leaky = verify_in(cache.path(), &["--cell", "ipxe/tulip", "--no-filter"]);
    assert_eq!(leaky.code, 1, "{}", leaky.printed());
    assert_eq!(steps(&leaky)[..2], ["restore", "round"]);
    let [leaky] = &leaky.run().cells[..] else {
        panic!("one cell: {}", leaky.printed());
    };
    let got_out = |probe: &&ProbeResult| probe.verdict == Verdict::Fail(Failure::Leak);
    assert_eq!(leaky.probes.iter().filter(got_out).count(), 2);
}

/// A guest that is given a USB NIC needs a snapshot with a USB controller.
#[test]
fn a_usb_nic_is_plugged_into_a_guest_with_a_snapshot_of_its_own() {
    let cache = temporary();
    let cells = "--jobs 1 --attach before-first-frame --nic usb-net --nic pcnet".split(' ');
    let cells: Vec<&str> = cells.collect();
    let [_, second, _] = snapshot_restored_and_cold(cache.path(), &cells, 400);
    assert_eq!(steps(&second)[..2], ["restore", "plug"]);
    assert_eq!(snapshots(cache.path()).len(), 2);
}

/// A copy of the guest image that may be changed.
fn copied_image() -> TempDir {
    let dir = temporary();
    for name in ["vmlinux", "initramfs.cpio", "manifest.json"] {
        std::fs::copy(guest_image().join(name), dir.path().join(name)).expect("the image's file");
    }
    dir
}

#[test]
fn a_snapshot_of_another_image_is_not_used() {
    let (cache, image) = (temporary(), copied_image());
    let path = image.path().to_str().expect("a name in UTF-8");
    let arguments = ["--nic", "virtio", "--guest-image", path];
    let first = verify_in(cache.path(), &arguments);
    assert_eq!(first.code, 0, "{}", first.printed());
    // The same kernel with a word more in its file system is another guest.
    append(
        image.path(),
        &entry("etc/motd", 0o100_644, b"another guest\n"),
    );
    let second = verify_in(cache.path(), &arguments);
    assert_eq!(second.code, 0, "{}", second.printed());
    assert!(steps(&second).contains(&"save"), "{:?}", steps(&second));
    assert_eq!(snapshots(cache.path()).len(), 2);
}

#[rstest]
#[case::cut_short("linux/virtio", |snapshot: &mut Vec<u8>| snapshot.truncate(snapshot.len() / 2))]
#[case::not_libvirts("linux/virtio", |snapshot: &mut Vec<u8>| snapshot[..16].fill(0))]
#[case::empty("linux/virtio", Vec::clear)]
#[case::of_ipxe_cut_short("ipxe/virtio", |snapshot: &mut Vec<u8>| snapshot.truncate(snapshot.len() / 2))]
#[case::of_ipxe_dead("ipxe/virtio", |snapshot: &mut Vec<u8>| erase(snapshot, b"LANFENCE READY ${run}"))]
fn a_snapshot_that_cannot_be_restored_is_reported_and_removed(
    #[case] cell: &str,
    #[case] damage: fn(&mut Vec<u8>),
) {
    let cache = temporary();
    let cell = ["--cell", cell];
    let first = verify_in(cache.path(), &cell);
    assert_eq!(first.code, 0, "{}", first.printed());
    let file = snapshots(cache.path()).pop().expect("a snapshot");
    let mut snapshot = std::fs::read(&file).expect("the snapshot");
    damage(&mut snapshot);
    std::fs::write(&file, snapshot).expect("the damaged snapshot");
    let second = verify_in(cache.path(), &cell);
    assert_eq!(second.code, 0, "{}", second.printed());
    assert!(steps(&second).contains(&"boot"), "{:?}", steps(&second));
    let note = "one guest boots cold, since the saved one cannot be restored";
    assert!(second.stderr.contains(note), "{}", second.printed());
    // It is gone: the next guest makes a new one and begins with that.
    let third = verify_in(cache.path(), &cell);
    assert_eq!(third.code, 0, "{}", third.printed());
    for step in ["save", "restore"] {
        assert!(steps(&third).contains(&step), "{:?}", steps(&third));
    }
    assert!(!third.stderr.contains(note), "{}", third.printed());
}

/// Overwrites a text in the guest's memory.
fn erase(snapshot: &mut [u8], text: &[u8]) {
    let mut at = 0;
    let mut found = 0;
    while let Some(place) = snapshot[at..]
        .windows(text.len())
        .position(|part| part == text)
    {
        snapshot[at + place..at + place + text.len()].fill(b'x');
        at += place + text.len();
        found += 1;
    }
    assert!(found > 0, "no such text in the snapshot");
}

/// Becomes the agent, and leaves a watcher behind that panics the kernel when a NIC comes.
const DIES_OF_A_NIC: &str = "#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
class() { /bin/busybox grep -q 0x020000 /sys/bus/pci/devices/*/class; }
(until class; do /bin/busybox sleep 0.02; done; echo c > /proc/sysrq-trigger) &
exec /agent
";

#[test]
fn a_guest_that_panics_when_its_nic_is_plugged_in_has_its_own_error() {
    let (cache, image) = (temporary(), copied_image());
    let agent = content(image.path(), "init");
    append(image.path(), &entry("agent", 0o100_755, &agent));
    let script = entry("init", 0o100_755, DIES_OF_A_NIC.as_bytes());
    append(image.path(), &script);
    let path = image.path().to_str().expect("a name in UTF-8");
    let done = verify_in(cache.path(), &["--nic", "pcnet", "--guest-image", path]);
    assert_eq!(done.code, 5, "{}", done.printed());
    assert_eq!(steps(&done)[..3], ["save", "restore", "plug"]);
    let error = done.run().cells[0].error.as_ref().expect("an error");
    let words = "the guest's kernel panicked: ";
    assert!(error.message.contains(words), "{}", error.message);
    assert!(error.message.contains("sysrq"), "{}", error.message);
    assert_eq!(
        snapshots(cache.path()).len(),
        1,
        "the snapshot is not to blame"
    );
}

#[test]
fn a_driver_that_cannot_be_loaded_has_its_own_error() {
    let (cache, image) = (temporary(), copied_image());
    let broken = entry("lib/modules/pcnet32.ko", 0o100_644, b"no module");
    append(image.path(), &broken);
    let path = image.path().to_str().expect("a name in UTF-8");
    let arguments = ["--nic", "pcnet", "--nic", "virtio", "--guest-image", path];
    let done = verify_in(cache.path(), &arguments);
    assert_eq!(done.code, 5, "{}", done.printed());
    let [pcnet, virtio] = &done.run().cells[..] else {
        panic!("two cells: {}", done.printed());
    };
    let message = &pcnet.error.as_ref().expect("an error").message;
    for words in ["no network device with MAC", "pcnet32"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(virtio.error, None, "the other driver is whole");
}

#[test]
fn a_nic_whose_link_never_comes_up_has_its_own_error() {
    let cache = temporary();
    let arguments = ["--nic", "pcnet", "--inject", "no-link"];
    let done = verify_in(cache.path(), &arguments);
    assert_eq!(done.code, 5, "{}", done.printed());
    let error = done.run().cells[0].error.as_ref().expect("an error");
    let words = "with driver pcnet32 has no carrier within";
    assert!(error.message.contains(words), "{}", error.message);
    assert_eq!(error.step.word(), "nic");
}

/// A file's bytes in the image's archive (newc, cpio(5)).
fn content(image: &Path, wanted: &str) -> Vec<u8> {
    const HEADER: usize = 110;
    let archive = std::fs::read(image.join("initramfs.cpio")).expect("the initramfs");
    let mut at = 0;
    loop {
        let field = |index: usize| {
            let text = &archive[at + 6 + 8 * index..at + 14 + 8 * index];
            let text = std::str::from_utf8(text).expect("hex digits");
            usize::from_str_radix(text, 16).expect("a number")
        };
        let (length, name) = (field(6), field(11));
        let data = (at + HEADER + name).next_multiple_of(4);
        if &archive[at + HEADER..at + HEADER + name - 1] == wanted.as_bytes() {
            return archive[data..data + length].to_vec();
        }
        at = (data + length).next_multiple_of(4);
    }
}

/// Appends a newc archive with the entry to the image's: the kernel unpacks
/// both, and of files of the same name the later one counts.
fn append(image: &Path, entry: &[u8]) {
    use std::io::Write as _;
    let path = image.join("initramfs.cpio");
    let mut file = std::fs::File::options()
        .append(true)
        .open(path)
        .expect("the initramfs");
    file.write_all(entry).expect("writes");
}

/// A newc archive of one file (cpio(5)).
fn entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let one = |name: &str, mode: u32, data: &[u8]| {
        let mut fields = [0; 13];
        fields[1] = mode;
        fields[4] = 1;
        fields[6] = u32::try_from(data.len()).expect("a small file");
        fields[11] = u32::try_from(name.len() + 1).expect("a short name");
        let mut bytes = b"070701".to_vec();
        for field in fields {
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    [one(name, mode, data), one("TRAILER!!!", 0, b"")].concat()
}
