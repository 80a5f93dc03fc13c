//! Guests that are firmware or boot loaders: a network stack of their own that nobody here
//! wrote, a script, and nothing that could be asked. They repeat rounds of a lease and fetches
//! by themselves, and only the sensors show which of their requests arrive. One judge serves
//! all of them; what is peculiar about each is in its [`Firmware`].
//!
//! The answer to the last request of a round is held back until the filter has been bound or
//! removed, so that the whole of the next round is under the new rules. Such guests poll all the
//! time, which under emulation takes a whole CPU, so where they can be they are suspended until
//! then.

mod client;
mod fetches;
mod rounds;
mod snapshot;
mod stand_in;
mod start;
mod told;
mod unfinished;

pub use fetches::{At, END, Fetch, fetches, number};
pub use snapshot::SavedGuests;
pub use told::{Firmware, SAVED, Told};

use crate::frame::DhcpStep;
use crate::guest::{Machine, quirk};
use crate::lab::{Http, Lab, Sensor, Shortcut, Tftp};
use crate::layout::Layout;
use crate::layout::wan::WAN4;
use crate::probe::{Pass, Point, Probe, Shows, Sighting, firmware_catalogue};
use crate::report::model::{ClientRun, DhcpClients, Step};
use crate::verify::cell::{CellContext, CellRun};
use crate::verify::faults::Moment;
use crate::verify::hearing::Hearing;
use crate::verify::job::CellPlan;
use crate::verify::machine::inject;
use crate::verify::record::{PassRecord, TrialRecord};
use crate::verify::sentinels::{Bounds, Order, Pace, bound_from_outside};
use crate::verify::trial::{self, TestSubject};
use crate::verify::watch::Watch;
use crate::verify::{VerifyError, bind};
use rounds::Rounds;
use start::{Start, Started};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// Longest wait for a request that has left the guest to arrive.
const ARRIVAL: Duration = Duration::from_millis(1500);

/// Runs the whole cell: the guest's rounds with the filter and without it.
///
/// # Errors
/// What ended the cell before its trial did, or the trial before its end.
pub async fn run<F: Firmware>(
    run: &mut CellRun<'_>,
    saved: &SavedGuests,
    number: u8,
) -> Result<(), VerifyError> {
    let context = run.context;
    let lab = context.lab;
    let network = &lab.network;
    let kept = F::IS_SAVED
        .then(|| saved.wanted(context, run.plan))
        .flatten();
    let tag = kept.unwrap_or_else(|| context.frame_number(run.plan));
    let peer = Tftp::start_holding(
        &network.peer,
        lab.lan.peer.v4,
        fetches::ends(tag),
        F::ASKS_SIZE,
    )?;
    let _servers = [
        Tftp::start(&network.gateway, lab.lan.gateway.v4, F::ASKS_SIZE)?,
        Tftp::start(&network.wan, WAN4, F::ASKS_SIZE)?,
    ];
    let _web = [
        Http::start(&network.peer, lab.lan.peer.v4, lab.slowness)?,
        Http::start(&network.wan, WAN4, lab.slowness)?,
    ];
    let mut start = Start {
        run,
        saved,
        tag,
        peer: &peer,
        firmware: PhantomData::<F>,
    };
    let Started {
        number,
        machine,
        rounds,
        stand_in: _stand_in,
    } = start.through(number, kept.is_some()).await?;
    run.set_driver(F::NAME);
    let virtio = quirk(&run.plan.nic).has_back_ends();
    run.set_back_end(machine.back_end().filter(|_| virtio));
    let layout = settled(F::settle(context.layout(run.plan, number)), &rounds);
    let mut subject = FirmwareGuest {
        context,
        machine,
        layout,
        rounds,
        shows: run.plan.guest.shows(),
        goes_on: false,
    };
    let attach = run.plan.attach;
    let record = trial::run(tag, attach, &mut subject, |step| run.enter(step)).await;
    if let Ok(record) = &record {
        note_client(run, &subject, record).await;
    }
    run.describe_domain(subject.machine.xml());
    run.conclude_machine(record, &subject.machine.tap)
}

/// The layout with the address that the guest has been given.
fn settled(layout: Layout, rounds: &Rounds<'_>) -> Layout {
    match rounds.address() {
        Some(v4) => layout.with_guest_address(v4),
        None => layout,
    }
}

/// Notes what the guest's own DHCP client showed, and has it show what it makes of an unfinished
/// checksum where that is to be tried.
async fn note_client(run: &mut CellRun<'_>, subject: &FirmwareGuest<'_>, record: &TrialRecord) {
    let offer = subject.offer(run.plan, record);
    if offer.is_some() {
        run.enter(Step::Client);
    }
    let found = subject.own_client(run.plan, record, offer).await;
    if let Some(found) = found {
        run.add_clients(found, Vec::new());
    }
}

/// A guest that goes through its rounds.
struct FirmwareGuest<'a> {
    context: &'a CellContext<'a>,
    machine: Machine,
    layout: Layout,
    rounds: Rounds<'a>,
    /// What its stack can show.
    shows: Shows,
    /// Whether a round has been judged, so that the next pass needs a new one.
    goes_on: bool,
}

/// Whether the guest can be suspended while it waits at the end of a round for the filter to
/// come or go. iPXE's driver for the i8255x has room for four frames. When the last of
/// them fills just after the driver has taken the others, it hands QEMU's device a
/// buffer that it then gives back to its heap (`ifec_refill_rx_ring`), and such a guest
/// never hears a frame again: one cell in ten where the sentinels came to a suspended
/// guest, one in a hundred where they came 25 ms apart (measured: docs/measurements.md#M40). So it
/// goes on while it waits, and answers each sentinel before the next one comes.
fn can_be_suspended(nic: &str) -> bool {
    quirk(nic).driver != "e100"
}

