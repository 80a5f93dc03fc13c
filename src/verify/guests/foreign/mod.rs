//! The cell of a foreign guest: it runs without the filter, with it, without it again, and
//! once more from the start with the filter there before its first frame. It has no agent
//! that could be asked; the sensors show what it did, by kind of traffic.
//!
//! The lab's hosts ask the guest (ARP, ping), and its answer leaves it after everything that
//! is judged: what has not arrived by then was stopped.

mod expected;
mod guest;
mod ledger;
mod rows;
mod traffic;

use crate::lab::ruleset;
use crate::probe::Pass;
use crate::report::model::Step;
use crate::verify::assess::leak_check_passed;
use crate::verify::cell::CellRun;
use crate::verify::evidence::Own;
use crate::verify::faults::Moment;
use crate::verify::machine::inject;
use crate::verify::sentinels::AFTER_FIRST_FRAME;
use crate::verify::watch::{Sightings, Watch};
use crate::verify::{VerifyError, bind};
use expected::unmet;
use guest::{ForeignCell, ForeignGuest, now};
use rows::{Part, Parts, rows};
use std::net::Ipv4Addr;
use std::time::Instant;

/// What the bundle of evidence is made of.
#[derive(Default)]
struct Traces {
    sightings: Vec<Sightings>,
    /// The kernel's rules while the filter was bound.
    rules: String,
}

/// Runs the whole cell of the foreign guest with this name.
///
/// # Errors
/// What ended the cell before its last part.
pub async fn run(run: &mut CellRun<'_>, name: &str, number: u8) -> Result<(), VerifyError> {
    run.enter(Step::Image);
    let cell = ForeignCell::open(run.context, run.plan, name, number)?;
    let mut seen = Traces::default();
    let ended = life(run, &cell, &mut seen).await;
    let passes: Vec<_> = seen.sightings.iter().map(|seen| (seen, &[][..])).collect();
    let changed = cell.image.unchanged();
    if ended.is_err() || changed.is_err() {
        run.withdraw_leak_check();
    }
    run.keep(&seen.rules, &passes);
    ended?;
    changed.map_err(VerifyError::ForeignImageChanged)
}

async fn life(
    run: &mut CellRun<'_>,
    cell: &ForeignCell<'_>,
    seen: &mut Traces,
) -> Result<(), VerifyError> {
    let (context, plan) = (run.context, run.plan);
    run.enter(Step::Boot);
    let mut guest = power_on(run, cell, None).await?;
    run.enter(Step::Control);
    let (v4, control) = control(cell, &guest, seen).await?;
    run.enter(Step::Bind);
    bind::bind(context, &mut guest.machine)?;
    inject(context, &mut guest.machine, Moment::Bound)?;
    run.enter(Step::Filtered);
    let mut filtered = observed(cell, &guest, v4, Pass::Filtered, seen).await?;
    seen.rules = ruleset::evidence();
    run.enter(Step::Unbind);
    let end = now();
    guest.machine.set_filter(None)?;
    run.enter(Step::LeakCheck);
    let leak_check = observed(cell, &guest, v4, Pass::LeakCheck, seen).await;
    run.describe_domain(guest.machine.xml());
    // The same MAC and tap are used again, so this guest must have ended.
    drop(guest);
    if let Ok(leak_check) = &leak_check {
        filtered.prove_later(leak_check, end, context.lab.slowness);
    }
    let (leak_check, mut stopped) = match leak_check {
        Ok(leak_check) => (Some(leak_check), None),
        Err(error) => (None, Some(error)),
    };
    let mut first_frame = None;
    if stopped.is_none() && plan.attach.before_first_frame() {
        // An error here must not hide what the other parts have shown.
        match fresh_start(run, cell, (v4, &control), seen).await {
            Ok(part) => first_frame = part,
            Err(error) => stopped = Some(error),
        }
    }
    let parts = Parts {
        control: &control,
        filtered: &filtered,
        leak_check: leak_check.as_ref(),
        first_frame: first_frame.as_ref(),
    };
    let probes = rows(&parts, cell.source.manifest.expect, context.policy);
    let passed = leak_check.is_some().then(|| leak_check_passed(&probes));
    run.set_results(probes, passed);
    stopped.map_or(Ok(()), Err)
}

