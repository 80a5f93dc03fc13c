//! Hosts that cannot be had, do not boot, hang, or are not wanted any more: one clear message, the
//! right exit code, and nothing left behind.

use super::{hosts, output, started, text, unless_unfit, wait_for_end};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use std::fs;
use std::path::Path;

const USAGE: i32 = 2;
const UNFIT: i32 = 3;
const INTERRUPTED: i32 = 130;

/// A manifest in the directory, like the host that the tests boot.
fn manifest(directory: &Path, keys: &str) -> String {
    let path = directory.join("bad.toml");
    fs::write(&path, format!("like = \"debian-13\"\n{keys}")).expect("write");
    path.to_str().expect("UTF-8").to_owned()
}

#[rstest]
#[case::no_such_host("build none", USAGE, "there is no host `none`; there are: debian-12")]
#[case::no_verb("frob debian-13", USAGE, "no verb `frob`")]
#[case::no_command("run debian-13", USAGE, "such as `-- verify` is missing")]
#[case::no_mirror_named("build ubuntu-26.04", UNFIT, "LANFENCE_UBUNTU_MIRROR names no mirror")]
#[case::offline(
    "--offline build debian-13 --fresh",
    UNFIT,
    "--offline forbids downloading"
)]
#[case::strict_about_nothing("test --strict debian-13", USAGE, "--strict wants a --baseline")]
#[case::no_such_trial("test --scenario frob debian-13", USAGE, "there is no scenario `frob`")]
fn what_cannot_be_is_refused(#[case] words: &str, #[case] code: i32, #[case] expected: &str) {
    let directory = tempfile::tempdir().expect("scratch directory");
    let words: Vec<&str> = words.split_whitespace().collect();
    let output = hosts(directory.path(), &words)
        .output()
        .expect("xtask runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
}

#[rstest]
#[case::no_mirror("", "http://127.0.0.1:9/debian", "is the mirror reachable")]
#[case::package_that_is_gone(
    "more-packages = [\"no-such-package-anywhere\"]\n",
    "http://deb.debian.org/debian",
    "no-such-package-anywhere"
)]
fn packages_that_cannot_be_had_leave_nothing_behind(
    #[case] keys: &str,
    #[case] mirror: &str,
    #[case] expected: &str,
) {
    let directory = tempfile::tempdir().expect("scratch directory");
    let name = manifest(directory.path(), keys);
    let mut command = hosts(directory.path(), &["build", &name]);
    command.env("LANFENCE_DEBIAN_MIRROR", mirror);
    let output = command.output().expect("xtask runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(UNFIT), "{said}");
    // An ordinary user may lack mmdebstrap, which is another good reason.
    if nix::unistd::Uid::effective().is_root() {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_kernel_that_panics_at_boot_is_quoted() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let name = manifest(
        directory.path(),
        "kernel-arguments = [\"init=/bin/false\"]\n",
    );
    let Some(output) = unless_unfit(&mut hosts(directory.path(), &["build", &name])) else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot boot the host bad"), "{said}");
    assert!(said.contains("Attempted to kill init"), "{said}");
}

#[test]
fn a_host_that_hangs_is_noticed() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let script = "kill -STOP $(pidof qemu-ga); sleep 1000";
    let Some(output) = output(directory.path(), &["--program", "sh", "--", "-c", script]) else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the host hangs: its agent did not answer"),
        "{said}"
    );
}

#[test]
fn ctrl_c_ends_the_host_and_removes_its_directory() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let Some((mut child, qemu)) = started(directory.path()) else {
        return;
    };
    let directory = fs::read_link(Path::new("/proc").join(&qemu).join("cwd")).expect("QEMU's");
    assert!(directory.join("disk.qcow2").exists());
    let pid = i32::try_from(child.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("signal");
    let status = child.wait().expect("xtask ends");
    assert_eq!(status.code(), Some(INTERRUPTED));
    wait_for_end(&qemu);
    assert!(!directory.exists(), "{}", directory.display());
}
