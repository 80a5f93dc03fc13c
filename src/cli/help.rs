//! What the help of each verb ends with: examples and the exit codes.

use crate::verdict::Exit;
use clap::Command;
use std::fmt::Write as _;

/// Command lines to begin with, by verb: the arguments, and what they do.
pub const EXAMPLES: [(&str, &[(&str, &str)]); 23] = [
    (
        "generate",
        &[
            ("generate", "print the filter for lanfence.toml"),
            (
                "generate --policy lab.toml --dir filters",
                "write filters/NAME.xml",
            ),
        ],
    ),
    (
        "check",
        &[
            ("check", "check the filter that the policy generates"),
            ("check my-filter.xml", "check your own filter"),
            (
                "check clean-traffic --param IP=192.168.1.77",
                "check a filter that libvirt ships",
            ),
            (
                "check my-filter.xml --format sarif",
                "print the findings for a code-scanning page",
            ),
        ],
    ),
    (
        "lint",
        &[
            (
                "lint my-filter.xml",
                "print what libvirt understands differently",
            ),
            (
                "lint filters --deny all --allow broadcast-mask",
                "fail on every finding but one kind",
            ),
        ],
    ),
    (
        "diff",
        &[
            ("diff old.xml new.xml", "compare two filters"),
            (
                "diff my-filter.xml",
                "compare the two back ends of libvirt on one filter",
            ),
        ],
    ),
    (
        "mutate",
        &[
            ("mutate", "mutate the filter that the policy generates"),
            (
                "mutate my-filter.xml --json mutants.json",
                "mutate your own filter, and keep a report",
            ),
            (
                "mutate my-filter.xml --baseline mutants-baseline.toml",
                "print only which edits nothing notices any more",
            ),
        ],
    ),
    (
        "fix",
        &[
            ("fix my-filter.xml", "print the change as a diff"),
            (
                "fix my-filter.xml -o fixed.xml --verify",
                "write the fixed filter, and prove it with libvirt and the kernel",
            ),
            (
                "fix my-filter.xml --domain-xml web.xml --json fix.json",
                "fix the filter of a guest, and keep the edits for a program",
            ),
        ],
    ),
    (
        "explain",
        &[
            ("explain my-filter.xml", "print what the filter does"),
            (
                "explain my-filter.xml --pcap capture.pcapng --direction in",
                "print what happens to each captured frame on its way to the guest",
            ),
        ],
    ),
    (
        "watch",
        &[
            ("watch", "keep the guests of this host fenced"),
            (
                "watch --alert-only --log-format json",
                "tell what falls, and change nothing",
            ),
        ],
    ),
    (
        "hook",
        &[(
            "hook -- web prepare begin - < web.xml",
            "say whether the guest web may start with this definition",
        )],
    ),
    (
        "bless",
        &[
            (
                "bless run.json --baseline lanfence-baseline.toml",
                "begin a baseline, or take over what is fixed or new and good",
            ),
            (
                "bless run.json --baseline lanfence-baseline.toml --accept wan-ipv6/* --reason IPv6-comes-later",
                "accept leaks by name",
            ),
            (
                "bless check.json --baseline check-baseline.toml",
                "the same for what `check --format json` prints",
            ),
        ],
    ),
    (
        "report",
        &[
            (
                "report merge run-1.json run-2.json --json run.json",
                "join the reports of two partitions",
            ),
            (
                "report html run.json -o run.html",
                "make the page of a run from its report",
            ),
            (
                "report diff main.json branch.json",
                "print what the branch changed, and what may be why",
            ),
            (
                "report sarif run.json",
                "print a run for a code-scanning page",
            ),
        ],
    ),
    (
        "verify",
        &[
            ("verify", "prove the generated filter with pcnet and virtio"),
            ("verify my-filter.xml", "prove your own filter"),
            (
                "verify --matrix full --json run.json --out evidence",
                "prove every NIC model, keep a report and evidence",
            ),
            (
                "verify --replay evidence",
                "run the same again, and say whether the verdicts are the same",
            ),
            ("verify --tap", "prove without a guest, on a tap device"),
            (
                "verify --cell linux/e1000* --list",
                "list the selected cells and run nothing",
            ),
        ],
    ),
    (
        "init",
        &[
            (
                "init",
                "write lanfence.toml for the only bridge or network that guests can be on",
            ),
            (
                "init --domain web --dry-run",
                "print the policy for the LAN of the guest web",
            ),
        ],
    ),
    (
        "apply",
        &[
            (
                "apply --dry-run web",
                "print what would be changed for the guest web",
            ),
            ("apply web printer", "fence two guests"),
            ("apply --bridge br0", "fence every guest on a bridge"),
            (
                "apply --replace win98",
                "put the policy's filter in the place of another one, while the guest runs",
            ),
        ],
    ),
    (
        "remove",
        &[("remove web", "take away what `apply web` has put there")],
    ),
    (
        "repair",
        &[
            ("repair --dry-run", "print what would be mended"),
            ("repair", "mend every guest that has the policy's filter"),
        ],
    ),
    (
        "audit",
        &[
            ("audit", "look at every guest"),
            ("audit web --format json", "look at one, for a program"),
            (
                "audit --metrics /var/lib/node_exporter/lanfence.prom",
                "keep metrics for Prometheus",
            ),
        ],
    ),
    (
        "matrix",
        &[(
            "matrix --format github --parts 4 --matrix full",
            "split all cells into four jobs",
        )],
    ),
    (
        "doctor",
        &[
            ("doctor", "try what the lab needs of this host"),
            ("doctor --accel kvm", "fail where no guest boots under KVM"),
            (
                "doctor --apparmor-profile",
                "print a profile that lets an ordinary user's lab run on Ubuntu",
            ),
        ],
    ),
    (
        "bench",
        &[
            ("bench --pure", "measure the evaluator"),
            (
                "bench --guest-image DIR --rounds 3",
                "measure boots and cells too",
            ),
        ],
    ),
    (
        "crosscheck",
        &[(
            "crosscheck --filters 1000 --seed 7",
            "compare evaluator and kernel on 1000 random filters",
        )],
    ),
    (
        "completions",
        &[("completions bash", "print the script for bash")],
    ),
    (
        "man",
        &[("man man1", "write the pages into the directory man1")],
    ),
];

/// The command with examples and exit codes at the end of each verb's long help.
pub fn with_endings(command: Command) -> Command {
    command
        .mut_subcommands(|verb| {
            if verb.is_hide_set() {
                return verb;
            }
            let ending = ending(verb.get_name());
            verb.after_long_help(ending)
                .after_help("`--help` shows more: examples and exit codes.")
        })
        .after_help(Exit::help())
}

fn ending(verb: &str) -> String {
    let mut out = String::new();
    let examples = EXAMPLES.iter().find(|(name, _)| *name == verb);
    if let Some((_, examples)) = examples {
        out.push_str("Examples:\n");
        for (line, what) in *examples {
            let _ = writeln!(out, "  lanfence {line}\n      {what}");
        }
        out.push('\n');
    }
    out + &Exit::help()
}
