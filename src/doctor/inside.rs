//! What is tried in the lab's namespaces, where it changes nothing of the host.

use super::trial::{Subject, Trial};
use crate::lab::{
    EnterOptions, LabError, Shortcuts, enter, filters_only, find_program, hosts, try_tap,
};
use crate::layout::Lan;
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A port of a bridge that is not there: rules may name it all the same.
const PORT: &str = "lanfence-try";

/// Enters the namespaces, tries everything there, and hands over each trial when it has ended.
///
/// # Errors
/// When the runtime cannot be made. What does not work is a [`Trial`].
pub fn try_all(
    parent: u32,
    libvirt_cache: Option<&Path>,
    policy: &Policy,
    tell: &mut dyn FnMut(Trial),
) -> std::io::Result<()> {
    let entered = enter(EnterOptions {
        images: &[],
        kvm: false,
        libvirt_cache,
        emulators: &[],
        shortcuts: Shortcuts::all(),
        parent,
    });
    let found = entered.map(|()| identity());
    let usable = found.is_ok();
    tell(of_lab(Subject::Namespaces, found));
    if !usable {
        return Ok(());
    }
    tell(of_lab(
        Subject::Tun,
        try_tap().map(|()| "/dev/net/tun".into()),
    ));
    for rule in [EBTABLES, IPTABLES, NFT] {
        tell(rule.try_it());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tell(of_lab(Subject::Dnsmasq, dhcp(policy).await));
        tell(of_lab(Subject::Libvirt, filter(policy).await));
    });
    Ok(())
}

/// A trial that the lab itself made.
fn of_lab(subject: Subject, result: Result<String, LabError>) -> Trial {
    match result {
        Ok(found) => Trial::works(subject, found),
        Err(LabError::Host { what, source, cure }) => {
            let cause = source.map_or_else(String::new, |cause| format!(": {cause}"));
            Trial::fails(subject, format!("{what}{cause}"), cure)
        }
        Err(error) => Trial::fails(subject, error.to_string(), other(subject)),
    }
}

/// What to do where the lab does not know.
fn other(subject: Subject) -> &'static str {
    match subject {
        Subject::Dnsmasq | Subject::Libvirt => {
            "`cargo xtask setup` installs what is missing; where nothing is, the message is of \
             use in a report of a bug"
        }
        _ => "run as root, or outside of a container that forbids it",
    }
}

/// Which user, and which ids there are.
fn identity() -> String {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let ids = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (inside, outside, count) = (words.next()?, words.next()?, words.next()?);
        Some(format!("{count} from {outside} as {inside}"))
    });
    format!("user ids: {}", ids.collect::<Vec<_>>().join(", "))
}

async fn dhcp(policy: &Policy) -> Result<String, LabError> {
    let lan = Lan::for_lab(policy, None)
        .map_err(|error| LabError::host(error.to_string(), "mend the policy, or name another"))?;
    let hosts = hosts(&lan).await?;
    drop(hosts);
    Ok("it listens on port 67".into())
}

async fn filter(policy: &Policy) -> Result<String, LabError> {
    let libvirt = filters_only().await?;
    let filter = generate(policy);
    libvirt.define_filter(&filter.name, &write(&filter))?;
    Ok(format!(
        "libvirt {}, QEMU {}",
        libvirt.version(),
        libvirt.qemu_version()
    ))
}

/// A rule that a tool of the kernel's filters makes and shows.
struct Rule {
    subject: Subject,
    program: &'static str,
    add: &'static [&'static str],
    /// What the tool reads from its standard input to add it.
    input: &'static str,
    show: &'static [&'static str],
    cure: &'static str,
}

const EBTABLES: Rule = Rule {
    subject: Subject::Ebtables,
    program: "ebtables",
    add: &["-t", "nat", "-A", "PREROUTING", "-i", PORT, "-j", "DROP"],
    input: "",
    show: &["-t", "nat", "-L", "PREROUTING"],
    cure: "`sudo modprobe -a ebtables ebtable_nat`, or let `update-alternatives --config ebtables` \
           choose the tool that this kernel has modules for",
};

const IPTABLES: Rule = Rule {
    subject: Subject::Iptables,
    program: "iptables",
    add: &[
        "-A",
        "FORWARD",
        "-m",
        "physdev",
        "--physdev-is-bridged",
        "--physdev-in",
        PORT,
        "-j",
        "DROP",
    ],
    input: "",
    show: &["-S", "FORWARD"],
    cure: "`sudo modprobe -a ip_tables xt_physdev`, or let `update-alternatives --config iptables` \
           choose the tool that this kernel has modules for",
};

const NFT: Rule = Rule {
    subject: Subject::Nft,
    program: "nft",
    add: &["-f", "-"],
    input: "table bridge lanfence-try {\n chain it {\n  type filter hook prerouting priority -300;\n  \
            iifname \"lanfence-try\" counter drop\n }\n}\n",
    show: &["list", "table", "bridge", PORT],
    cure: "`sudo modprobe -a nf_tables nft_meta_bridge`, or a kernel with nftables for bridges",
};

impl Rule {
    fn try_it(&self) -> Trial {
        if find_program(self.program).is_none() {
            return Trial::fails(
                self.subject,
                format!("{} is not in any directory of PATH", self.program),
                format!("`sudo apt-get install {}`", self.package()),
            );
        }
        let shown =
            run(self.program, self.add, self.input).and_then(|_| run(self.program, self.show, ""));
        match shown {
            Ok(text) if text.contains(PORT) => Trial::works(self.subject, self.version()),
            Ok(_) => Trial::fails(
                self.subject,
                format!("{} took the rule, and does not show it", self.program),
                self.cure,
            ),
            Err(said) => Trial::fails(self.subject, said, self.cure),
        }
    }

    fn package(&self) -> &'static str {
        match self.subject {
            Subject::Ebtables => "ebtables",
            Subject::Iptables => "iptables",
            _ => "nftables",
        }
    }

    /// The tool's version, which names the back end of the kernel too.
    fn version(&self) -> String {
        let text = run(self.program, &["--version"], "").unwrap_or_default();
        text.lines()
            .next()
            .unwrap_or(self.program)
            .trim()
            .to_owned()
    }
}

/// What a tool prints; else what it says, on one line.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // What ends without reading says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(format!("{program} ended with {}: {said}", output.status))
}