impl FirmwareGuest<'_> {
    /// What its own DHCP client is offered once more when the trial is over. None where it would
    /// show nothing: in all but the first cell of a kind, which shows it for all, and where the
    /// NIC is deaf for a while, so that an answer that was not heard would pass for one refused.
    fn offer(&self, plan: &CellPlan, record: &TrialRecord) -> Option<Vec<u8>> {
        let hears = quirk(&plan.nic).rx_blackout_ms == 0;
        let whole = record.stopped.is_none() && self.context.job.inject.is_none();
        let wanted = plan.attach.to_running() && hears && whole;
        let cell = (&plan.guest, plan.nic.as_str());
        client::offer(cell, record, self.layout.guest.mac).filter(|_| wanted)
    }

    /// What its own DHCP client showed, with or without that offer.
    async fn own_client(
        &self,
        plan: &CellPlan,
        record: &TrialRecord,
        offer: Option<Vec<u8>>,
    ) -> Option<DhcpClients> {
        let mac = self.layout.guest.mac;
        let unfinished = match offer {
            None => None,
            Some(offer) => {
                let guest = (&self.machine, &self.rounds);
                let tried = unfinished::try_it(self.context.lab, guest, mac, &offer).await;
                Some(tried.unwrap_or_else(|error| ClientRun {
                    failure: Some(format!("it could not be tried: {error}")),
                    ..ClientRun::default()
                }))
            }
        };
        let cell = (&plan.guest, plan.nic.as_str());
        let expected = self.context.policy.dhcp.client;
        client::conclude(cell, record, mac, expected, unfinished)
    }

    /// Lets the guest run where it was suspended.
    fn resume(&self) -> Result<(), VerifyError> {
        if can_be_suspended(&self.machine.interface().model) {
            self.machine.resume()?;
        }
        Ok(())
    }
}

impl TestSubject for FirmwareGuest<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn learns(&self) -> bool {
        self.context.job.learning.is_some()
    }

    fn tap(&self) -> &Sensor {
        &self.machine.tap
    }

    fn device(&self) -> &str {
        &self.machine.interface().tap
    }

    /// Leaves the guest suspended where it can be, and where a filter is to come or go after it.
    async fn pass(&mut self, run: u32, pass: Pass) -> Result<PassRecord, VerifyError> {
        let machine = &self.machine;
        let (round, watch) = if std::mem::replace(&mut self.goes_on, true) {
            self.rounds.next(machine).await?
        } else {
            self.rounds.seen_first(machine)
        };
        if pass != Pass::LeakCheck && can_be_suspended(&machine.interface().model) {
            machine.pause()?;
        }
        let file = |name: &str| fetches::file(run, name, round);
        let (policy, shows) = (self.context.policy, self.shows);
        let mut probes = firmware_catalogue(policy, &self.layout, shows, file);
        if pass == Pass::LeakCheck {
            probes.retain(Probe::in_leak_check);
        }
        let pace = if can_be_suspended(&machine.interface().model) {
            Pace::None
        } else {
            Pace::Answered
        };
        let over = Over {
            run,
            pass,
            round,
            pace,
        };
        collect(self.context.lab, &self.layout, watch, over, probes).await
    }

    async fn bind(&mut self) -> Result<String, VerifyError> {
        let rules = bind::bind(self.context, &mut self.machine)?;
        self.resume()?;
        Ok(rules)
    }

    async fn inject(&mut self, moment: Moment) -> Result<(), VerifyError> {
        inject(self.context, &mut self.machine, moment)
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        self.machine.set_filter(None)?;
        self.resume()
    }

    async fn unbind_for_good(&mut self) -> Result<(), VerifyError> {
        if !self.context.job.shortcuts.has(Shortcut::FlushRuleset) {
            return self.unbind().await;
        }
        self.context.lab.flush_ruleset()?;
        self.resume()
    }
}

/// A round that has come to its end.
struct Over {
    run: u32,
    pass: Pass,
    round: u32,
    /// What the guest stands.
    pace: Pace,
}

/// Bounds a round that has come to its end and gathers what was seen of that round.
async fn collect(
    lab: &Lab,
    layout: &Layout,
    watch: Watch<'_>,
    over: Over,
    probes: Vec<Probe>,
) -> Result<PassRecord, VerifyError> {
    let Over {
        run,
        pass,
        round,
        pace,
    } = over;
    let mut outbound = true;
    for (name, point) in fetches::bounds(run, round) {
        let asked = Sighting::Tftp { name };
        let deadline = Instant::now() + lab.slowness.stretch(ARRIVAL);
        let arrived = watch.wait_for(point, deadline, |frame| asked.matches(frame));
        outbound = outbound && arrived.await;
    }
    let hearing = Hearing::test(lab, layout, &watch, (run, pass)).await?;
    let series = (u16::from(pass.number()), pace);
    let outside = bound_from_outside(lab, layout, &watch, run, series).await?;
    let (sightings, end) = watch.sightings();
    let order = Order::of(&sightings);
    let fault = watch.fault().or_else(|| hearing.deaf(&sightings));
    // Whoever asks for a file has an address.
    let lease = sightings.any(Point::TapFromGuest, |frame| {
        fetches::ended_round(frame, run) == Some(round)
    });
    Ok(PassRecord {
        probes,
        end,
        bounds: Bounds {
            outbound,
            ..outside
        },
        order,
        fault: fault.or_else(|| order.missing(false)),
        dhcp: vec![(DhcpStep::Bind, lease)],
        refused: HashMap::new(),
        ssh: None,
        sent_again: Vec::new(),
        learning: None,
        sightings,
    })
}
