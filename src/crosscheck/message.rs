//! What a worker is told to do, and what it reports.

use super::model::Mutation;
use crate::lab::Shortcuts;
use crate::nwfilter::evaluate::Backend;
use serde::{Deserialize, Serialize};

/// Cases that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Seed of the run.
    pub seed: u64,
    /// First case.
    pub first: u64,
    /// Number of the case behind the last.
    pub end: u64,
    /// From one case to the next.
    pub step: u64,
    /// Frames a case.
    pub frames: usize,
    /// Most filters to bind to make the case of one mismatch smaller.
    pub shrink: usize,
    /// Back end of libvirt that translates the filters.
    pub backend: Backend,
    /// What the evaluator is made to get wrong, to see that it is noticed.
    pub mutation: Option<Mutation>,
    /// What the lab does only to save time.
    pub shortcuts: Shortcuts,
}

/// Filters that are put to evaluator and kernel as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The filters.
    pub filters: Vec<GivenFilter>,
    /// Frames that each of them gets, in both directions.
    pub frames: Vec<Vec<u8>>,
    /// Frames besides, from the boundaries of the filter's own rules.
    pub boundary: usize,
    /// Seed of the latter.
    pub seed: u64,
    /// Back end of libvirt that translates the filters.
    pub backend: Backend,
    /// What the evaluator is made to get wrong, to see that it is noticed.
    pub mutation: Option<Mutation>,
    /// What the lab does only to save time.
    pub shortcuts: Shortcuts,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFilter {
    /// Its number.
    pub number: u64,
    /// The XML of all that it refers to, in the order to define them, and its own last.
    pub texts: Vec<String>,
    /// Parameters of the binding.
    pub parameters: Vec<(String, String)>,
}

/// What a throughput is measured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchInput {
    /// A filter that refers to no other, as XML.
    pub filter: String,
    /// Frames from the guest.
    pub frames: Vec<Vec<u8>>,
    /// How often.
    pub rounds: u32,
}

/// The throughput of one round, in frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Written into the tap; what comes out is left for later.
    pub written: u64,
    /// Written, taken out at the other end, and the kernel's verdict compared with the
    /// evaluator's.
    pub judged: u64,
}

/// What a worker may be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// To run cases.
    Cases(Request),
    /// To run filters that are given.
    Given(Given),
    /// To measure how many frames a second are judged.
    Measure(BenchInput),
}

impl Task {
    /// What the task's lab does only to save time.
    pub fn shortcuts(&self) -> Shortcuts {
        match self {
            Self::Cases(request) => request.shortcuts,
            Self::Given(given) => given.shortcuts,
            Self::Measure(_) => Shortcuts::all(),
        }
    }
}

/// What a worker reports, or why it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// A case is done.
    Case(CaseDone),
    /// What was measured.
    Measured(Vec<Throughput>),
    /// The host cannot run a lab.
    Host(String),
    /// The lab broke down.
    Broken(String),
}

/// The figures of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseDone {
    /// Its number.
    pub case: u64,
    /// libvirt took the filter.
    pub bound: bool,
    /// Verdicts compared.
    pub compared: usize,
    /// Of those, dropped by the kernel.
    pub dropped: usize,
    /// Of those, left open by the evaluator.
    pub undecided: usize,
    /// Rules that frames can match, counted by direction.
    pub rules: usize,
    /// Of those, matched by a frame.
    pub hit: usize,
    /// A disagreement, shrunk, in words.
    pub mismatch: Option<String>,
    /// How often it was measured in vain before.
    pub again: usize,
}
