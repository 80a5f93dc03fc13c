//! `lanfence watch` on a small host: fences that fall are closed, mended, proven and opened.

use crate::small_host::{self, SmallHost, on_a_small_host, on_bridge, run, until};
use lanfence::host::gate;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A watcher with what it has told.
struct Watcher {
    process: Child,
    dir: TempDir,
    notify: UnixDatagram,
    status: String,
    read: usize,
}

impl Watcher {
    fn start(host: &SmallHost, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("notify");
        let notify = UnixDatagram::bind(&socket).expect("a socket");
        notify
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a socket");
        let log = File::create(dir.path().join("log")).expect("a file");
        let process = host
            .command(&["watch", "--log-format", "json"])
            .args(["--connect", host.libvirt.uri()])
            .args(arguments)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("lanfence starts");
        Self {
            process,
            dir,
            notify,
            status: String::new(),
            read: 0,
        }
    }

    /// Waits until systemd would show this.
    #[track_caller]
    fn until_status(&mut self, wanted: &str) {
        let end = Instant::now() + small_host::LONGEST;
        while self.status != wanted {
            assert!(
                Instant::now() < end,
                "{wanted:?} is not reached: {:?}\n{}",
                self.status,
                self.log()
            );
            self.hear();
        }
    }

    fn hear(&mut self) {
        let mut bytes = [0; 500];
        if let Ok(length) = self.notify.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if let Some(status) = text.strip_prefix("STATUS=") {
                status.clone_into(&mut self.status);
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("the log")
    }

    /// The next line of one of these events that was not read yet.
    #[track_caller]
    fn until_event(&mut self, events: &[&str]) -> Value {
        let end = Instant::now() + small_host::LONGEST;
        loop {
            let log = self.log();
            let whole = log.rfind('\n').map_or(0, |end| end + 1);
            for line in log[..whole].lines().skip(self.read) {
                self.read += 1;
                let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{log}"));
                if events.iter().any(|event| line["event"] == *event) {
                    return line;
                }
            }
            assert!(Instant::now() < end, "{events:?} did not come:\n{log}");
            self.hear();
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        kill(pid, signal).expect("it runs");
    }

    fn end(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(
            self.process.wait().expect("it ends").success(),
            "{}",
            self.log()
        );
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const FENCED: &str = "1 of 1 interfaces are fenced";

fn fenced_guest(host: &SmallHost) {
    let xml = host.lanfence(&["generate"]).ended(0).out;
    host.libvirt.define_filter("lan-only", &xml).unwrap();
    host.start("web", &on_bridge(1, "<filterref filter='lan-only'/>"));
    assert_eq!(host.audit(&[]).0, 0);
}

fn closed() -> Vec<String> {
    gate::closed().expect("the gate").into_iter().collect()
}

#[test]
fn a_fence_that_falls_is_closed_within_milliseconds_and_comes_back() {
    on_a_small_host(
        "watch::a_fence_that_falls_is_closed_within_milliseconds_and_comes_back",
        |host| {
            fenced_guest(host);
            let mut watcher = Watcher::start(host, &[]);
            watcher.until_status(FENCED);
            for command in [
                "ebtables -t nat -F",
                "nft flush ruleset",
                "nft delete table bridge nat",
                "ebtables -t nat -D POSTROUTING -o vnet0 -j libvirt-O-vnet0",
            ] {
                let words: Vec<&str> = command.split(' ').collect();
                run(words[0], &words[1..]);
                let fell = watcher.until_event(&["fell"]);
                assert_eq!(
                    (&fell["guest"], &fell["device"]),
                    (&"web".into(), &"vnet0".into())
                );
                assert_eq!(fell["culprits"][0]["name"], words[0], "{fell}");
                assert!(fell["open_ms"].is_u64(), "{fell}");
                watcher.until_event(&["fenced"]);
                watcher.until_status(FENCED);
                assert_eq!(closed(), [""; 0]);
                assert_eq!(host.audit(&[]).0, 0, "{command}");
            }
            watcher.end();
        },
    );
}

/// libvirt's rules do not change, and no rule of the gate sees such a frame either.
#[test]
fn frames_that_are_taken_before_the_bridge_are_told_of_at_once() {
    let name = "watch::frames_that_are_taken_before_the_bridge_are_told_of_at_once";
    on_a_small_host(name, |host| {
        fenced_guest(host);
        let mut watcher = Watcher::start(host, &[]);
        watcher.until_status(FENCED);
        for (take, give_back) in [
            (
                "tc qdisc add dev vnet0 ingress && tc filter add dev vnet0 parent ffff: protocol all \
                 u32 match u32 0 0 action mirred egress redirect dev lo",
                "tc qdisc del dev vnet0 ingress",
            ),
            (
                "nft 'table netdev x { chain y { type filter hook ingress device \"vnet0\" priority 0; \
                 fwd to \"lo\"; }; }'",
                "nft delete table netdev x",
            ),
        ] {
            run("sh", &["-ec", take]);
            let fell = watcher.until_event(&["fell"]).to_string();
            assert!(fell.contains("before the bridge"), "{fell}");
            run("sh", &["-ec", give_back]);
            watcher.until_event(&["fenced"]);
            watcher.until_status(FENCED);
        }
        watcher.end();
    });
}

#[test]
fn a_watcher_that_is_killed_leaves_closed_what_it_closed_and_the_next_one_takes_over() {
    on_a_small_host(
        "watch::a_watcher_that_is_killed_leaves_closed_what_it_closed_and_the_next_one_takes_over",
        |host| {
            fenced_guest(host);
            let mut watcher = Watcher::start(host, &[]);
            watcher.until_status(FENCED);
            run("nft", &["flush", "ruleset"]);
            watcher.until_event(&["fell"]);
            watcher.signal(Signal::SIGKILL);
            watcher.process.wait().expect("it is dead");
            assert_eq!(closed(), ["vnet0"]);
            let mut next = Watcher::start(host, &[]);
            assert_eq!(next.until_event(&["taken-over"])["device"], "vnet0");
            next.until_status(FENCED);
            assert_eq!(closed(), [""; 0]);
            assert_eq!(host.audit(&[]).0, 0);
            next.end();
        },
    );
}

#[test]
fn a_new_guest_on_a_covered_bridge_is_closed_until_it_is_fenced() {
    on_a_small_host(
        "watch::a_new_guest_on_a_covered_bridge_is_closed_until_it_is_fenced",
        |host| {
            let dir = tempfile::tempdir().expect("a directory");
            let policy = dir.path().join("lanfence.toml");
            let text = format!("{}\n[fence]\nbridges = ['br0']\n", without_fence());
            std::fs::write(&policy, text).expect("written");
            let policy = policy.to_str().expect("a path");
            let mut watcher = Watcher::start(host, &["--policy", policy]);
            watcher.until_status("0 of 0 interfaces are fenced");
            host.start("web", &on_bridge(1, ""));
            let new = watcher.until_event(&["not-fenced"]);
            assert_eq!(new["device"], "vnet0", "{new}");
            watcher.until_status(FENCED);
            assert_eq!(closed(), [""; 0]);
            assert_eq!(host.audit(&["--policy", policy]).0, 0);
            // The same beside a guest that runs.
            host.start("mail", &on_bridge(2, ""));
            while watcher.until_event(&["not-fenced"])["device"] != "vnet1" {}
            watcher.until_status("2 of 2 interfaces are fenced");
            assert_eq!(closed(), [""; 0]);
            assert_eq!(host.audit(&["--policy", policy]).0, 0);
            // A proof has taps of its own on that bridge.
            let proof = host.audit(&["--policy", policy, "--prove"]);
            assert_eq!(proof.0, 0, "{}", proof.1);
            assert_eq!(closed(), [""; 0]);
            watcher.end();
        },
    );
}

/// The built-in policy without its table `[fence]`.
fn without_fence() -> String {
    let all = lanfence::policy::Policy::EXAMPLE;
    let lines = all.lines().take_while(|line| *line != "[fence]");
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn with_alert_only_nothing_is_changed() {
    on_a_small_host("watch::with_alert_only_nothing_is_changed", |host| {
        fenced_guest(host);
        let metrics = std::env::temp_dir().join(format!("lanfence-{}.prom", std::process::id()));
        let path = metrics.to_str().expect("a path");
        let mut watcher = Watcher::start(host, &["--alert-only", "--metrics", path]);
        watcher.until_status(FENCED);
        let text = std::fs::read_to_string(&metrics).expect("metrics");
        std::fs::remove_file(&metrics).expect("they are ours");
        assert!(text.contains("lanfence_nic_fenced{guest=\"web\""), "{text}");
        run("ebtables", &["-t", "nat", "-F"]);
        let fell = watcher.until_event(&["fell"]);
        assert_eq!(fell["open_ms"], Value::Null, "{fell}");
        watcher.until_status("0 of 1 interfaces are fenced");
        assert_eq!(closed(), [""; 0]);
        assert_eq!(host.audit(&[]).0, 1, "it is as open as before");
        watcher.end();
    });
}

/// Its filter is exchanged for one that leaks: that its rules are all there opens it to nobody.
#[test]
fn a_filter_that_leaks_is_never_opened() {
    let name = "watch::a_filter_that_leaks_is_never_opened";
    on_a_small_host(name, |host| {
        let article = include_str!("../../examples/no-out-traffic.xml");
        let defined = host.libvirt.define_filter("no-out-traffic", article);
        defined.expect("libvirt takes it");
        fenced_guest(host);
        let mut watcher = Watcher::start(host, &[]);
        watcher.until_status(FENCED);
        host.exchange("web", "lan-only", "no-out-traffic");
        watcher.until_event(&["fell"]);
        watcher.until_event(&["repair-failed"]);
        assert_eq!(closed(), ["vnet0"]);
        let ran = host.lanfence(&["repair", "web"]).ended(1);
        assert!(ran.err.contains("apply --replace"), "{}", ran.err);
        assert_eq!(closed(), ["vnet0"], "nor does repair open it");
        // Whoever opens it by hand is told, and it is closed again.
        gate::open(&["vnet0"]).expect("the gate");
        until("it is closed again", || closed() == ["vnet0"]);
        host.lanfence(&["apply", "--replace", "web"]).ended(0);
        watcher.until_status(FENCED);
        assert_eq!(closed(), [""; 0]);
        watcher.end();
    });
}

/// A filter that is gone with its rules is not one that holds for now.
#[test]
fn a_filter_that_is_gone_is_open_and_stays_closed() {
    let name = "watch::a_filter_that_is_gone_is_open_and_stays_closed";
    on_a_small_host(name, |host| {
        let dir = tempfile::tempdir().expect("a directory");
        let policy = dir.path().join("lanfence.toml");
        let text = format!("{}\n[fence]\nbridges = ['br0']\n", without_fence());
        std::fs::write(&policy, text).expect("written");
        let policy = policy.to_str().expect("a path");
        let xml = host.lanfence(&["generate"]).ended(0).out;
        let xml = xml.replace("lan-only", "mine");
        host.libvirt
            .define_filter("mine", &xml)
            .expect("libvirt takes it");
        host.start("web", &on_bridge(1, "<filterref filter='mine'/>"));
        let mut watcher = Watcher::start(host, &["--policy", policy]);
        watcher.until_status(FENCED);
        host.libvirt.delete_binding("vnet0").expect("it is bound");
        host.libvirt
            .undefine_filter("mine")
            .expect("nobody uses it");
        watcher.until_event(&["fell"]);
        watcher.until_event(&["repair-failed"]);
        assert_eq!(closed(), ["vnet0"]);
        let (code, found) = host.audit(&["--policy", policy]);
        assert_eq!(
            (code, &found["interfaces"][0]["state"]),
            (1, &"open".into()),
            "{found}"
        );
        watcher.end();
    });
}

/// A rule names a device: one that is renamed has none.
#[test]
fn a_renamed_tap_is_closed_and_gets_its_name_back() {
    on_a_small_host(
        "watch::a_renamed_tap_is_closed_and_gets_its_name_back",
        |host| {
            fenced_guest(host);
            let mut watcher = Watcher::start(host, &[]);
            watcher.until_status(FENCED);
            let renamed = Command::new("ip")
                .args(["link", "set", "vnet0", "name", "x"])
                .status();
            if !renamed.expect("`ip` starts").success() {
                println!("skipped: before Linux 6.2 a device that is up keeps its name");
                return watcher.end();
            }
            until("vnet0 has its name back", || {
                std::path::Path::new("/sys/class/net/vnet0").exists()
            });
            // The watcher closes the name that came back as well, until its rules are proven.
            until("the guest is fenced, and its tap open", || {
                closed().is_empty() && host.audit(&[]).0 == 0 && closed().is_empty()
            });
            watcher.end();
        },
    );
}

/// No `[fence]` names it, and its definition tells nothing: that it was fenced is known all the same.
#[test]
fn an_interface_in_the_place_of_a_fenced_one_is_closed_and_fenced() {
    let name = "watch::an_interface_in_the_place_of_a_fenced_one_is_closed_and_fenced";
    on_a_small_host(name, |host| {
        fenced_guest(host);
        let mut watcher = Watcher::start(host, &[]);
        watcher.until_status(FENCED);
        let kept = "/run/lanfence/state/fenced.json";
        until("it is kept in mind", || Path::new(kept).exists());
        let guest = host.libvirt.guest("web").expect("it is there");
        guest.destroy().expect("it runs");
        guest.undefine().expect("libvirt forgets it");
        watcher.until_status("0 of 0 interfaces are fenced");
        host.start("web", &on_bridge(9, ""));
        let found = watcher.until_event(&["not-fenced"]);
        assert_eq!(found["guest"], "web", "{found}");
        watcher.until_event(&["fenced"]);
        watcher.until_status(FENCED);
        assert_eq!(host.audit(&[]).0, 0);
        watcher.end();
    });
}

/// What was taken away on purpose stays away, though the watcher knows that it was fenced.
#[test]
fn what_remove_takes_away_is_not_put_back() {
    let name = "watch::what_remove_takes_away_is_not_put_back";
    on_a_small_host(name, |host| {
        fenced_guest(host);
        let mut watcher = Watcher::start(host, &[]);
        watcher.until_status(FENCED);
        let kept = "/run/lanfence/state/fenced.json";
        until("it is kept in mind", || Path::new(kept).exists());
        host.lanfence(&["remove", "web"]).ended(0);
        watcher.until_status("0 of 0 interfaces are fenced");
        // It audits once more before it ends this.
        host.start("mail", &on_bridge(2, "<filterref filter='lan-only'/>"));
        watcher.until_status(FENCED);
        assert_eq!(closed(), [""; 0]);
        let (_, found) = host.audit(&["web"]);
        let reasons = &found["interfaces"][0]["reasons"];
        assert_eq!(found["interfaces"][0]["state"], "open", "{found:#}");
        assert!(!reasons.to_string().contains("stripped"), "{found:#}");
        watcher.end();
    });
}
