//! The rules that are really in the kernel, read with the tools that show them whole.
//!
//! A binding that libvirt lists proves nothing: a foreign flush leaves it listed
//! without a rule (measured: docs/measurements.md#M7), so the rules themselves are read.

mod change;
mod counters;
pub mod nftables;
mod settle;
mod tool;

pub use change::change;
pub use counters::{Come, CountedChain, CountedRule, come, counters};
pub use settle::settled;
pub use tool::Installed;
use tool::{dump, dumps};
pub(super) use tool::{finish, start};

use super::error::LabError;
use super::programs::find;
use crate::nwfilter::evaluate::Backend;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
};
use std::os::fd::AsRawFd as _;

/// What libvirt's filter driver and this module run. Where one is missing,
/// libvirt blames the filter.
const TOOLS: [&str; 9] = [
    "ebtables",
    "ebtables-save",
    "ebtables-restore",
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// What `iptables --version` prints. ebtables is a part of it.
///
/// # Errors
/// When it cannot be run.
pub fn version() -> Result<String, LabError> {
    dump("iptables", &["--version"])
}

/// Checks that the tools are there, before a guest is booted for them.
///
/// # Errors
/// The first tool that is not installed.
pub fn check_tools(backend: Backend) -> Result<(), LabError> {
    let more: &[&str] = match backend {
        Backend::Ebtables => &[],
        Backend::Nftables => &[nftables::PROGRAM],
    };
    let tools = TOOLS.iter().chain(more);
    let missing = tools.copied().find(|program| find(program).is_none());
    missing.map_or(Ok(()), |program| {
        Err(LabError::host(
            format!("{program} is not installed"),
            "`cargo xtask setup` installs iptables, ebtables and nftables",
        ))
    })
}

/// What prints the rules that libvirt can have made, and what each is told.
const PRINTING: [(&str, &[&str]); 3] = [
    ("ebtables-save", &[]),
    ("iptables-save", &[]),
    ("ip6tables-save", &[]),
];

/// Counts the rules for the interface in a dump that [`evidence`] has just made in the caller's
/// namespace.
///
/// # Errors
/// When a tool cannot be started or fails.
pub fn installed(dump: &str, interface: &str, backend: Backend) -> Result<Installed, LabError> {
    match backend {
        Backend::Nftables => Ok(nftables::read()?.installed(interface)),
        // The chains of both layers have different names.
        Backend::Ebtables => Ok(count(interface, dump, dump)),
    }
}

/// The rules in the interface's chains, as the tools print them.
///
/// # Errors
/// When a tool cannot be started or fails.
pub fn rules(interface: &str, backend: Backend) -> Result<Vec<String>, LabError> {
    if backend == Backend::Nftables {
        return Ok(nftables::read()?.rules(interface));
    }
    let mut out = Vec::new();
    for text in dumps(PRINTING) {
        let text = text?;
        let of_interface = text.lines().filter(|line| {
            let chain = line
                .strip_prefix("-A ")
                .and_then(|rule| rule.split(' ').next());
            chain.is_some_and(|chain| is_layer2(chain, interface) || is_layer3(chain, interface))
        });
        out.extend(of_interface.map(str::to_owned));
    }
    Ok(out)
}

/// What prints the whole ruleset with its counters.
const COUNTING: [(&str, &[&str]); 4] = [
    ("nft", &["list", "ruleset"]),
    ("ebtables-save", &["-c"]),
    ("iptables-save", &["-c"]),
    ("ip6tables-save", &["-c"]),
];

/// The whole ruleset with counters as one text, for evidence.
pub fn evidence() -> String {
    let texts = dumps(COUNTING).map(|text| text.unwrap_or_else(|error| error.to_string()));
    let sections: Vec<String> = std::iter::zip(COUNTING, texts)
        .map(|((program, options), text)| format!("# {program} {}\n{text}\n", options.join(" ")))
        .collect();
    sections.concat()
}

/// Flushes the layer-2 rules behind libvirt's back, as a foreign firewall tool
/// does. For tests of what a lost filter looks like.
///
/// # Errors
/// When the tool cannot be started or fails.
pub fn flush_layer2(backend: Backend) -> Result<(), LabError> {
    match backend {
        Backend::Ebtables => dump("ebtables", &["-t", "nat", "-F"]).map(drop),
        Backend::Nftables => nftables::flush_layer2(),
    }
}

/// Has the kernel load connection tracking, which a rule does that asks for a state.
///
/// # Errors
/// When iptables cannot be started or fails.
pub fn load_tracking() -> Result<(), LabError> {
    for what in ["-A", "-D"] {
        let rule = "INPUT -m conntrack --ctstate INVALID";
        let options: Vec<&str> = [what].into_iter().chain(rule.split(' ')).collect();
        dump("iptables", &options)?;
    }
    Ok(())
}

/// Waits until the kernel has disposed of the rules that are gone. What they held lives
/// on until then: connection tracking, for one, which swallows parts of packets. Where
/// libvirt does not wait for each rule (see [`super::shortcuts::socket_keeper`]), this waits once for all:
/// closing a bound netlink socket returns when it is done (`nft_rcv_nl_event` in the
/// kernel's `nf_tables_api.c`), after one grace period.
///
/// # Errors
/// When the netlink socket cannot be opened or bound.
pub fn wait_for_rcu() -> Result<(), LabError> {
    let disposed = || -> nix::Result<()> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))
    };
    tokio::task::block_in_place(disposed)
        .map_err(|errno| LabError::system("wait for the end of rules that are gone", errno))
}

