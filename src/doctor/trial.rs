//! One thing that was tried, and what happened.

use serde::{Deserialize, Serialize};

/// What is tried, in the order of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The lab's namespaces.
    Namespaces,
    /// A tap.
    Tun,
    /// A rule of layer 2.
    Ebtables,
    /// A rule of layer 3.
    Iptables,
    /// A rule of nftables' bridge family.
    Nft,
    /// The lab's hosts and the DHCP server.
    Dnsmasq,
    /// A libvirtd.
    Libvirt,
    /// The kernel's own back end of virtio NICs.
    VhostNet,
    /// A guest under KVM.
    Kvm,
    /// Room in the cache.
    Disk,
    /// Memory for guests.
    Memory,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Namespaces,
        Self::Tun,
        Self::Ebtables,
        Self::Iptables,
        Self::Nft,
        Self::Dnsmasq,
        Self::Libvirt,
        Self::VhostNet,
        Self::Kvm,
        Self::Disk,
        Self::Memory,
    ];

    /// Those that are tried in the lab's namespaces.
    pub const INSIDE: [Self; 7] = [
        Self::Namespaces,
        Self::Tun,
        Self::Ebtables,
        Self::Iptables,
        Self::Nft,
        Self::Dnsmasq,
        Self::Libvirt,
    ];

    /// Its word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Tun => "tun",
            Self::Ebtables => "ebtables",
            Self::Iptables => "iptables",
            Self::Nft => "nft",
            Self::Dnsmasq => "dnsmasq",
            Self::Libvirt => "libvirt",
            Self::VhostNet => "vhost-net",
            Self::Kvm => "KVM",
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }

    /// What is done to find out.
    pub fn trial(self) -> &'static str {
        match self {
            Self::Namespaces => {
                "enter new user (unless root), mount, PID, network, IPC and UTS namespaces, map \
                 ids, mount a tmpfs"
            }
            Self::Tun => "make a tap",
            Self::Ebtables => {
                "add a rule to the chain PREROUTING of the table nat and read it back"
            }
            Self::Iptables => "add a rule that matches a bridge port to FORWARD and read it back",
            Self::Nft => "add a table of the bridge family with a rule and read it back",
            Self::Dnsmasq => {
                "make the lab's bridge and hosts, start dnsmasq until it listens for DHCP"
            }
            Self::Libvirt => "start libvirtd, define the generated filter",
            Self::VhostNet => "open /dev/vhost-net, become its owner",
            Self::Kvm => "boot lanfence's guest under KVM",
            Self::Disk => "ask for the free room of the cache's file system",
            Self::Memory => "ask the kernel for the memory that is available",
        }
    }

    /// What is not there without it; none where the lab cannot be without it.
    pub fn without(self) -> Option<&'static str> {
        match self {
            Self::Nft => Some("`--backend nftables` and `watch` cannot be used"),
            Self::VhostNet => Some("virtio NICs run on QEMU's own back end"),
            Self::Kvm => Some("guests run under emulation, some times slower"),
            _ => None,
        }
    }
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It works.
    Works {
        /// What was found.
        found: String,
    },
    /// It does not.
    Fails {
        /// What happened instead.
        happened: String,
        /// What to do about it: a sentence, with commands between backticks.
        cure: String,
    },
    /// Nobody knows.
    NotTried {
        /// Why.
        why: String,
        /// What to do so that it can be tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cure: Option<String>,
    },
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Of what.
    pub subject: Subject,
    /// How it ended.
    #[serde(flatten)]
    pub state: State,
}

impl Trial {
    /// It works.
    pub fn works(subject: Subject, found: impl Into<String>) -> Self {
        let found = found.into();
        Self {
            subject,
            state: State::Works { found },
        }
    }

    /// It fails.
    pub fn fails(subject: Subject, happened: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            subject,
            state: State::Fails {
                happened: happened.into(),
                cure: cure.into(),
            },
        }
    }

    /// It could not be tried.
    pub fn not_tried(subject: Subject, why: impl Into<String>, cure: Option<&str>) -> Self {
        Self {
            subject,
            state: State::NotTried {
                why: why.into(),
                cure: cure.map(str::to_owned),
            },
        }
    }

    /// Whether it works.
    pub fn is_good(&self) -> bool {
        matches!(self.state, State::Works { .. })
    }
}

/// Whether the lab can run: everything that it cannot be without works, and KVM where it is
/// asked for.
pub fn is_fit(trials: &[Trial], needs_kvm: bool) -> bool {
    trials.iter().all(|trial| {
        let kvm = needs_kvm && trial.subject == Subject::Kvm;
        trial.is_good() || (trial.subject.without().is_some() && !kvm)
    })
}
