//! Bad hosts and bad ends: what a user sees, and that nothing is left behind.
#![cfg(feature = "lab")]

mod common;

use common::{guest_image, lanfence};
use rstest::rstest;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Prepares a private view of the host for an ordinary user, then runs
/// `lanfence verify` as that user. `$T` is an empty directory, `$BROKEN` what to leave out.
const AS_ORDINARY_USER: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 lanfence-test "$T"
cp "$PROGRAM" "$T/lanfence"
mkdir "$T/guest" "$T/home" && mount --bind "$LANFENCE_GUEST" "$T/guest"
chown 12345:12345 "$T/home"
mode=0666; [ "$BROKEN" != tun ] || mode=0600
mknod -m "$mode" "$T/tun" c 10 200 && mount --bind "$T/tun" /dev/net/tun
{ cat /etc/passwd; echo 'lanfence-test:x:12345:12345::/:/bin/sh'; } > "$T/passwd" && mount --bind "$T/passwd" /etc/passwd
: > "$T/sub"; [ "$BROKEN" = subuid ] || echo 'lanfence-test:200000:65536' > "$T/sub"
for file in /etc/subuid /etc/subgid; do [ -e "$file" ] || : > "$file"; mount --bind "$T/sub" "$file"; done
export PATH=/usr/bin:/bin HOME="$T/home" LANFENCE_GUEST="$T/guest" LANFENCE_CACHE="$T/home/cache"
cd "$T/home"
exec setpriv --reuid=12345 --regid=12345 --clear-groups "$T/lanfence" verify --accel tcg --nic virtio
"#;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn as_ordinary_user(broken: &str) -> Output {
    if !is_root() {
        // Already an ordinary user: that is the path to test, and only root can break the host's view.
        assert_eq!(broken, "nothing", "breaking the host's view needs root");
        return lanfence()
            .args(["verify", "--accel", "tcg", "--nic", "virtio"])
            .env("LANFENCE_GUEST", guest_image())
            .output()
            .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    Command::new("unshare")
        .args(["--mount", "sh", "-c", AS_ORDINARY_USER])
        .env("T", dir.path())
        .env("PROGRAM", env!("CARGO_BIN_EXE_lanfence"))
        .env("LANFENCE_GUEST", guest_image())
        .env("BROKEN", broken)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn an_ordinary_user_needs_no_privilege() {
    let output = as_ordinary_user("nothing");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[rstest]
#[case::no_subordinate_ids("subuid", "usermod --add-subuids")]
#[case::a_closed_tun_device("tun", "chmod 0666 /dev/net/tun")]
fn an_unfit_host_names_the_cure(#[case] broken: &str, #[case] cure: &str) {
    if !is_root() {
        println!("skipped: only root can break the host's view");
        return;
    }
    let output = as_ordinary_user(broken);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains(cure), "{}", text(&output));
}

#[rstest]
#[case::unknown_nic(&["--nic", "pcnett"], 2, "no NIC model `pcnett`")]
#[case::missing_filter(&["--filter", "no-such-file.xml"], 2, "no-such-file.xml")]
#[case::missing_policy(&["--policy", "no-such-file.toml"], 2, "no-such-file.toml")]
#[case::bad_parameter(&["--param", "A-B=1"], 2, "letters, digits and _")]
#[case::unknown_option(&["--frobnicate"], 2, "--frobnicate")]
#[case::no_image(&["--guest", "/nonexistent"], 3, "cargo xtask image")]
fn bad_input_is_said_with_its_exit_code(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let output = lanfence()
        .arg("verify")
        .args(["--accel", "tcg"])
        .args(arguments)
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    assert!(text(&output).contains(words), "{}", text(&output));
}

#[rstest]
#[case::refused_by_libvirt(
    "<filter name='f'><rule action='drop' direction='out'><ip srcipaddr='nonsense'/></rule></filter>",
    "define filter f"
)]
#[case::undefined_reference("<filter name='f'><filterref filter='missing'/></filter>", "missing")]
#[case::undefined_variable(
    "<filter name='f'><rule action='drop' direction='out'><ip srcipaddr='$NOBODY'/></rule></filter>",
    "NOBODY"
)]
fn a_filter_that_cannot_work_is_a_usage_error(#[case] xml: &str, #[case] words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.xml");
    std::fs::write(&file, xml).unwrap();
    let output = lanfence()
        .args(["verify", "--accel", "tcg", "--nic", "virtio", "--filter"])
        .arg(&file)
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains(words), "{}", text(&output));
}

#[test]
fn a_guest_that_never_boots_is_told_apart() {
    // A kernel that is an ELF file and no kernel: the guest dies or hangs, and the run says so.
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/true", dir.path().join("vmlinux")).unwrap();
    std::fs::write(dir.path().join("initramfs.cpio"), b"070701").unwrap();
    let output = lanfence()
        .args(["verify", "--accel", "tcg", "--nic", "virtio", "--guest"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
}

/// All processes below one, itself included.
fn family(root: u32) -> BTreeSet<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let pids = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
    };
    let mut all = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = pids()
            .filter(|pid| {
                !all.contains(pid) && parent(*pid).is_some_and(|parent| all.contains(&parent))
            })
            .collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn alive(pid: u32) -> bool {
    // A zombie has ended; it waits for its parent only.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

#[rstest]
#[case::the_front("front")]
#[case::the_worker("worker")]
fn a_kill_leaves_nothing_behind(#[case] victim: &str) {
    let cache = tempfile::tempdir().unwrap();
    let mut child = lanfence()
        .args(["verify", "--accel", "tcg", "--nic", "virtio"])
        .env("LANFENCE_GUEST", guest_image())
        .env("LANFENCE_CACHE", cache.path())
        .env("CI", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The boot is done, so libvirtd, dnsmasq and QEMU all run.
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.contains("boot")), "the guest booted");
    let family = family(child.id());
    assert!(
        family.len() >= 6,
        "front, keeper, init, main, libvirtd, dnsmasq, QEMU: {family:?}"
    );
    let target = if victim == "front" {
        child.id()
    } else {
        *family.iter().find(|pid| **pid != child.id()).unwrap()
    };
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(target.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    drop(lines);
    let status = child.wait().unwrap();
    if victim == "worker" {
        assert_eq!(
            status.code(),
            Some(5),
            "a cell whose worker died is not proven"
        );
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while family.iter().any(|pid| alive(*pid)) {
        assert!(
            Instant::now() < deadline,
            "still alive: {:?}",
            family.iter().filter(|pid| alive(**pid)).collect::<Vec<_>>()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(
        !mounts.lines().any(|line| line.starts_with("lanfence /run")),
        "a mount of the lab is on the host"
    );
    let left: Vec<PathBuf> = walk(cache.path())
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("tap"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
