//! A worker: one process in its own namespaces, taking every n-th case of a run.

use super::bout::{Tally, meet};
use super::describe::describe;
use super::frames::frame;
use super::grammar::{Case, case};
use super::hints::Hints;
use super::random::Random;
use super::shrink::shrink;
use crate::lab::{LabError, Pair};
use crate::nwfilter::{Action, Entry};
use serde::{Deserialize, Serialize};

/// What a worker is asked to do.
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
    /// Make the evaluator believe something else, to see that it is noticed.
    pub sabotage: bool,
}

/// What a worker says of one case, or why it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A case is done.
    Case(CaseDone),
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
    /// A disagreement, shrunk, in words.
    pub mismatch: Option<String>,
}

/// Runs the cases and tells of each.
pub async fn run(request: &Request, tell: &dyn Fn(&Line)) {
    let mut pair = match Pair::up().await {
        Ok(pair) => pair,
        Err(error) => return tell(&Line::Host(error.to_string())),
    };
    let step = usize::try_from(request.step).unwrap_or(1).max(1);
    for number in (request.first..request.end).step_by(step) {
        let done = one(&mut pair, request, number);
        match (done, pair.fault()) {
            (Ok(done), None) => tell(&Line::Case(done)),
            (Ok(_), Some(fault)) => return tell(&Line::Broken(fault)),
            (Err(error), fault) => {
                let fault = fault.map(|fault| format!("\n{fault}")).unwrap_or_default();
                return tell(&Line::Broken(format!("case {number}: {error}{fault}")));
            }
        }
    }
}

fn one(pair: &mut Pair, request: &Request, number: u64) -> Result<CaseDone, LabError> {
    let mut random = Random::of(request.seed, number);
    let case = case(&mut random);
    let hints = Hints::of(&case);
    let frames: Vec<Vec<u8>> = (0..request.frames)
        .map(|_| frame(&mut random, &hints))
        .collect();
    let believe = |case: &Case| {
        if request.sabotage {
            wrong(case)
        } else {
            case.clone()
        }
    };
    let tally = meet(pair, &case, &believe(&case), &frames)?;
    let Tally {
        bound,
        compared,
        dropped,
        undecided,
        mismatch,
    } = tally;
    let mismatch = mismatch
        .map(|mismatch| shrink(pair, case, mismatch, believe))
        .transpose()?
        .map(|(case, mismatch)| describe(&case, &believe(&case), &mismatch));
    Ok(CaseDone {
        case: number,
        bound,
        compared,
        dropped,
        undecided,
        mismatch,
    })
}

/// A case as an evaluator would take it that thinks `reject` means `accept`.
fn wrong(case: &Case) -> Case {
    let mut case = case.clone();
    for entry in case
        .filters
        .iter_mut()
        .flat_map(|filter| &mut filter.entries)
    {
        if let Entry::Rule(rule) = entry
            && rule.action == Action::Reject
        {
            rule.action = Action::Accept;
        }
    }
    case
}
