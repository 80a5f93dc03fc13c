//! What a run found, as data: the source of every rendering.

mod clients;
mod facts;
mod identity;
mod step;

pub use crate::diagnosis::{Cause, CausePlace, CausingRule};
pub use crate::verdict::{Failure, Outcome, Verdict};
pub use clients::{ClientRun, DhcpClient, DhcpClients};
pub use facts::{Decided, Points, ProbeFacts, Seen, UnknownPoint};
pub use identity::Identity;
pub use step::Step;

use crate::nwfilter::Parameter;
use crate::nwfilter::learning::Learning;
use crate::probe::{Expect, Group, Point};
use serde::{Deserialize, Serialize};

/// Version of the JSON layout; raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// One probe in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The probe's stable name.
    pub id: String,
    /// Its row.
    pub group: Group,
    /// In words.
    pub summary: String,
    /// What the policy wants.
    pub expect: Expect,
    /// Outcome without the filter.
    pub control: Outcome,
    /// Outcome with the filter: put on a running guest where that was tried, else there
    /// before its first frame.
    pub filtered: Outcome,
    /// Outcome with the filter taken away again, where it was sent.
    pub leak_check: Option<Outcome>,
    /// Outcome with the filter there before the guest's first frame, where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_frame: Option<Outcome>,
    /// The judgement.
    pub verdict: Verdict,
    /// Where the frame was last seen with the filter; if the control failed, where it
    /// was last seen in the control.
    pub last_seen: Option<Point>,
    /// Where it was seen in each pass; none where it is judged otherwise than by its frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// What to know about it: the reason of an inconclusive verdict, the remedy of a known gap.
    pub note: Option<String>,
}

/// What carries the frames of a virtio NIC between its tap and the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackEnd {
    /// QEMU itself, which finishes the checksums of a server's DHCP messages.
    Qemu,
    /// The host's kernel, which hands the guest what the tap gives.
    VhostNet,
}

impl BackEnd {
    /// In a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::VhostNet => "vhost-net",
        }
    }
}

/// The time in a cell in which libvirt learned the guest's address, and rules of its own were
/// in force instead of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearningPhase {
    /// What libvirt learned it from.
    pub learning: Learning,
    /// Whether the filter was there before the guest's first frame, else it came to a running
    /// guest.
    pub before_first_frame: bool,
    /// Frames to the WAN that the guest sent.
    pub sent: usize,
    /// How many of them got there.
    pub let_out: usize,
    /// Milliseconds from the guest's first frame until the filter was in force; none where it
    /// was not within the time that was waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force_after_ms: Option<u64>,
}

/// A probe whose frames did not leave the guest at first, and were sent once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAgain {
    /// In which step.
    pub step: Step,
    /// The probe's id.
    pub probe: String,
}

/// How many frames a rule of layer 2 matched in a cell, by the kernel's counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHits {
    /// The filter.
    pub filter: String,
    /// The number of the rule in it, from 1.
    pub rule: usize,
    /// Frames, those of the probes and all others.
    pub frames: u64,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Which step.
    pub step: Step,
    /// Milliseconds of wall time.
    pub ms: u64,
}

/// What stopped a cell before its probes were judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellError {
    /// Step in which it happened.
    pub step: Step,
    /// What failed, where, and what to do about it.
    pub message: String,
    /// The host or the user's input is to blame (exit code 3 or 2) rather than the cell.
    pub kind: ErrorKind,
}

/// Whose fault an error is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The user's input: exit code 2.
    Usage,
    /// The host cannot do it: exit code 3.
    Host,
    /// The guest or the lab broke down in mid-run: inconclusive, exit code 5.
    Cell,
    /// A bug of lanfence: exit code 70.
    Internal,
}