/// Switches a guest on whose disk is as the user left it.
async fn power_on(
    run: &mut CellRun<'_>,
    cell: &ForeignCell<'_>,
    filter: Option<crate::guest::FilterRef>,
) -> Result<ForeignGuest, VerifyError> {
    cell.power_on(filter, |domain, screen| {
        run.know_domain(domain);
        run.add_evidence("screen.ppm", Own::Log(screen));
    })
    .await
}

/// From power-on without the filter to all that is expected; the guest's address.
async fn control(
    cell: &ForeignCell<'_>,
    guest: &ForeignGuest,
    seen: &mut Traces,
) -> Result<(Ipv4Addr, Part), VerifyError> {
    let watch = Watch::resume(cell.context.lab, &guest.machine.tap, guest.began);
    match cell.expected(guest, &watch).await {
        Ok(v4) => {
            guest.machine.screen();
            let series = u16::from(Pass::Control.number());
            let part = part(cell, guest, (&watch, v4), (Pass::Control, series), seen);
            Ok((v4, part.await?))
        }
        Err(error) => {
            seen.sightings.push(watch.sightings().0);
            Err(error)
        }
    }
}

/// Watches a running guest for what it sends by itself.
async fn observed(
    cell: &ForeignCell<'_>,
    guest: &ForeignGuest,
    v4: Ipv4Addr,
    pass: Pass,
    seen: &mut Traces,
) -> Result<Part, VerifyError> {
    let watch = Watch::start(cell.context.lab, &guest.machine.tap);
    cell.observe(guest, &watch).await?;
    let series = u16::from(pass.number());
    part(cell, guest, (&watch, v4), (pass, series), seen).await
}

/// A fresh guest with the filter before its first frame; none where there is no filter.
async fn fresh_start(
    run: &mut CellRun<'_>,
    cell: &ForeignCell<'_>,
    (v4, control): (Ipv4Addr, &Part),
    seen: &mut Traces,
) -> Result<Option<Part>, VerifyError> {
    let context = run.context;
    let Some(filter) = bind::reference(context.job) else {
        return Ok(None);
    };
    run.enter(Step::FirstFrame);
    let mut guest = power_on(run, cell, Some(filter)).await?;
    bind::in_force_from_the_start(context, &guest.machine)?;
    let watch = Watch::resume(context.lab, &guest.machine.tap, guest.began);
    let manifest = &cell.source.manifest;
    let end = Instant::now() + cell.deadline();
    cell.until(&guest, &watch, end, |ledger| {
        unmet(manifest.expect, ledger, Some(&control.ledger)).is_none()
    })
    .await?;
    cell.observe(&guest, &watch).await?;
    let series = (Pass::FirstFrame, u16::from(Pass::FirstFrame.number()));
    let mut found = part(cell, &guest, (&watch, v4), series, seen).await?;
    if found.proof.until.is_none() || !found.from_gateway {
        // A filter that stops the answers too: they bound it when it is gone.
        let end = now();
        guest.machine.set_filter(None)?;
        let watch = Watch::start(context.lab, &guest.machine.tap);
        let series = (Pass::FirstFrame, AFTER_FIRST_FRAME);
        let later = part(cell, &guest, (&watch, v4), series, seen).await?;
        found.prove_later(&later, end, cell.context.lab.slowness);
    }
    Ok(Some(found))
}

/// Gathers a part of the guest's life and keeps what was seen for the evidence.
async fn part(
    cell: &ForeignCell<'_>,
    guest: &ForeignGuest,
    (watch, v4): (&Watch<'_>, Ipv4Addr),
    series: (Pass, u16),
    seen: &mut Traces,
) -> Result<Part, VerifyError> {
    let (part, sightings) = cell.part(guest, watch, v4, series).await?;
    seen.sightings.push(sightings);
    Ok(part)
}
