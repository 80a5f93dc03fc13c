//! Every lint by name, for those who choose among them and for reports.

use super::finding::Severity::{self, Error, Note, Warning};

/// A lint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lint {
    /// Its name, as `--deny` and `--allow` take it.
    pub name: &'static str,
    /// How bad its findings are where nobody says otherwise.
    pub severity: Severity,
    /// What it finds, in a line.
    pub summary: &'static str,
}

const fn lint(name: &'static str, severity: Severity, summary: &'static str) -> Lint {
    Lint {
        name,
        severity,
        summary,
    }
}

/// Name of the lint about what libvirt refuses.
pub const REFUSED: &str = "refused";

/// Name of the lint about references to filters that are not there.
pub const MISSING: &str = "missing-filter";

/// Name of the lint about what has to be given.
pub const UNSET: &str = "unset-variable";

/// Name of the lint about what the lenient reader lists.
pub const IGNORED: &str = "silently-ignored";

/// Name of the lint about interfaces that no filter can hold.
pub const FILTERREF_DROPPED: &str = "filterref-dropped";

/// Name of the lint about networks that refer to a filter.
pub const FILTERREF_IN_NETWORK: &str = "filterref-in-network";

/// Name of the lint about interfaces without a filter.
pub const NO_FILTERREF: &str = "no-filterref";

/// Name of the lint about ways out of a guest that are no interface.
pub const SECOND_WAY: &str = "second-way";

/// Name of the lint about interfaces with more than one filter.
pub const SEVERAL_FILTERREFS: &str = "several-filterrefs";

/// The lints about definitions of guests, interfaces and networks, which hold no filter.
pub const OF_DEFINITIONS: [&str; 5] = [
    FILTERREF_DROPPED,
    FILTERREF_IN_NETWORK,
    NO_FILTERREF,
    SECOND_WAY,
    SEVERAL_FILTERREFS,
];

