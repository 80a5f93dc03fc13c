//! Foreign guests: a disk image that is taken as it comes, judged from outside.
//! The image is iPXE's CD with a script, which the guest image brings along.

use crate::common::{Verified, example, guest_image, lanfence, verify, verify_with};
use lanfence::report::model::{Failure, Outcome, Verdict};
use rstest::rstest;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The image that the guest image brings along.
fn opaque() -> PathBuf {
    let file = guest_image().join("opaque.iso");
    assert!(
        file.is_file(),
        "{} is missing: `cargo xtask image` makes it",
        file.display()
    );
    file
}

/// A manifest for an image.
struct Manifest {
    dir: TempDir,
    file: String,
}

fn manifest(image: &Path, more: &str) -> Manifest {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("opaque.toml");
    let image = image.display();
    let text = format!(
        "name = \"opaque\"\npath = \"{image}\"\nnics = [\"pcnet\"]\nmemory-mib = 128\n\
         deadline-s = 90\nobserve-s = 3\n{more}\n"
    );
    std::fs::write(&file, text).expect("a manifest");
    let file = file.display().to_string();
    Manifest { dir, file }
}

const TRIES: &str = "[expect]\nwan = \"attempted\"";

fn run(manifest: &Manifest, arguments: &[&str]) -> Verified {
    verify(&[&["--image", &manifest.file], arguments].concat())
}

fn verdict(done: &Verified, id: &str) -> (Verdict, Outcome, Option<Outcome>) {
    let probes = &done.run().cells[0].probes;
    let probe = probes.iter().find(|probe| probe.id == id);
    let probe = probe.unwrap_or_else(|| panic!("no {id}\n{}", done.printed()));
    (probe.verdict, probe.filtered, probe.first_frame)
}

#[rstest]
#[case::disk("")]
#[case::cdrom("medium = \"cdrom\"\n")]
fn the_generated_filter_is_green_and_the_image_untouched(#[case] medium: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("disk");
    std::fs::copy(opaque(), &image).expect("a copy");
    let before = std::fs::metadata(&image).expect("metadata");
    let manifest = manifest(&image, &format!("{medium}{TRIES}"));
    let done = run(&manifest, &[]);
    assert_eq!(done.code, 0, "{}", done.printed());
    let cell = &done.run().cells[0];
    assert_eq!(
        (cell.name.as_str(), cell.leak_check),
        ("opaque/pcnet", Some(true))
    );
    let stopped = (Verdict::Pass, Outcome::Dropped, Some(Outcome::Dropped));
    for id in ["wan-ipv4/udp", "wan-ipv4/tcp", "wan-inbound/ping"] {
        assert_eq!(verdict(&done, id), stopped, "{}", done.printed());
    }
    for id in [
        "dhcp/discover",
        "dhcp/ack",
        "arp/announce",
        "lan-unicast/udp-69",
    ] {
        assert_eq!(verdict(&done, id).0, Verdict::Pass, "{}", done.printed());
    }
    let after = std::fs::metadata(&image).expect("metadata");
    assert_eq!(
        before.modified().expect("a time"),
        after.modified().expect("a time")
    );
    let (mine, given) = (std::fs::read(&image), std::fs::read(opaque()));
    assert!(
        mine.expect("the copy") == given.expect("the image"),
        "the image was written to"
    );
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a list").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[rstest]
#[case::no_filter(&["--no-filter"])]
#[case::rules_that_vanish(&["--inject", "flush"])]
#[case::rules_that_vanish_before_the_first_frame(&["--inject", "flush-before-first-frame"])]
fn what_reaches_the_wan_is_a_leak(#[case] arguments: &[&str]) {
    let done = run(&manifest(&opaque(), TRIES), arguments);
    assert_eq!(done.code, 1, "{}", done.printed());
    let leak = Verdict::Fail(Failure::Leak);
    assert_eq!(verdict(&done, "wan-ipv4/udp").0, leak, "{}", done.printed());
}

#[test]
fn a_filter_that_stops_dhcp_is_red() {
    let dir = tempfile::tempdir().expect("a directory");
    let filter = dir.path().join("f.xml");
    let text = "<filter name='f' chain='root'>\
        <rule action='drop' direction='out'><mac protocolid='ipv4'/></rule></filter>";
    std::fs::write(&filter, text).expect("a filter");
    let manifest = manifest(&opaque(), "[expect]\narp = \"any\"");
    let done = run(&manifest, &["--filter", &filter.display().to_string()]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let blocked = Verdict::Fail(Failure::Blocked);
    assert_eq!(
        verdict(&done, "dhcp/discover").0,
        blocked,
        "{}",
        done.printed()
    );
}

#[rstest]
#[case::a_dead_sensor("sensor")]
#[case::a_link_that_is_down("link")]
#[case::a_paused_guest("pause")]
fn what_breaks_in_mid_run_is_inconclusive(#[case] part: &str) {
    let done = run(&manifest(&opaque(), TRIES), &["--inject", part]);
    assert_eq!(done.code, 5, "{}", done.printed());
}

/// A disk with a boot sector that loops forever and sends nothing.
fn silent_disk(dir: &Path) -> PathBuf {
    let mut disk = vec![0; 1 << 20];
    disk[..2].copy_from_slice(&[0xeb, 0xfe]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let file = dir.join("silent.img");
    std::fs::write(&file, disk).expect("a disk");
    file
}

#[test]
fn a_guest_that_never_asks_for_a_lease_is_inconclusive_and_leaves_its_screen() {
    let dir = tempfile::tempdir().expect("a directory");
    let manifest = manifest(&silent_disk(dir.path()), "");
    let text = std::fs::read_to_string(&manifest.file).expect("the manifest");
    let short = text.replace("deadline-s = 90", "deadline-s = 5");
    std::fs::write(&manifest.file, short).expect("the manifest");
    let done = run(&manifest, &[]);
    assert_eq!(done.code, 5, "{}", done.printed());
    let error = done.run().cells[0].error.as_ref().expect("an error");
    assert!(
        error.message.contains("did not come to a lease"),
        "{}",
        error.message
    );
    assert!(
        error.message.contains("no frame has left it"),
        "{}",
        error.message
    );
    let screen = done.dir.path().join("out/opaque-pcnet/screen.ppm");
    assert!(std::fs::read(screen).expect("a picture").starts_with(b"P6"));
}

#[rstest]
#[case::wrong_sum(
    "sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
    "is not the image"
)]
#[case::unknown_model("", "no NIC model `pcnett`")]
#[case::unknown_key("memry-mib = 3", "did you mean")]
fn bad_manifests_are_usage_errors(#[case] more: &str, #[case] words: &str) {
    let manifest = manifest(&opaque(), more);
    if more.is_empty() {
        let text = std::fs::read_to_string(&manifest.file).expect("the manifest");
        std::fs::write(&manifest.file, text.replace("pcnet", "pcnett")).expect("the manifest");
    }
    let done = run(&manifest, &[]);
    assert_eq!(done.code, 2, "{}", done.printed());
    assert!(done.printed().contains(words), "{}", done.printed());
}

#[test]
fn files_that_are_no_images_are_usage_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().join("text");
    std::fs::write(&text, "hello").expect("a file");
    let cases = [
        (dir.path().join("none"), "cannot be opened"),
        (text, "no disk image"),
    ];
    for (image, words) in cases {
        let done = run(&manifest(&image, ""), &[]);
        assert_eq!(done.code, 2, "{}", done.printed());
        assert!(done.printed().contains(words), "{}", done.printed());
    }
}

