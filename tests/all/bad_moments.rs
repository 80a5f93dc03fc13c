//! Hosts that fail while a verb works on them: no room on the disk, and a libvirtd that is gone
//! before a step or in the middle of one.

use crate::small_host::{SmallHost, on_a_small_host, on_bridge, run, until};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A libvirtd of the test's own in place of the host's.
struct Daemon(Child);

impl Daemon {
    /// Kills whichever runs and starts another, which takes the guests over.
    fn anew() -> Self {
        kill();
        let child = Command::new("libvirtd")
            .env("LC_ALL", "C")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("libvirtd starts");
        until("libvirtd's socket", || {
            UnixStream::connect("/run/libvirt/libvirt-sock").is_ok()
        });
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills every libvirtd of the host, of which there is one.
fn kill() {
    let is_libvirtd = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "libvirtd")
    };
    for entry in std::fs::read_dir("/proc").expect("it is mounted").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if is_libvirtd(&pid) {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
    }
    until("the end of libvirtd", || {
        UnixStream::connect("/run/libvirt/libvirt-sock").is_err()
    });
}

/// The host's rules, without the time of the dump.
fn rules() -> String {
    let dump = run("ebtables-save", &[]);
    let lines = dump.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn state(host: &SmallHost) -> String {
    let (_, found) = host.audit(&["web"]);
    let state = found["interfaces"][0]["state"].as_str();
    state.unwrap_or_else(|| panic!("{found:#}")).to_owned()
}

#[test]
fn without_libvirtd_every_verb_says_so_and_changes_nothing() {
    on_a_small_host(
        "bad_moments::without_libvirtd_every_verb_says_so_and_changes_nothing",
        |host| {
            host.start("web", &on_bridge(1, ""));
            host.lanfence(&["apply", "web"]).ended(0);
            let before = rules();
            kill();
            for verb in ["apply", "remove", "repair", "audit"] {
                let ran = host.lanfence(&[verb, "web"]).ended(3);
                assert!(ran.err.contains("libvirt"), "{verb}: {}", ran.err);
                assert!(ran.err.contains("cure"), "{verb}: {}", ran.err);
            }
            assert_eq!(rules(), before);
            let _daemon = Daemon::anew();
            assert_eq!(state(host), "fenced");
        },
    );
}

/// Kills libvirtd at moments spread over a change, of a guest that is not fenced yet and of one
/// whose policy changes.
#[test]
fn a_libvirtd_that_dies_in_the_middle_of_a_change_leaves_no_guest_less_protected() {
    on_a_small_host(
        "bad_moments::a_libvirtd_that_dies_in_the_middle_of_a_change_leaves_no_guest_less_protected",
        |host| {
            host.start("web", &on_bridge(1, ""));
            let example = include_str!("../../lanfence.toml");
            let wide = "/run/wide.toml";
            std::fs::write(wide, example).expect("room");
            let narrow = "/run/narrow.toml";
            let text = example.replace("192.168.1.0/24", "192.168.1.0/25");
            assert_ne!(text, example);
            std::fs::write(narrow, text).expect("room");
            let mut daemon = Daemon::anew();
            let mut fenced = false;
            for (number, after) in [30, 120, 250, 400, 600, 900, 1300].into_iter().enumerate() {
                let policy = [wide, narrow][number % 2];
                let mut child = host
                    .command(&["apply", "--policy", policy, "web"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("lanfence starts");
                std::thread::sleep(Duration::from_millis(after));
                daemon = Daemon::anew();
                let ended = child.wait().expect("it ends by itself");
                assert!(
                    matches!(ended.code(), Some(0 | 1 | 3)),
                    "after {after} ms: {ended}"
                );
                if fenced {
                    let (_, found) = host.audit(&["--policy", policy, "web"]);
                    let reasons = found["interfaces"][0]["reasons"].to_string();
                    let open = ["rules-missing", "rules-unhooked", "no-binding"];
                    let lost = open.iter().any(|reason| reasons.contains(reason));
                    let closed = reasons.contains("closed");
                    assert!(!lost || closed, "after {after} ms: {found:#}");
                }
                let ran = host
                    .lanfence(&["apply", "--policy", policy, "web"])
                    .ended(0);
                let (code, found) = host.audit(&["--policy", policy, "web"]);
                assert_eq!(code, 0, "after {after} ms: {ran:?} {found:#}");
                fenced = true;
            }
            drop(daemon);
        },
    );
}

/// What cannot be written down cannot be taken back, so nothing is changed.
#[test]
fn on_a_full_disk_nothing_is_changed() {
    on_a_small_host("bad_moments::on_a_full_disk_nothing_is_changed", |host| {
        let article = include_str!("../../examples/no-out-traffic.xml");
        host.libvirt
            .define_filter("no-out-traffic", article)
            .expect("libvirt takes it");
        let with = on_bridge(1, "<filterref filter='no-out-traffic'/>");
        let guest = host.start("web", &with);
        let before = host.definitions(&guest);
        std::fs::create_dir_all("/run/lanfence/state").expect("a folder");
        let room = [
            "-t",
            "tmpfs",
            "-o",
            "size=64k",
            "full",
            "/run/lanfence/state",
        ];
        run("mount", &room);
        std::fs::write("/run/lanfence/state/filler", vec![0; 65536]).expect("this much room");

        let ran = host.lanfence(&["apply", "--replace", "web"]).ended(3);
        assert!(ran.err.contains("/run/lanfence/state"), "{}", ran.err);
        assert!(ran.err.contains("No space left"), "{}", ran.err);
        assert_eq!(host.definitions(&guest), before);
        assert_eq!(state(host), "open");

        std::fs::remove_file("/run/lanfence/state/filler").expect("it is there");
        host.lanfence(&["apply", "--replace", "web"]).ended(0);
        assert_eq!(state(host), "fenced");
        run("umount", &["/run/lanfence/state"]);
    });
}