/// All of them, by name.
pub const LINTS: [Lint; 49] = [
    lint(
        "arp-mask-inherited",
        Error,
        "an ARP target without a mask gets the sender's",
    ),
    lint(
        "broadcast-mask",
        Warning,
        "255.255.255.255 with a mask is more than the broadcast address",
    ),
    lint(
        "chain-end-accepts",
        Warning,
        "a chain without an unconditional last rule accepts what no rule of it matches",
    ),
    lint(
        "chain-never-entered",
        Error,
        "rules before a chain decide about all frames that its rules would stop or let pass",
    ),
    lint(
        "chain-of-another-protocol",
        Error,
        "an element that no frame of its chain can match",
    ),
    lint(
        "chain-priority-0",
        Error,
        "libvirt does not save a chain's priority of 0",
    ),
    lint(
        "default-accept",
        Warning,
        "the root chain accepts what no rule matches",
    ),
    lint(
        "direction-unfiltered",
        Warning,
        "no layer-2 rule filters one of the directions",
    ),
    lint(
        "drops-no-connection",
        Warning,
        "a layer-3 drop behind rules that accept every connection which it matches",
    ),
    lint(
        "dscp-is-tos",
        Error,
        "dscp at layer 2 is compared with the whole TOS byte",
    ),
    lint(
        "equal-chain-priority",
        Warning,
        "chains of one priority are entered in random order",
    ),
    lint(
        FILTERREF_DROPPED,
        Error,
        "a filterref on an interface that no filter can hold",
    ),
    lint(
        FILTERREF_IN_NETWORK,
        Error,
        "libvirt drops the filterref of a network or port group",
    ),
    lint(
        "host-bits",
        Warning,
        "an address has bits set that its mask ignores",
    ),
    lint(
        "icmp-code-alone",
        Error,
        "libvirt leaves out an ICMP code without a type",
    ),
    lint(
        "icmp-type-inout",
        Error,
        "an inout rule with an ICMP type has no effect",
    ),
    lint(
        "inout-turned-round",
        Warning,
        "an inout rule exchanges source and destination for frames from the guest",
    ),
    lint(
        "ipset-forgotten",
        Error,
        "libvirt does not save an ipset on anything but <all>",
    ),
    lint(
        "ipset-ignored",
        Error,
        "libvirt leaves out an ipset with flags on anything but <all>",
    ),
    lint(
        "iptables-release",
        Warning,
        "libvirt binds the filter with some releases of iptables only",
    ),
    lint(
        "layer-2-drops-first",
        Error,
        "a layer-3 rule accepts what layer 2 has dropped",
    ),
    lint("layer-3", Warning, "layer-3 rules do not see all traffic"),
    lint(
        "layer-3-drops-after",
        Error,
        "a layer-2 rule accepts what layer 3 drops",
    ),
    lint(
        "layer-3-outside-root",
        Warning,
        "a layer-3 rule outside the root chain is tried last",
    ),
    lint(
        "learning-lets-out",
        Warning,
        "frames get out while libvirt learns the guest's address",
    ),
    lint(
        "left-out",
        Error,
        "libvirt leaves out an attribute without the one that it belongs to",
    ),
    lint(
        "long-chain-name",
        Note,
        "a chain whose name is too long for interfaces with long names",
    ),
    lint(
        "lost-negation",
        Error,
        "match='no' is lost on a destination port without a negated source port",
    ),
    lint(
        "many-rules",
        Note,
        "binding more than 100 rules takes seconds at each start of a guest",
    ),
    lint("matches-nothing", Error, "no frame can match a rule"),
    lint(MISSING, Error, "a reference to a filter that is not there"),
    lint(
        "negated-list",
        Warning,
        "the rules of a negated list match everything together",
    ),
    lint(
        "negated-port-pair",
        Error,
        "iptables before 1.8.11 compares two negated ports at once: either may match",
    ),
    lint(
        "never-acts",
        Error,
        "rules before it decide otherwise about all that a rule matches",
    ),
    lint(
        "never-acts-one-way",
        Warning,
        "a rule for both directions that rules before it keep from acting in one of them",
    ),
    lint(
        NO_FILTERREF,
        Warning,
        "an interface without a filterref, which libvirt does not filter",
    ),
    lint(
        "no-lease",
        Warning,
        "a rule lets the guest ask for a lease which others keep from it",
    ),
    lint(
        "no-uuid",
        Note,
        "a filter without a uuid, whose next version libvirt refuses",
    ),
    lint(
        "part-of-multicast",
        Note,
        "224.0.0.0 with a mask other than 4 is only a part of the multicast groups",
    ),
    lint(
        "redundant-rule",
        Note,
        "rules before it do the same with all that a rule matches",
    ),
    lint(REFUSED, Error, "libvirt refuses to bind the filter"),
    lint(
        "root-priority",
        Note,
        "the priority of the root chain has no effect",
    ),
    lint(
        SECOND_WAY,
        Warning,
        "a device of the host or an argument of QEMU is a way out that no filter sees",
    ),
    lint(
        SEVERAL_FILTERREFS,
        Error,
        "an interface with more filterrefs than the one that libvirt takes",
    ),
    lint(
        IGNORED,
        Error,
        "libvirt silently ignores it or reads it as something else",
    ),
    lint(
        "stp-attributes",
        Error,
        "the kernel reads attributes of <stp> from the wrong place of the frame",
    ),
    lint(
        "stp-chain-priority",
        Warning,
        "an stp chain without a priority gets the priority 0",
    ),
    lint(
        UNSET,
        Error,
        "a rule uses a variable that no reference and no parameter sets",
    ),
    lint("vlan-encap", Error, "encap-protocol never matches"),
];

/// The lint with this name.
pub fn find(name: &str) -> Option<&'static Lint> {
    LINTS.iter().find(|lint| lint.name == name)
}
