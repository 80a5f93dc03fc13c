//! A worker: one process in its own namespaces, taking every n-th case of a run.

use super::comparison::{Tally, compare};
use super::describe::describe;
use super::message::{CaseDone, Given, Message, Request, Task};
use super::model::{Model, compile};
use super::shrink::shrink;
use super::throughput;
use crate::lab::{LabError, Pair, Shortcuts};
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::read;
use crate::random::Random;
use crate::random::Seeds;
use crate::random::boundary_frames;
use crate::random::{Case, case};
use crate::random::{frame, spoil};
use std::collections::BTreeSet;

/// Does a task and reports what it found.
pub async fn run(task: &Task, report: &dyn Fn(&Message)) {
    match task {
        Task::Cases(request) => cases(request, report).await,
        Task::Given(given) => as_given(given, report).await,
        Task::Measure(input) => report(&throughput::run(input).await),
    }
}

async fn cases(request: &Request, report: &dyn Fn(&Message)) {
    let mut pair = match up(request.shortcuts, request.backend).await {
        Ok(pair) => pair,
        Err(error) => return report(&Message::Host(error.to_string())),
    };
    let step = usize::try_from(request.step).unwrap_or(1).max(1);
    for number in (request.first..request.end).step_by(step) {
        let done = one(&mut pair, request, number);
        if !tell(&pair, number, done, report) {
            return;
        }
    }
}

/// A pair in which no filter hangs on those before it.
async fn up(shortcuts: Shortcuts, backend: Backend) -> Result<Pair, LabError> {
    let pair = Pair::up(shortcuts, backend).await?;
    pair.make_base_chains()?;
    Ok(pair)
}

/// Filters that are given, in one lab one after the other.
async fn as_given(given: &Given, report: &dyn Fn(&Message)) {
    let mut pair = match up(given.shortcuts, given.backend).await {
        Ok(pair) => pair,
        Err(error) => return report(&Message::Host(error.to_string())),
    };
    for filter in &given.filters {
        let read = filter
            .texts
            .iter()
            .map(|text| read(text, "a worker's task"));
        let case = match read.collect() {
            Ok(filters) => Case {
                filters,
                parameters: filter.parameters.clone(),
            },
            Err(error) => return report(&Message::Broken(error.to_string())),
        };
        let done = one_given(&mut pair, given, filter.number, &case);
        if !tell(&pair, filter.number, done, report) {
            return;
        }
    }
}

/// Reports a case; false where nothing can follow it.
fn tell(
    pair: &Pair,
    number: u64,
    done: Result<CaseDone, LabError>,
    report: &dyn Fn(&Message),
) -> bool {
    match (done, pair.fault()) {
        (Ok(done), None) => {
            report(&Message::Case(done));
            return true;
        }
        (Ok(_), Some(fault)) => report(&Message::Broken(fault)),
        (Err(error), fault) => {
            let fault = fault.map(|fault| format!("\n{fault}")).unwrap_or_default();
            report(&Message::Broken(format!("case {number}: {error}{fault}")));
        }
    }
    false
}

fn one_given(
    pair: &mut Pair,
    given: &Given,
    number: u64,
    case: &Case,
) -> Result<CaseDone, LabError> {
    let model = Model {
        backend: given.backend,
        mutation: given.mutation,
        leaves_out_unequal_lists: pair.libvirt.leaves_out_unequal_lists(),
    };
    let mut frames: BTreeSet<Vec<u8>> = given.frames.iter().cloned().collect();
    if let Ok(compiled) = compile(case, model) {
        let mut random = Random::of(given.seed, number);
        frames.extend(boundary_frames(&compiled, &mut random, given.boundary));
    }
    let frames: Vec<Vec<u8>> = frames.into_iter().collect();
    let mut tally = compare(pair, case, model, &frames)?;
    let mismatch = tally.mismatch.take();
    let mismatch = mismatch.map(|mismatch| describe(case, model, &mismatch));
    Ok(done(number, &tally, mismatch))
}

fn done(number: u64, tally: &Tally, mismatch: Option<String>) -> CaseDone {
    CaseDone {
        case: number,
        bound: tally.bound,
        compared: tally.compared,
        dropped: tally.dropped,
        undecided: tally.undecided,
        rules: tally.rules,
        hit: tally.hit,
        mismatch,
        again: tally.again,
    }
}

fn one(pair: &mut Pair, request: &Request, number: u64) -> Result<CaseDone, LabError> {
    let model = Model {
        backend: request.backend,
        mutation: request.mutation,
        leaves_out_unequal_lists: pair.libvirt.leaves_out_unequal_lists(),
    };
    let mut random = Random::of(request.seed, number);
    let case = case(&mut random);
    let frames = frames(&case, model, &mut random, request.frames);
    let mut tally = compare(pair, &case, model, &frames)?;
    let mismatch = tally
        .mismatch
        .take()
        .map(|mismatch| shrink(pair, case, mismatch, model, request.shrink))
        .transpose()?
        .map(|(case, mismatch)| describe(&case, model, &mismatch));
    Ok(done(number, &tally, mismatch))
}

/// Half of them from the boundaries of the filter's rules, half around the values in them;
/// each only once. None for what cannot be bound.
fn frames(case: &Case, model: Model, random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let model = Model {
        mutation: None,
        ..model
    };
    let Ok(compiled) = compile(case, model) else {
        return Vec::new();
    };
    let seeds = Seeds::of(case);
    let mut out: BTreeSet<Vec<u8>> = boundary_frames(&compiled, random, count / 2)
        .into_iter()
        .collect();
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
        out.insert(frame(random, &seeds));
    }
    out.into_iter().collect()
}
