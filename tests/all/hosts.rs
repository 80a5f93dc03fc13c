//! Bad hosts and bad ends: what a user sees, and that nothing is left behind.

use crate::common::{fixture, guest_image, lanfence};
use crate::ordinary_user::{self, is_root};
use rstest::rstest;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn as_ordinary_user(broken: &str) -> Output {
    run_as_ordinary_user(broken, &["--nic", "virtio"])
}

/// The same with other arguments.
fn run_as_ordinary_user(broken: &str, arguments: &[&str]) -> Output {
    ordinary_user::run(broken, &[&["verify", "--accel", "tcg"], arguments].concat())
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

#[test]
fn an_ordinary_user_may_bring_a_disk_image() {
    let manifest = if is_root() {
        "../opaque.toml".to_owned()
    } else {
        fixture("opaque.toml")
    };
    let output = run_as_ordinary_user("nothing", &["--image", &manifest]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

/// Debian 12's libvirt packages bring them only with the one that starts daemons on the host.
#[test]
fn directories_of_libvirt_may_be_missing() {
    if !is_root() {
        println!("skipped: only root can hide the host's directories");
        return;
    }
    let output = as_ordinary_user("libvirt_directories");
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
#[case::no_image(&["--guest-image", "/nonexistent"], 3, "cargo xtask image")]
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
#[case::no_address(
    "<filter name='f'><rule action='drop' direction='out'><ip srcipaddr='nonsense'/></rule></filter>",
    "f.xml:1:54: `nonsense` cannot be the srcipaddr"
)]
#[case::refused_by_libvirt(
    "<filter name='f'><rule action='drop' direction='out'><ip srcportstart='5'/></rule></filter>",
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

/// A real kernel whose initramfs holds nothing, and an ELF file that is no kernel.
#[rstest]
#[case::a_kernel_panic(true, "the guest's kernel panicked: ", "Kernel panic")]
#[case::no_kernel_at_all(false, "error in step boot: ", "")]
fn a_guest_that_never_boots_has_its_own_error_and_leaves_its_log(
    #[case] real_kernel: bool,
    #[case] words: &str,
    #[case] on_the_console: &str,
) {
    let guest = tempfile::tempdir().unwrap();
    let kernel = guest_image().join("vmlinux");
    let kernel = if real_kernel {
        kernel
    } else {
        "/bin/true".into()
    };
    std::fs::copy(kernel, guest.path().join("vmlinux")).unwrap();
    std::fs::write(guest.path().join("initramfs.cpio"), b"070701").unwrap();
    let verified = crate::common::verify(&[
        "--nic",
        "virtio",
        "--guest-image",
        guest.path().to_str().unwrap(),
    ]);
    assert_eq!(verified.code, 5, "{}", verified.printed());
    assert!(verified.printed().contains(words), "{}", verified.printed());
    let cell = &verified.run().cells[0];
    let read = |name: &str| {
        let file = format!("linux-virtio/{name}");
        assert!(cell.evidence.contains(&file), "{:?}", cell.evidence);
        std::fs::read_to_string(verified.dir.path().join("out").join(file)).unwrap()
    };
    assert!(read("serial.log").contains(on_the_console));
    assert!(read("qemu.log").contains("qemu-system-x86_64"));
    assert!(read("domain.xml").contains("<name>linux-virtio-1</name>"));
}

#[test]
fn a_leak_is_not_hidden_by_a_report_that_cannot_be_written() {
    let output = lanfence()
        .args(["verify", "--accel", "tcg", "--nic", "virtio", "--no-filter"])
        .args(["--json", "/dev/full"])
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("/dev/full"), "{}", text(&output));
}

#[test]
fn a_policy_may_come_through_a_pipe_and_a_reader_may_leave() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
    let script = "cat \"$POLICY\" | \"$PROGRAM\" verify --accel tcg --nic virtio --policy /dev/stdin | true; exit ${PIPESTATUS[1]}";
    let output = Command::new("bash")
        .args(["-c", script])
        .env("POLICY", policy)
        .env("PROGRAM", env!("CARGO_BIN_EXE_lanfence"))
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[rstest]
#[case::qemu("qemu-system-x86_64", "-device help` failed")]
#[case::libvirtd("libvirtd", "`libvirtd` failed")]
fn a_program_that_cannot_run_makes_the_host_unfit(#[case] program: &str, #[case] words: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(program);
    std::fs::write(
        &file,
        "#!/bin/sh\necho 'cannot open shared object file' >&2; exit 127\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = lanfence()
        .args(["verify", "--accel", "tcg", "--nic", "virtio"])
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    for words in [words, "cannot open shared object file"] {
        assert!(text(&output).contains(words), "{}", text(&output));
    }
}

/// The process that has started another.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_its_name = stat.rsplit(')').next()?;
    behind_its_name.split_whitespace().nth(1)?.parse().ok()
}

/// All processes below one, itself included.
fn family(root: u32) -> BTreeSet<u32> {
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

/// The name of a process's program, cut after 15 bytes (proc(5)).
fn command(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.unwrap_or_default().trim_end().to_owned()
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

/// Starts a run and waits until a cell has got past a step; what it says from there on.
fn past(step: &str, command: &mut Command) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = command
        .env("LANFENCE_GUEST", guest_image())
        .env("CI", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let reached = |line: String| line.contains(&format!("] {step} "));
    assert!(lines.any(reached), "a cell got past {step}");
    (child, lines)
}

/// The process of a program among them.
fn named(program: &str, family: &BTreeSet<u32>) -> u32 {
    let found = family.iter().find(|pid| command(**pid) == program);
    *found.unwrap_or_else(|| panic!("no {program} in {family:?}"))
}

fn kill(pid: u32) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

#[rstest]
#[case::the_coordinator("coordinator", "restore")]
#[case::the_worker("worker", "restore")]
#[case::libvirtd_before_the_bind("libvirtd", "control")]
#[case::the_guest("qemu-system-x86", "nic")]
#[case::dnsmasq("dnsmasq", "filtered")]
fn a_kill_leaves_nothing_behind(#[case] victim: &str, #[case] after: &str) {
    let cache = tempfile::tempdir().unwrap();
    let mut command = lanfence();
    command
        .args(["verify", "--accel", "tcg", "--nic", "virtio"])
        .env("LANFENCE_CACHE", cache.path());
    // The boot is done, so libvirtd, dnsmasq and QEMU all run.
    let (mut child, lines) = past(after, &mut command);
    let family = family(child.id());
    assert!(
        family.len() >= 6,
        "coordinator, keeper, init, main, libvirtd, dnsmasq, QEMU: {family:?}"
    );
    let target = match victim {
        "coordinator" => child.id(),
        "worker" => {
            let mut own = family
                .iter()
                .filter(|pid| parent(**pid) == Some(child.id()));
            *own.next().expect("the coordinator has a worker")
        }
        program => named(program, &family),
    };
    kill(target);
    let rest: Vec<String> = lines.collect();
    let status = child.wait().unwrap();
    if victim != "coordinator" {
        assert_eq!(
            status.code(),
            Some(5),
            "what died under a cell leaves it not proven, and blames no input: {rest:?}"
        );
    }
    if ["libvirtd", "dnsmasq"].contains(&victim) {
        let named = rest
            .iter()
            .any(|line| line.contains(&format!("lab's {victim} died")));
        assert!(named, "{rest:?}");
    }
    nothing_is_left(&family, cache.path());
}

/// The victim dies with the filter bound: its rules, its guest and what libvirtd has noted
/// of both are there when the next cell of the same lab begins.
#[test]
fn what_a_dead_libvirtd_leaves_does_not_meet_the_next_cell() {
    let mut command = lanfence();
    command
        .args(["verify", "--accel", "tcg", "--jobs", "1"])
        .args([
            "--attach",
            "before-first-frame",
            "--nic",
            "virtio",
            "--nic",
            "pcnet",
        ]);
    let (mut child, lines) = past("nic", &mut command);
    kill(named("libvirtd", &family(child.id())));
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{rest:?}");
    let count = |words: &str| rest.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("] PASS: "), 1, "{rest:?}");
    assert_eq!(count("the lab's libvirtd died"), 1, "{rest:?}");
}

fn nothing_is_left(family: &BTreeSet<u32>, cache: &Path) {
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
    let left: Vec<PathBuf> = walk(cache)
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
