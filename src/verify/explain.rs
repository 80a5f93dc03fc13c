//! What the report says of the probes themselves: their frames, and which rule is about them.

use super::catalogue;
use super::job::Job;
use crate::check::probes::{frame as first_frame, judge_one};
use crate::frame::to_hex;
use crate::guest::GuestKind;
use crate::layout::{Lan, Layout};
use crate::nwfilter::evaluate::{Compiled, Decision, Evaluation, TraceStep};
use crate::nwfilter::learning::given_address;
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{self, Filter, FilterTree, trace};
use crate::policy::Policy;
use crate::probe::{Pass, Probe, Shows, firmware_catalogue};
use crate::report::model::{Decided, ProbeFacts};
use crate::verdict::Outcome;

/// Every probe of the job's cells as the first guest sends it. Empty where the policy has no
/// room for one: then no cell has a probe either.
pub fn probe_facts(job: &Job) -> Vec<ProbeFacts> {
    let Some((policy, layout)) = first_guest(job) else {
        return Vec::new();
    };
    let filter = filter(job, &layout);
    let mut all: Vec<ProbeFacts> = Vec::new();
    for probe in probes(job, &policy, &layout) {
        if all.iter().all(|known| known.id != probe.id) {
            all.push(facts(&probe, &layout, filter.as_ref()));
        }
    }
    all
}

fn first_guest(job: &Job) -> Option<(Policy, Layout)> {
    let policy = Policy::parse(&job.policy, &job.policy_origin).ok()?;
    let lan = Lan::for_lab(&policy, job.address).ok()?;
    let layout = lan.with_guest_mac(job.mac).layout(1, None);
    Some((policy, layout))
}

/// The probes of all cells, each kind of guest after the other.
fn probes(job: &Job, policy: &Policy, layout: &Layout) -> Vec<Probe> {
    let has = |kind: &GuestKind| job.cells.iter().any(|cell| cell.guest == *kind);
    let mut all = Vec::new();
    if has(&GuestKind::Linux) || has(&GuestKind::Tap) {
        all.extend(catalogue::probes(job, policy, layout, (0, Pass::Filtered)));
    }
    let firmware = GuestKind::FIRMWARE.iter().filter(|kind| has(kind));
    let shows = firmware.map(GuestKind::shows).reduce(Shows::or);
    if let Some(shows) = shows {
        all.extend(firmware_catalogue(policy, layout, shows, str::to_owned));
    }
    all
}

/// The filter, in words and as the evaluator has it for the guest.
fn filter(job: &Job, layout: &Layout) -> Option<(FilterTree, Compiled)> {
    let top = job.bind.clone()?;
    let read = |text: &super::filter::FilterText| nwfilter::read(&text.xml, &text.name).ok();
    let filters: Vec<Filter> = job.filters.iter().filter_map(read).collect();
    let mut parameters = job.parameters.clone();
    if job.learning.is_some() && given_address(&parameters).is_none() {
        parameters.push((variables::IP.to_owned(), layout.guest.v4.to_string()));
    }
    let mac = layout.guest.mac;
    let compiled = Compiled::with_backend(&filters, &top, mac, &parameters, job.backend).ok()?;
    Some((FilterTree::unread(filters, top), compiled))
}

fn facts(probe: &Probe, layout: &Layout, filter: Option<&(FilterTree, Compiled)>) -> ProbeFacts {
    let judged = filter.and_then(|(tree, compiled)| {
        let judged = judge_one(probe, layout, compiled)?;
        Some((
            decided(tree, judged.outcome, &judged.evaluation),
            judged.frame,
        ))
    });
    let (decided, frame) = judged.unzip();
    let frame = frame.or_else(|| first_frame(probe, layout));
    ProbeFacts {
        id: probe.id.clone(),
        origin: probe.origin,
        received_at: probe.received_at,
        frame: frame.map(|frame| to_hex(&frame)),
        decided,
    }
}

fn decided(tree: &FilterTree, outcome: Outcome, evaluation: &Evaluation) -> Decided {
    // What comes last decided; a rule before it only handed the frame on.
    let rule = evaluation.trace.last().and_then(TraceStep::origin);
    let mut trace = trace(tree, evaluation);
    if let Decision::Undecided(why) = &evaluation.decision {
        trace.push(format!("is not decided: {why}"));
        return Decided {
            outcome,
            filter: None,
            rule: None,
            trace,
        };
    }
    Decided {
        outcome,
        filter: rule.map(|rule| rule.filter.clone()),
        rule: rule.map(|rule| rule.rule),
        trace,
    }
}
