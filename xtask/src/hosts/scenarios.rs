//! What `hosts test` runs in each host, and how it must end. One column of the table each.

use super::host::{Job, OUT};
use super::manifest::{Backend, Manifest};
use std::ffi::OsString;

/// Where a scenario's report goes.
pub const REPORT: &str = "report.json";

/// One command in a host.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Heading of the column.
    pub title: &'static str,
    /// The command's words.
    words: &'static [&'static str],
    /// The exit code that it must end with.
    pub code: u8,
    /// What it must have written, all of it.
    pub says: &'static [&'static str],
    /// Whether its report must be there and say that guests ran under KVM.
    pub kvm: bool,
    /// Whether an ordinary user runs it, who cannot dump core.
    rootless: bool,
}

const PLAIN: Scenario = Scenario {
    title: "",
    words: &[],
    code: 0,
    says: &[],
    kvm: false,
    rootless: false,
};

/// A run with guests. `--accel kvm` ends with 3 where no guest has booted under KVM.
const GUESTS: Scenario = Scenario { kvm: true, ..PLAIN };

/// Runs its arguments as if libvirt's libraries were not installed.
const WITHOUT_LIBVIRT: &str = "for it in /usr/lib/x86_64-linux-gnu/libvirt*.so*; \
                               do mount --bind /dev/null \"$it\" || exit 125; done; exec \"$@\"";

/// The README's two commands, as far as a host without a network lets them come.
const COMMANDS: &str = "xtask --offline verify; a=$?; xtask --offline test; b=$?; \
                        echo \"verify: $a\"; echo \"test: $b\"; exit \"$a\"";

/// All of them, the quickest first. They run at the top of a checkout.
pub const ALL: &[Scenario] = &[
    Scenario {
        title: "set-up",
        words: &["xtask", "--offline", "setup"],
        code: 3,
        says: &["--offline forbids installing", "apt-get install"],
        ..PLAIN
    },
    Scenario {
        title: "README as a user",
        words: &["sh", "-c", COMMANDS],
        code: 3,
        says: &["apt-get install", "verify: 3", "test: 3"],
        rootless: true,
        ..PLAIN
    },
    Scenario {
        title: "doctor",
        words: &["xtask", "doctor"],
        code: 3,
        says: &["/usr/bin/qemu-system-x86_64", "MISSING, package gcc"],
        ..PLAIN
    },
    Scenario {
        title: "check, lint without libvirt",
        words: &[
            "unshare",
            "--mount",
            "sh",
            "-c",
            WITHOUT_LIBVIRT,
            "sh",
            "sh",
            "-c",
            "it=/srv/lanfence/programs/pure/debug/lanfence; \
             $it check && $it generate > /tmp/generated.xml && $it lint /tmp/generated.xml",
        ],
        says: &["PASS"],
        ..PLAIN
    },
    Scenario {
        title: "tap",
        words: &["lanfence", "verify", "--tap"],
        ..PLAIN
    },
    Scenario {
        title: "pcnet",
        words: &["lanfence", "verify", "--accel", "kvm", "--nic", "pcnet"],
        ..GUESTS
    },
    Scenario {
        title: "virtio",
        words: &[
            "lanfence",
            "verify",
            "--accel",
            "kvm",
            "--nic",
            "virtio-qemu",
        ],
        ..GUESTS
    },
    Scenario {
        title: "vhost-net",
        words: &[
            "lanfence",
            "verify",
            "--accel",
            "kvm",
            "--nic",
            "virtio-vhost",
        ],
        ..GUESTS
    },
    Scenario {
        title: "rootless",
        words: &["lanfence", "verify", "--accel", "kvm", "--nic", "pcnet"],
        rootless: true,
        ..GUESTS
    },
    Scenario {
        title: "verbs for hosts",
        words: &["bash", "tests/hosts/verbs.sh"],
        says: &["all verbs are as they must be"],
        ..PLAIN
    },
    Scenario {
        title: "lanfence doctor",
        words: &["lanfence", "doctor", "--accel", "kvm"],
        says: &["The lab can run here."],
        ..PLAIN
    },
    Scenario {
        title: "CI action",
        words: &["bash", "tests/hosts/runner.sh"],
        says: &["the steps of the action are as they must be"],
        ..PLAIN
    },
    Scenario {
        title: "watch",
        words: &["bash", "tests/hosts/watch.sh"],
        says: &["watch and its units are as they must be"],
        ..PLAIN
    },
    Scenario {
        title: "GRUB's leases",
        words: &["bash", "tests/hosts/grub.sh"],
        says: &["GRUB's leases are as they must be"],
        ..PLAIN
    },
    Scenario {
        title: "article's guest",
        words: &["bash", "tests/hosts/article.sh"],
        says: &["the article's guest keeps its lease"],
        ..PLAIN
    },
    Scenario {
        title: "article's filter",
        words: &[
            "lanfence",
            "verify",
            "examples/no-out-traffic.xml",
            "--accel",
            "kvm",
            "--nic",
            "pcnet",
        ],
        code: 1,
        ..GUESTS
    },
    Scenario {
        title: "no filter",
        words: &[
            "lanfence",
            "verify",
            "--no-filter",
            "--accel",
            "kvm",
            "--nic",
            "pcnet",
        ],
        code: 1,
        ..GUESTS
    },
    Scenario {
        title: "dead sensor",
        words: &[
            "lanfence", "verify", "--inject", "sensor", "--accel", "kvm", "--nic", "pcnet",
        ],
        code: 5,
        ..GUESTS
    },
];