/// One cell of the matrix: a guest kind with a NIC model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `linux/pcnet`.
    pub name: String,
    /// Guest kind.
    pub guest: String,
    /// libvirt's NIC model name.
    pub nic: String,
    /// Kernel driver that the guest used.
    pub driver: Option<String>,
    /// What carried the frames of a NIC that has a choice, as seen on the running QEMU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_end: Option<BackEnd>,
    /// Results in catalogue order.
    pub probes: Vec<ProbeResult>,
    /// Steps in order.
    pub timings: Vec<Timing>,
    /// Set when the cell did not come to its end.
    pub error: Option<CellError>,
    /// Whether the probes that must be dropped arrived once the filter was removed; none when
    /// that was not reached.
    pub leak_check: Option<bool>,
    /// Files with evidence, in the order of writing, relative to `--out`.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What the DHCP clients of other systems found, where they were played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<DhcpClients>,
    /// Where libvirt learned the guest's address: what passed until it knew it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learning: Vec<LearningPhase>,
    /// The filter's rules with the frames that each matched; empty where libvirt made other
    /// rules than the evaluator expects, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHits>,
    /// Probes whose frames were sent once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent_again: Vec<SentAgain>,
    /// Set when a later try was green: what stands here is the worst try, and so not green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaky: Option<String>,
}

/// A cell of the matrix that cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// `linux/rocker`.
    pub name: String,
    /// What it lacks.
    pub reason: String,
}

/// A rule in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleText {
    /// The filter.
    pub filter: String,
    /// The number of the rule in it, from 1.
    pub rule: usize,
    /// `drop out <ip dstipaddr='…'/>`.
    pub text: String,
}

/// The filter under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterInfo {
    /// Name of the filter that is bound; none when verified without one.
    pub name: Option<String>,
    /// `generated from lanfence.toml`, a file's name, or `none`.
    pub source: String,
    /// Number of rules in the tree.
    pub rules: usize,
    /// The rules in words, in the order of filters and rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<RuleText>,
    /// What it is bound with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Probes that are not sent, since they say nothing of a filter for one guest: they come from
    /// other addresses of the LAN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What the run ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `kvm` or `tcg`.
    pub accel: String,
    /// Why that accelerator: `asked for`, or what kept the guest from booting under KVM.
    pub accel_reason: String,
    /// Host kernel release.
    pub kernel: String,
    /// libvirt's version.
    pub libvirt: String,
    /// Back end of libvirt that translated the filter; empty in reports from before there
    /// was a choice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// What the LAN was to libvirt, `bridge` or `network`; empty in reports from before there was a
    /// choice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub segment: String,
    /// What `iptables --version` says; empty where it was not asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub iptables: String,
    /// What `nft --version` says; empty where it was not asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nft: String,
    /// QEMU's version.
    pub qemu: String,
    /// Guest kernel release.
    pub guest_kernel: String,
    /// `root` or `user namespace`.
    pub privilege: String,
    /// `net.bridge.bridge-nf-call-iptables` and its two sisters as `name=value`, or one entry
    /// that says that br_netfilter, which makes them, is not loaded.
    pub sysctls: Vec<String>,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of lanfence.
    pub version: String,
    /// Policy file as given.
    pub policy: String,
    /// The filter.
    pub filter: FilterInfo,
    /// The host.
    pub host: Host,
    /// Cells in the order of the matrix.
    pub cells: Vec<Cell>,
    /// Why probes leaked or were blocked, leaks first; empty in reports from before causes were
    /// looked for, and where nothing leaked and nothing was blocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Cells of the matrix that cannot run, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// What all cells have in common of their probes, in catalogue order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeFacts>,
    /// Names of the whole matrix in its order where the run is a partition of
    /// it, so that partitions can be joined and a missing one is noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matrix: Vec<String>,
    /// SHA-256 of the policy, the filters, their parameters and the back end, in hexadecimal
    /// digits: partitions of one run have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// What tells policy and filter apart from others, each by itself; none in reports from
    /// before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Wall time of the whole run in milliseconds.
    pub wall_ms: u64,
    /// When it started, RFC 3339 in UTC ([`super::text::rfc3339`]); none keeps reports comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
}
