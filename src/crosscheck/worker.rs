//! A worker: one process in its own namespaces, taking every n-th case of a run.

use super::aim::aimed;
use super::belief::{Mistake, compile};
use super::bout::meet;
use super::describe::describe;
use super::frames::{frame, spoil};
use super::grammar::{Case, case};
use super::hints::Hints;
use super::random::Random;
use super::shrink::shrink;
use super::speed::{self, Course, Pace};
use crate::lab::{LabError, Pair, Shortcuts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// What the evaluator is made to get wrong, to see that it is noticed.
    pub mistake: Option<Mistake>,
}

/// What a worker may be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// To run cases.
    Cases(Request),
    /// To measure how fast frames are judged.
    Speed(Course),
}

/// What a worker says of one case, or why it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A case is done.
    Case(CaseDone),
    /// What was measured.
    Paces(Vec<Pace>),
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

/// Does what it is told and says what comes of it.
pub async fn run(task: &Task, tell: &dyn Fn(&Line)) {
    match task {
        Task::Cases(request) => cases(request, tell).await,
        Task::Speed(course) => tell(&speed::run(course).await),
    }
}

async fn cases(request: &Request, tell: &dyn Fn(&Line)) {
    let mut pair = match Pair::up(Shortcuts::all()).await {
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
    let frames = frames(&case, &mut random, request.frames);
    let tally = meet(pair, &case, request.mistake, &frames)?;
    let mismatch = tally
        .mismatch
        .map(|mismatch| shrink(pair, case, mismatch, request.mistake))
        .transpose()?
        .map(|(case, mismatch)| describe(&case, request.mistake, &mismatch));
    Ok(CaseDone {
        case: number,
        bound: tally.bound,
        compared: tally.compared,
        dropped: tally.dropped,
        undecided: tally.undecided,
        rules: tally.rules,
        hit: tally.hit,
        mismatch,
        again: tally.again,
    })
}

/// Half of them aimed at the filter's rules, half around the values in them;
/// each only once. None for what cannot be bound.
fn frames(case: &Case, random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let Ok(compiled) = compile(case, None) else {
        return Vec::new();
    };
    let hints = Hints::of(case);
    let mut out: BTreeSet<Vec<u8>> = aimed(&compiled, random, count / 2).into_iter().collect();
    // One in eight of those is spoilt besides.
    let spoilt: Vec<Vec<u8>> = out.iter().step_by(8).cloned().collect();
    for mut frame in spoilt {
        spoil(random, &mut frame);
        out.insert(frame);
    }
    for _ in 0..count * 2 {
        if out.len() >= count {
            break;
        }
        out.insert(frame(random, &hints));
    }
    out.into_iter().collect()
}
