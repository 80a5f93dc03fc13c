//! Tests that need a network of their own, with interfaces and rules that nobody else has.

use std::process::Command;

/// Set in the process that has the network.
const MARK: &str = "LANFENCE_TEST_OWN_NETWORK";

/// What is done first in the new namespaces: /sys shows their interfaces.
const PREPARE: &str = "mount -t sysfs sysfs /sys && exec \"$0\" \"$@\"";

/// Runs the test of this name again in a process with network and mount namespaces of its
/// own, and checks that it passes there. True in that process: go on with the test there,
/// and return where this is false.
pub fn entered(test: &str) -> bool {
    if std::env::var(MARK).as_deref() == Ok(test) {
        return true;
    }
    let mut unshare = Command::new("timeout");
    unshare.args(["600", "unshare", "--net", "--mount"]);
    if !nix::unistd::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let output = unshare
        .args(["sh", "-c", PREPARE])
        .arg(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(MARK, test)
        .env("PATH", lanfence::pool::search_path())
        .output()
        .expect("`unshare` of util-linux starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "there is no test {test}:\n{out}");
    false
}

/// Runs a program and returns what it prints.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the bridge that the lab's taps are put on.
pub fn bridge() {
    for key in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{key}/disable_ipv6");
        std::fs::write(path, "1").expect("a sysctl of the own namespace");
    }
    run(
        "ip",
        &[
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "mcast_snooping",
            "0",
        ],
    );
    run("ip", &["link", "set", "br0", "up"]);
}