/// Takes away every layer-2 rule and chain while nothing is bound. A binding that
/// failed halfway leaves its sub-chains, J-tap0-ipv4 and P-tap0-ipv4, behind:
/// libvirt finds sub-chains by a query of the chain that jumps to them, and since
/// it has had rollback commands of its own they may not query
/// (`virFirewallAddCmdFullV` in its `virfirewall.c`, which
/// `ebiptablesApplyNewRules` in `nwfilter_ebiptables_driver.c` does not know).
/// With such a chain in place a later filter can be bound that adds a rule before
/// it makes the chain, and loses that rule when it does make it (measured:
/// docs/measurements.md#M8).
///
/// With nftables such chains would even come into force with the next filter
/// (docs/libvirt-bugs.md#B33); both of libvirt's tables go, which it makes again.
///
/// # Errors
/// When the tool cannot be started or fails.
pub fn clear(backend: Backend) -> Result<(), LabError> {
    if backend == Backend::Nftables {
        return nftables::delete_tables();
    }
    flush_layer2(backend)?;
    dump("ebtables", &["-t", "nat", "-X"]).map(drop)
}

fn count(interface: &str, ebtables: &str, iptables: &str) -> Installed {
    let rules = |dump: &str, is_chain: &dyn Fn(&str) -> bool| {
        dump.lines()
            .filter_map(|line| line.split_once("-A "))
            .filter(|(_, rule)| rule.split(' ').next().is_some_and(is_chain))
            .count()
    };
    let layer2 = |chain: &str| is_layer2(chain, interface);
    let layer3 = |chain: &str| is_layer3(chain, interface);
    let jump = |prefix: &str| {
        ebtables.contains(&format!("-j libvirt-{prefix}-{interface}\n"))
            || ebtables.contains(&format!("-j libvirt-{prefix}-{interface} "))
    };
    Installed {
        layer2: rules(ebtables, &layer2),
        layer3: rules(iptables, &layer3),
        hooked: jump("I") || jump("O") || rules(iptables, &layer3) > 0,
    }
}

/// libvirt-I-tap0, libvirt-O-tap0 and the sub-chains I-tap0-ipv4, O-tap0-ipv4.
fn is_layer2(chain: &str, interface: &str) -> bool {
    let chain = chain.strip_prefix("libvirt-").unwrap_or(chain);
    let rest = chain
        .strip_prefix("I-")
        .or_else(|| chain.strip_prefix("O-"));
    rest.and_then(|rest| rest.strip_prefix(interface))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn is_layer3(chain: &str, interface: &str) -> bool {
    ["FI-", "FO-", "HI-"]
        .iter()
        .any(|prefix| chain.strip_prefix(prefix) == Some(interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EBTABLES: &str = "*nat\n:PREROUTING ACCEPT\n:libvirt-I-tap0 ACCEPT\n-A PREROUTING -i tap0 -j libvirt-I-tap0\n\
                            -A libvirt-I-tap0 -p IPv4 -j I-tap0-ipv4\n-A I-tap0-ipv4 -j DROP\n-A libvirt-I-tap01 -j DROP\n";

    #[test]
    fn counters_do_not_hide_rules() {
        let counted = EBTABLES.replace("-A ", "[3:156] -A ");
        assert_eq!(count("tap0", &counted, ""), count("tap0", EBTABLES, ""));
    }

    #[test]
    fn only_this_interface_counts() {
        assert_eq!(
            count("tap0", EBTABLES, ""),
            Installed {
                layer2: 2,
                layer3: 0,
                hooked: true
            }
        );
        assert_eq!(
            count("tap01", EBTABLES, ""),
            Installed {
                layer2: 1,
                layer3: 0,
                hooked: false
            }
        );
        assert_eq!(
            count("tap9", EBTABLES, ""),
            Installed {
                layer2: 0,
                layer3: 0,
                hooked: false
            }
        );
    }
}
