//! The cell of the project's Linux guest: a fresh guest whose agent does what it is asked,
//! its NIC, and the trial of the filter with them.

mod clients;
mod endpoint;
mod snapshot;
mod ssh;
mod subject;

pub use snapshot::SavedGuests;

use crate::frame::{Mac, mac_text};
use crate::guest::{
    Accel, AgentClient, Chipset, DomainKind, DomainSpec, FilterRef, Guest, boot, domain_xml, quirk,
};
use crate::lab::Shortcut;
use crate::layout::Layout;
use crate::report::live::Event;
use crate::report::model::{self, BackEnd, Step};
use crate::verify::cell::{CellContext, CellRun};
use crate::verify::machine::{domain_name, interface};
use crate::verify::record::TrialRecord;
use crate::verify::watch::{Marks, Watch};
use crate::verify::{VerifyError, bind, trial};
use endpoint::ANSWER;
use lanfence_agent::{Answer, Op};
use std::time::Duration;
use subject::{LinuxGuest, PlayedClients};

/// Runs the whole cell.
///
/// # Errors
/// What ended the cell before its trial did, or the trial before its end.
pub async fn run(
    run: &mut CellRun<'_>,
    saved: &SavedGuests,
    number: u8,
) -> Result<(), VerifyError> {
    let (context, plan) = (run.context, run.plan);
    let layout = context.layout(plan, number);
    // The filter is there before the guest sends a frame, as in production.
    let filter = match (plan.attach.before_first_frame(), context.job.boot_only) {
        (true, false) => bind::reference(context.job),
        _ => None,
    };
    let began = Watch::marks(context.lab);
    let (mut guest, host_key) = begin(run, saved, number, filter).await?;
    if context.job.boot_only {
        return Ok(());
    }
    let exercised = exercise(run, &mut guest, host_key, &layout, began).await;
    run.describe_domain(guest.machine.xml());
    run.conclude_machine(exercised, &guest.machine.tap)
}

/// Everything that happens with a guest that is up. `began` says where the sensors
/// stood before its first frame.
async fn exercise(
    run: &mut CellRun<'_>,
    guest: &mut Guest,
    host_key: Option<String>,
    layout: &Layout,
    began: Marks,
) -> Result<TrialRecord, VerifyError> {
    let (context, attach) = (run.context, run.plan.attach);
    let host_key = match host_key {
        Some(host_key) => host_key,
        None => greet(context, &mut guest.agent).await?,
    };
    run.enter(Step::Nic);
    if attach.before_first_frame() {
        // No frame leaves the guest before its NIC is set up, so this comes first.
        bind::in_force_from_the_start(context, &guest.machine)?;
    }
    let (dev, driver) = nic(guest, &run.plan.nic).await?;
    run.set_driver(driver);
    let virtio = quirk(&run.plan.nic).has_back_ends();
    let back_end = guest.machine.back_end().filter(|_| virtio);
    run.set_back_end(back_end);
    let mut subject = LinuxGuest {
        context,
        guest,
        began,
        dev: &dev,
        layout,
        host_key: &host_key,
        attach,
        clients: PlayedClients::default(),
    };
    let frames = context.frame_number(run.plan);
    let record = trial::run(frames, attach, &mut subject, |step| {
        run.enter(step);
    });
    let record = record.await?;
    let clients = std::mem::take(&mut subject.clients);
    let stands_in = virtio && back_end != Some(BackEnd::VhostNet);
    conclude_clients(run, &clients, layout.guest.mac, stands_in)?;
    Ok(record)
}

/// Concludes what the DHCP clients showed. Where the server's answers reach the tap
/// of a virtio NIC unfinished that vhost-net does not carry, it also shows what vhost-net
/// would make of them.
fn conclude_clients(
    run: &mut CellRun<'_>,
    seen: &PlayedClients,
    mac: Mac,
    stands_in: bool,
) -> Result<(), VerifyError> {
    let Some(control) = &seen.control else {
        return Ok(());
    };
    let (mut found, results) = clients::conclude(control, seen.filtered.as_ref(), mac);
    if stands_in && found.at_tap().is_some_and(|sum| !sum.adds_up()) {
        found.vhost = clients::without_guest(&run.context.numbers(run.plan))?;
    }
    run.add_clients(found, results);
    Ok(())
}

/// A guest that nothing has happened to yet, with its NIC; greeted already where it
/// could be while the NIC was plugged in.
async fn begin(
    run: &mut CellRun<'_>,
    saved: &SavedGuests,
    number: u8,
    filter: Option<FilterRef>,
) -> Result<(Guest, Option<String>), VerifyError> {
    let (context, plan) = (run.context, run.plan);
    let interface = interface(context, plan, number, filter);
    let chipset = context.job.chipset;
    // The saved guests run on the other machine, where every NIC of PCI can be plugged in.
    let plugs = quirk(&plan.nic).hot_plug && chipset == Chipset::Pc;
    if plugs && !context.job.boot_only {
        run.know_domain(snapshot::domain(context, &plan.nic)?);
        let restored = saved.restore(context, plan, |step| run.enter(step));
        if let Some(restored) = restored.await {
            run.enter(Step::Plug);
            let greeted = restored.plug(&interface, async |agent| warmed(context, agent).await);
            let (guest, host_key) = greeted.await?;
            return Ok((guest, Some(host_key)));
        }
    }
    run.enter(Step::Boot);
    let name = domain_name(plan, number);
    let nonce = context.numbers(plan).nonce("boot");
    let spec = DomainSpec {
        kind: DomainKind::Linux(chipset),
        name: &name,
        nic: &plan.nic,
        accel: context.accel,
        image: context.image()?,
        nonce: &nonce,
        shortcuts: context.job.shortcuts,
    };
    run.know_domain((name.clone(), domain_xml(&spec, Some(&interface))));
    Ok((boot(context.lab, &spec, &interface).await?, None))
}

/// Waits for the NIC; its name and its driver in the guest.
async fn nic(guest: &mut Guest, model: &str) -> Result<(String, String), VerifyError> {
    let deadline = quirk(model).link_deadline();
    let op = Op::Nic {
        mac: mac_text(guest.machine.interface().mac),
        deadline_ms: millis(guest.agent.stretch(deadline)),
    };
    match guest.agent.ask(op, deadline + ANSWER).await? {
        Answer::Nic { dev, driver, .. } => Ok((dev, driver)),
        _ => Err(VerifyError::UnexpectedAnswer { asked: "nic" }),
    }
}

/// Asks a guest what it is and for its SSH host key: all that needs no NIC.
async fn greet(context: &CellContext<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
    if let Answer::Hello { kernel, .. } = agent.ask(Op::Hello, ANSWER).await? {
        let host = model::Host {
            guest_kernel: kernel,
            ..context.host.clone()
        };
        (context.tell)(&Event::Host(Box::new(host)));
    }
    match agent.ask(Op::Ssh, ANSWER).await? {
        Answer::Ssh { host_key } => Ok(host_key),
        _ => Err(VerifyError::UnexpectedAnswer { asked: "ssh" }),
    }
}

/// Greets a guest, and has it warm up where that takes time off its cell. A guest that warms
/// up goes through one more key exchange, and the guests of other workers wait for it unless
/// a core is free.
async fn warmed(context: &CellContext<'_>, agent: &mut AgentClient) -> Result<String, VerifyError> {
    let host_key = greet(context, agent).await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = context.job.shortcuts.has(Shortcut::WarmUp);
    if wanted && context.accel == Accel::Tcg && context.job.workers < cores {
        agent.ask(Op::WarmUp, ANSWER).await?;
    }
    Ok(host_key)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
