//! What the tests that boot guests share.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use lanfence::report::json;
use lanfence::report::model::{ProbeResult, Run, Verdict};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The directory of the guest image, which `cargo xtask test` builds and names.
pub fn guest_image() -> PathBuf {
    let dir = std::env::var_os("LANFENCE_GUEST").expect(
        "LANFENCE_GUEST is not set: these tests boot guests, run them with `cargo xtask test`",
    );
    PathBuf::from(dir)
}

/// The program under test.
pub fn lanfence() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lanfence"))
}

/// A finished `verify` with its report.
pub struct Verified {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The report, where one was written.
    pub run: Option<Run>,
    /// The directory that it wrote into, as `out` and `run.json`.
    pub dir: TempDir,
}

/// A directory for what failed tests leave behind; a CI system sets it.
const EVIDENCE: &str = "LANFENCE_TEST_EVIDENCE";

impl Drop for Verified {
    fn drop(&mut self) {
        let Some(kept) = std::env::var_os(EVIDENCE).filter(|_| std::thread::panicking()) else {
            return;
        };
        // Of the test's thread, which libtest names after the test.
        let test = std::thread::current()
            .name()
            .unwrap_or("test")
            .replace("::", "-");
        let copied = std::fs::create_dir_all(&kept).and_then(|()| {
            let target = PathBuf::from(kept).join(test);
            Command::new("cp")
                .arg("-a")
                .args([self.dir.path(), &target])
                .status()
        });
        if let Err(error) = copied {
            eprintln!("the evidence is not kept: {error}");
        }
    }
}

impl Verified {
    /// The report.
    pub fn run(&self) -> &Run {
        self.run
            .as_ref()
            .unwrap_or_else(|| panic!("no report was written\n{}{}", self.stdout, self.stderr))
    }

    /// The capture in the evidence of a cell such as `linux/virtio`.
    pub fn capture(&self, cell: &str) -> PathBuf {
        let folder = self.dir.path().join("out").join(cell.replace('/', "-"));
        folder.join("frames.pcapng")
    }

    /// Results of all cells with this verdict.
    pub fn with(&self, verdict: Verdict) -> Vec<&ProbeResult> {
        self.run()
            .cells
            .iter()
            .flat_map(|cell| &cell.probes)
            .filter(|probe| probe.verdict == verdict)
            .collect()
    }

    /// Everything that was printed, for messages.
    pub fn printed(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs `lanfence verify` with the arguments, on emulation, with the shipped policy.
pub fn verify(arguments: &[&str]) -> Verified {
    verify_with(lanfence(), arguments)
}

/// The same with a command that has been prepared.
pub fn verify_with(command: Command, arguments: &[&str]) -> Verified {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
    run(command, shipped, arguments)
}

/// The same with another policy.
pub fn verify_policy(policy: &str, arguments: &[&str]) -> Verified {
    run(lanfence(), policy, arguments)
}

/// Runs `lanfence verify --tap`, which needs no guest image.
pub fn verify_tap(arguments: &[&str]) -> Verified {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
    verify_tap_policy(shipped, arguments)
}

/// The same with another policy.
pub fn verify_tap_policy(policy: &str, arguments: &[&str]) -> Verified {
    let mut command = lanfence();
    command.env_remove("LANFENCE_GUEST");
    let arguments = [&["--tap"], arguments].concat();
    report(command, policy, &arguments)
}

fn run(mut command: Command, policy: &str, arguments: &[&str]) -> Verified {
    command.env("LANFENCE_GUEST", guest_image());
    report(command, policy, arguments)
}

fn report(mut command: Command, policy: &str, arguments: &[&str]) -> Verified {
    let dir = tempfile::tempdir().expect("a directory for reports");
    let report = dir.path().join("run.json");
    let output = command
        .arg("verify")
        .args(["--accel", "tcg", "--policy", policy])
        .arg("--json")
        .arg(&report)
        .arg("--out")
        .arg(dir.path().join("out"))
        .args(arguments)
        .env("CI", "true")
        .output()
        .expect("lanfence can be started");
    collect(&output, &report, dir)
}

fn collect(output: &Output, report: &Path, dir: TempDir) -> Verified {
    let text = std::fs::read_to_string(report).unwrap_or_default();
    let run =
        (!text.is_empty()).then(|| json::from_json(&text).expect("the report can be read back"));
    Verified {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        run,
        dir,
    }
}

/// Whether it is the verdict on a DHCP client of another system.
pub fn is_client(probe: &ProbeResult) -> bool {
    probe.id.starts_with("dhcp/client-")
}

/// A file of tests/fixtures.
pub fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A file of examples.
pub fn example(name: &str) -> String {
    format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}
