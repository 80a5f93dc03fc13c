//! A whole host: `hosts run` restores it, runs a command in it, and brings back what the command
//! did. Skipped, with the reason, where an ordinary user's machine cannot make one.

mod bad;
mod baseline;

use nix::unistd::Uid;
use rstest::rstest;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const HOST: &str = "debian-13";
/// xtask's exit code where the machine lacks something.
const UNFIT: i32 = 3;
/// How long the kernel may take to end a QEMU whose starter was killed.
const ENDING: Duration = Duration::from_secs(60);

fn xtask() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_xtask"))
}

/// `xtask hosts` in this directory, with the programs that were built with this test.
fn hosts(directory: &Path, arguments: &[&str]) -> Command {
    let xtask = xtask();
    let programs = xtask.parent().expect("a program is in a directory");
    let mut command = Command::new(&xtask);
    command
        .arg("hosts")
        .args(arguments)
        .current_dir(directory)
        .env("LANFENCE_PROGRAMS", programs);
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Command {
    hosts(directory, &[&["run", HOST], arguments].concat())
}

/// The output, unless there can be no host here.
fn output(directory: &Path, arguments: &[&str]) -> Option<Output> {
    unless_unfit(&mut run(directory, arguments))
}

fn unless_unfit(command: &mut Command) -> Option<Output> {
    let output = command.output().expect("xtask runs");
    if output.status.code() == Some(UNFIT) && !Uid::effective().is_root() {
        let why = String::from_utf8_lossy(&output.stderr);
        eprintln!("skipped, there can be no host here: {why}");
        return None;
    }
    Some(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lanfence_runs_in_a_host_and_its_files_come_back() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lanfence.toml");
    fs::copy(policy, directory.path().join("lanfence.toml")).expect("the policy");
    let arguments = ["--", "generate", "--dir", "filters"];
    let Some(output) = output(directory.path(), &arguments) else {
        return;
    };
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    let filter = directory.path().join("filters/lan-only.xml");
    let filter = fs::read_to_string(filter).expect("came back");
    assert!(filter.contains("<filter"), "{filter}");
}

#[rstest]
#[case::exit_code_and_output("root", "echo out; echo err >&2; exit 7", 7, "out", "err")]
#[case::kvm_and_vhost(
    "root",
    "test -w /dev/kvm && test -w /dev/vhost-net && echo both",
    0,
    "both",
    ""
)]
#[case::no_uplink("root", "ip -br link | cut -d' ' -f1", 0, "lo", "")]
#[case::systemd("root", "systemctl is-active dbus.service", 0, "active", "")]
#[case::ordinary_user("tester", "id -un", 0, "tester", "")]
#[case::killed("root", "kill -9 $$", 137, "", "")]
fn a_command_in_a_host_ends_as_it_would_here(
    #[case] user: &str,
    #[case] script: &str,
    #[case] code: i32,
    #[case] out: &str,
    #[case] err: &str,
) {
    let directory = tempfile::tempdir().expect("scratch directory");
    let arguments = ["--user", user, "--program", "sh", "--", "-c", script];
    let Some(output) = output(directory.path(), &arguments) else {
        return;
    };
    let err_said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err_said}");
    assert_eq!(text(&output.stdout).trim(), out);
    assert!(err_said.contains(err), "{err_said}");
}

#[rstest]
#[case::panic("echo c > /proc/sysrq-trigger; sleep 1000", "Kernel panic")]
#[case::reset("echo b > /proc/sysrq-trigger; sleep 1000", "the host ended by itself")]
fn a_host_that_ends_is_noticed_and_quoted(#[case] script: &str, #[case] expected: &str) {
    let directory = tempfile::tempdir().expect("scratch directory");
    let Some(output) = output(directory.path(), &["--program", "sh", "--", "-c", script]) else {
        return;
    };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_killed_starter_takes_its_host_along() {
    let directory = tempfile::tempdir().expect("scratch directory");
    let Some((mut child, qemu)) = started(directory.path()) else {
        return;
    };
    child.kill().expect("xtask can be killed");
    child.wait().expect("xtask has ended");
    wait_for_end(&qemu);
}

/// `hosts run` whose command has begun and goes on, and the process of its QEMU.
fn started(directory: &Path) -> Option<(Child, String)> {
    let script = "echo started; sleep 1000";
    let mut child = run(directory, &["--program", "sh", "--", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("xtask runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("output");
    if line.is_empty() {
        let status = child.wait().expect("xtask ends");
        let unfit = status.code() == Some(UNFIT) && !Uid::effective().is_root();
        assert!(unfit, "the command did not start: {status}");
        eprintln!("skipped, there can be no host here");
        return None;
    }
    let mut children = children(child.id());
    assert_eq!(children.len(), 1, "one QEMU: {children:?}");
    Some((child, children.remove(0)))
}

fn wait_for_end(process: &str) {
    let deadline = Instant::now() + ENDING;
    while Path::new("/proc").join(process).exists() {
        assert!(Instant::now() < deadline, "QEMU outlives its starter");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose parent this is.
fn children(parent: u32) -> Vec<String> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).expect("the kernel lists children");
    text.split_whitespace().map(str::to_owned).collect()
}