impl Scenario {
    /// Why it was not tried in the host, where it is a script that says so.
    pub fn untried<'a>(&self, said: &'a str) -> Option<&'a str> {
        let mut lines = said.lines().filter(|_| self.words.first() == Some(&"bash"));
        lines.find_map(|line| line.strip_prefix("skipped: "))
    }

    /// Whether it runs the program that was built without the lab.
    pub fn is_pure(&self) -> bool {
        self.words.iter().any(|word| word.contains("/pure/"))
    }

    /// The scenario of this title.
    pub fn titled(title: &str) -> Option<&'static Scenario> {
        ALL.iter().find(|scenario| scenario.title == title)
    }

    /// Its command in a host.
    ///
    /// # Errors
    ///
    /// Why it cannot be run there.
    pub fn job(&self, manifest: &Manifest) -> Result<Job, String> {
        let mut words: Vec<OsString> = self.words.iter().map(OsString::from).collect();
        if self.words.contains(&"verify") {
            words.extend(["--json".into(), format!("{OUT}/{REPORT}").into()]);
            // The lab has its own nwfilter.conf: it takes the back end that the host's names.
            if manifest.nwfilter_backend == Backend::Nftables {
                words.extend(["--backend", "nftables"].map(OsString::from));
            }
        }
        let user = match (self.rootless, manifest.users.first()) {
            (false, _) => None,
            (true, Some(user)) => Some(user.name.clone()),
            (true, None) => return Err("the host has no ordinary user".into()),
        };
        // KVM's device is its group's, and lanfence names this command.
        let before = if self.rootless {
            "chmod 666 /dev/kvm; ulimit -c 0"
        } else {
            ""
        };
        Ok(Job {
            words,
            user,
            before,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::manifest;
    use rstest::rstest;

    #[rstest]
    #[case::as_installed("debian-13-backports", false)]
    #[case::of_the_host("debian-13-backports-nftables", true)]
    fn guests_are_filtered_by_the_back_end_of_the_host(#[case] host: &str, #[case] named: bool) {
        let manifest = manifest::read(&manifest::directory(), host).expect("shipped");
        let verifies = ALL.iter().filter(|it| it.words.contains(&"verify"));
        for scenario in verifies {
            let job = scenario.job(&manifest).expect("a user");
            let words: Vec<_> = job.words.iter().filter_map(|word| word.to_str()).collect();
            let found = words
                .windows(2)
                .any(|pair| pair == ["--backend", "nftables"]);
            assert_eq!(found, named, "{}", scenario.title);
        }
    }

    #[test]
    fn only_what_a_script_says_of_itself_skips_it() {
        let said = "PASS\nskipped: this host has no sudo\ndone\n";
        let of = |title| Scenario::titled(title).expect("a scenario").untried(said);
        assert_eq!(of("CI action"), Some("this host has no sudo"));
        assert_eq!(of("tap"), None);
    }

    /// A script that no scenario runs proves nothing any more.
    #[test]
    fn every_script_for_hosts_is_run_and_says_what_it_must() {
        let scripts = manifest::directory().join("../../tests/hosts");
        let scripts = std::fs::read_dir(scripts).expect("the scripts");
        let mut count = 0;
        for script in scripts.flatten() {
            let name = script.file_name().into_string().expect("a name in UTF-8");
            let path = format!("tests/hosts/{name}");
            let mut all = ALL.iter();
            let found = all.find(|it| it.words.contains(&path.as_str()));
            let found = found.unwrap_or_else(|| panic!("no scenario runs {path}"));
            let text = std::fs::read_to_string(script.path()).expect("a script");
            for says in found.says {
                assert!(text.contains(says), "{path} never says `{says}`");
            }
            count += 1;
        }
        assert!(count >= 4, "{count}");
    }
}
