//! Why an interface is in the state that it is in, each with the command that cures it.

use super::state::State;
use crate::domain::Unfilterable;
use crate::host::kernel::{Bypass, Difference};
use crate::shell::quoted;
use std::fmt;

/// Which definition of a guest is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Definition {
    /// What it runs by.
    Live,
    /// What it will start by.
    Config,
    /// The image that it goes on from at its next start.
    Saved,
    /// What a revert to this snapshot makes of it.
    Snapshot(String),
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("the running guest"),
            Self::Config => f.write_str("the persistent definition"),
            Self::Saved => f.write_str("the saved image"),
            Self::Snapshot(name) => write!(f, "the snapshot {name}"),
        }
    }
}

/// Something about an interface that its user must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A definition has no filter.
    NoFilter(Definition),
    /// A definition has another filter than the policy's, which does not keep to the policy.
    Leaks {
        /// Which definition.
        definition: Definition,
        /// The filter.
        filter: String,
        /// A frame that it lets through.
        example: String,
        /// How many kinds of them the check found.
        count: usize,
    },
    /// A definition has another filter, which keeps to the policy.
    OtherFilter(Definition, String),
    /// A definition has another filter, of which it is not known what it does.
    UnknownFilter {
        /// Which definition.
        definition: Definition,
        /// The filter.
        filter: String,
        /// Why.
        why: String,
    },
    /// A definition names a filter that libvirt does not have.
    MissingFilter(Definition, String),
    /// The filter of the policy's name says something else than the policy.
    FilterDiffers {
        /// Its name.
        filter: String,
        /// The first difference.
        difference: String,
    },
    /// A second filterref is in a definition: libvirt keeps one.
    SeveralFilters(Definition),
    /// No filter can hold it as this definition has it.
    Unfilterable(Definition, Unfilterable),
    /// libvirt has no binding for a device whose definition has a filter.
    NoBinding,
    /// libvirt has a binding for a device that is gone.
    StaleBinding(String),
    /// libvirt's binding is not that of the definition.
    OtherBinding(String),
    /// The kernel's rules are not those that this libvirt makes of the filter.
    Rules(Difference),
    /// A rule of others lets its frames past the filter.
    Bypass(Bypass),
    /// The kernel's rules cannot be read.
    RulesUnseen(String),
    /// It is not known which rules this libvirt makes of the filter.
    NoReference(String),
    /// libvirt is just making its rules.
    Rebuilding,
    /// The device is not there.
    NoDevice(String),
    /// The device is in no Linux bridge, where rules see no frame.
    NoBridge(String),
    /// The device is in another bridge than its definition says.
    OtherBridge {
        /// The bridge that it is in.
        is: String,
        /// The bridge that it should be in.
        wanted: String,
    },
    /// Rules of layer 3 are asked for, and the kernel does not take bridged packets to them.
    NoBridgeNetfilter(&'static str),
    /// The filter's file is not as libvirt needs it when it starts.
    FilterFile {
        /// The filter.
        filter: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A definition of the guest has a way out that is no interface.
    SecondWay(Definition, String),
    /// Something of the guest could not be looked at.
    Unseen(String),
    /// lanfence has closed the device and has not opened it again.
    Closed,
    /// Frames that were sent through the filter in place came out, which it was to stop.
    Leaked(Vec<&'static str>),
    /// Frames that were sent through the filter in place did not come out, which it was to let
    /// through.
    Blocked(Vec<&'static str>),
    /// Frames that were sent through the filter in place came out or did not, as they must.
    Proven {
        /// Frames that it was to stop.
        stopped: usize,
        /// Frames that it was to let through.
        passed: usize,
    },
    /// Frames came to the rules of the guest's own device while a proof ran, as the kernel counts;
    /// none where nothing leads to rules in that direction.
    Counted {
        /// To the guest.
        to_guest: Option<u64>,
        /// From the guest.
        from_guest: Option<u64>,
    },
    /// Nothing was proven in place.
    Unproven(String),
    /// The guest is on a bridge that the policy fences, and nobody has fenced it.
    Unnamed(String),
    /// lanfence has fenced it, and no definition has the policy's filter any more.
    Stripped,
    /// It is in the place of an interface that lanfence has fenced and that is gone, by that one's
    /// MAC, without the policy's filter.
    Recreated(String),
}

impl Reason {
    /// The state that it puts the interface into.
    pub fn state(&self, running: bool) -> State {
        use Definition::{Config, Live, Saved, Snapshot};
        let of = |definition: &Definition| match definition {
            Live => State::Open,
            // The next start decides, and a saved image comes before the definition.
            Config | Saved if !running => State::Open,
            Config | Saved | Snapshot(_) => State::Drifted,
        };
        match self {
            Self::NoFilter(definition) | Self::Leaks { definition, .. } => of(definition),
            Self::OtherFilter(..)
            | Self::Proven { .. }
            | Self::Counted { .. }
            // Where nothing keeps it on the LAN, another reason says so.
            | Self::Stripped
            | Self::Recreated(_) => State::Fenced,
            Self::UnknownFilter { definition, .. } => match of(definition) {
                State::Open => State::Unknown,
                other => other,
            },
            Self::Unfilterable(definition, _) | Self::SecondWay(definition, _) => {
                match of(definition) {
                    State::Open => State::Unfilterable,
                    other => other,
                }
            }
            Self::Rules(difference) if difference.may_open() => State::Open,
            Self::SeveralFilters(_)
            | Self::MissingFilter(..)
            | Self::FilterDiffers { .. }
            | Self::OtherBinding(_)
            | Self::OtherBridge { .. }
            | Self::FilterFile { .. }
            | Self::NoBinding
            | Self::StaleBinding(_)
            | Self::Unnamed(_)
            | Self::Closed
            | Self::Blocked(_)
            | Self::Rules(_) => State::Drifted,
            Self::Bypass(_)
            | Self::NoBridge(_)
            | Self::NoBridgeNetfilter(_)
            | Self::NoDevice(_)
            | Self::Leaked(_) => State::Open,
            Self::RulesUnseen(_)
            | Self::NoReference(_)
            | Self::Rebuilding
            | Self::Unproven(_)
            | Self::Unseen(_) => State::Unknown,
        }
    }

    /// A word for it that stays, for reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoFilter(_) => "no-filter",
            Self::Leaks { .. } => "filter-leaks",
            Self::OtherFilter(..) => "other-filter",
            Self::UnknownFilter { .. } => "unknown-filter",
            Self::MissingFilter(..) => "missing-filter",
            Self::FilterDiffers { .. } => "filter-differs",
            Self::SeveralFilters(_) => "several-filters",
            Self::Unfilterable(..) => "unfilterable",
            Self::NoBinding => "no-binding",
            Self::StaleBinding(_) => "stale-binding",
            Self::OtherBinding(_) => "other-binding",
            Self::Rules(Difference::Nothing) => "rules-missing",
            Self::Rules(Difference::Unhooked(_)) => "rules-unhooked",
            Self::Rules(_) => "rules-differ",
            Self::Bypass(_) => "bypass",
            Self::RulesUnseen(_) => "rules-unseen",
            Self::NoReference(_) => "no-reference",
            Self::Rebuilding => "rebuilding",
            Self::NoDevice(_) => "no-device",
            Self::NoBridge(_) => "no-bridge",
            Self::OtherBridge { .. } => "other-bridge",
            Self::NoBridgeNetfilter(_) => "no-bridge-netfilter",
            Self::FilterFile { .. } => "filter-file",
            Self::SecondWay(..) => "second-way",
            Self::Unseen(_) => "unseen",
            Self::Closed => "closed",
            Self::Unnamed(_) => "unnamed",
            Self::Stripped => "stripped",
            Self::Recreated(_) => "recreated",
            Self::Leaked(_) => "leaked",
            Self::Blocked(_) => "blocked",
            Self::Unproven(_) => "unproven",
            Self::Proven { .. } => "proven",
            Self::Counted { .. } => "counted",
        }
    }

    /// The command that cures it for this guest; empty where nothing is wrong.
    pub fn cure(&self, guest: &str) -> String {
        let guest = quoted(guest);
        match self {
            Self::NoFilter(Definition::Saved)
            | Self::Leaks {
                definition: Definition::Saved,
                ..
            } => {
                format!(
                    "virsh managedsave-edit {guest} (or start the guest, then lanfence apply {guest})"
                )
            }
            Self::NoFilter(Definition::Snapshot(name)) => format!(
                "virsh snapshot-edit {guest} {} (or delete the snapshot; after a revert: lanfence apply {guest})",
                quoted(name)
            ),
            Self::NoFilter(_) | Self::Unnamed(_) => format!("lanfence apply {guest}"),
            Self::Stripped | Self::Recreated(_) => {
                format!("lanfence repair {guest} (or lanfence remove {guest}, if it is to stay so)")
            }
            // Other guests may have the policy's own filter, so its content is mended first.
            Self::Leaks { .. } | Self::UnknownFilter { .. } | Self::OtherFilter(..) => {
                format!("lanfence apply --replace {guest}")
            }
            Self::MissingFilter(..)
            | Self::FilterDiffers { .. }
            | Self::SeveralFilters(_)
            | Self::NoBinding
            | Self::OtherBinding(_)
            | Self::Rules(_)
            | Self::Closed => format!("lanfence repair {guest}"),
            Self::StaleBinding(device) => {
                format!("virsh nwfilter-binding-delete {}", quoted(device))
            }
            Self::Bypass(bypass) => bypass.cure.clone(),
            Self::Unfilterable(..) => {
                "put the interface on a Linux bridge (lanfence apply prints how)".to_owned()
            }
            Self::RulesUnseen(_) => "run it as root".to_owned(),
            Self::NoReference(_) | Self::Unproven(_) => "see the reason".to_owned(),
            Self::Rebuilding => "run it again in a moment".to_owned(),
            Self::NoDevice(_) => format!("lanfence repair {guest} (or ip link set NEW name OLD)"),
            Self::NoBridge(device) => format!("ip link set {device} master BRIDGE"),
            Self::OtherBridge { wanted, .. } => format!("ip link set DEVICE master {wanted}"),
            Self::NoBridgeNetfilter(sysctl) => format!("sysctl -w {sysctl}=1"),
            Self::FilterFile { .. } => {
                format!("lanfence repair {guest}, before libvirtd starts again")
            }
            Self::SecondWay(..) => format!("virsh edit {guest} (take the other way out away)"),
            Self::Leaked(_) | Self::Blocked(_) => {
                "`lanfence check` and `lanfence verify` say more of the filter".to_owned()
            }
            Self::Proven { .. } | Self::Counted { .. } => String::new(),
            Self::Unseen(_) => "run it as root, or as a member of the group libvirt".to_owned(),
        }
    }
}