#[test]
fn shipped_manifests_without_their_images_are_skipped_and_say_what_they_want() {
    let mut command = lanfence();
    command.env_remove("LANFENCE_IMAGE_WINDOWS_2003");
    let done = verify_with(command, &["--cell", "windows-2003/*", "--list"]);
    let line = "windows-2003/pcnet skipped: no image: LANFENCE_IMAGE_WINDOWS_2003=FILE names yours of Windows Server 2003, 32 bit";
    assert!(done.stdout.contains(line), "{}", done.printed());
    assert!(
        done.stdout.contains("windows-2003/e1000 skipped"),
        "{}",
        done.printed()
    );
}

#[test]
fn a_full_disk_is_told() {
    // A file system of its own needs a namespace of its own.
    let small = "mount -t tmpfs -o size=64k small \"$0\" && TMPDIR=\"$0\" exec \"$@\"";
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--map-root-user", "--map-auto"]);
    }
    command.args(["--mount", "sh", "-c", small]);
    command.arg(dir.path()).arg(lanfence().get_program());
    let manifest = manifest(&opaque(), "");
    let done = verify_with(command, &["--image", &manifest.file]);
    assert_eq!(done.code, 3, "{}", done.printed());
    assert!(
        done.printed().contains("no overlay can be made"),
        "{}",
        done.printed()
    );
    assert!(done.printed().contains("TMPDIR"), "{}", done.printed());
    drop(manifest.dir);
}

#[test]
fn a_kill_in_mid_run_leaves_no_overlay() {
    let dir = tempfile::tempdir().expect("a directory");
    let manifest = manifest(&opaque(), "");
    let mut child = lanfence()
        .args(["verify", "--accel", "tcg", "--image", &manifest.file])
        .env("LANFENCE_GUEST", guest_image())
        .env("TMPDIR", dir.path())
        .env("CI", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lanfence can be started");
    let lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
    // The overlay is in use from then on.
    let booted = lines
        .map_while(Result::ok)
        .any(|line| line.contains("] boot "));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(booted, "it ended before its guest ran");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a list").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_articles_filter_lets_the_wan_ping_in() {
    let filter = example("no-out-traffic.xml");
    let done = run(&manifest(&opaque(), TRIES), &["--filter", &filter]);
    assert_eq!(done.code, 1, "{}", done.printed());
    let (ping, ..) = verdict(&done, "wan-inbound/ping");
    assert_eq!(ping, Verdict::Fail(Failure::Leak), "{}", done.printed());
    assert_eq!(
        verdict(&done, "wan-ipv4/udp").0,
        Verdict::Pass,
        "{}",
        done.printed()
    );
}
