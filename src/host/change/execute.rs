//! Carries a plan out, and takes everything back when a step fails.
//!
//! A running guest whose filter is exchanged, or whose rules are made anew, is open while
//! libvirt works. So the gate closes its device first and opens it when the kernel's rules are
//! proven to be there. Whatever happens in between, the device stays closed: even if this
//! process is killed.

use super::plan::Plan;
use super::proof::Prover;
use super::record::{Record, file as record_file};
use super::step::{Change, Step, Target};
use crate::domain::{Interface, interface_with, set_filterref};
use crate::frame::mac_text;
use crate::host::error::HostError;
use crate::host::inventory::Defined;
use crate::host::libvirt::Libvirt;
use crate::host::{gate, links, tools};
use crate::nwfilter::FilterRef;
use std::collections::BTreeSet;
use virt::domain::Domain;
use virt_sys as sys;

/// Who is told what is being done.
pub type Tell<'a> = &'a mut dyn FnMut(&str);

/// Carries plans out.
pub struct Executor<'a> {
    /// The connection, which may change.
    pub libvirt: &'a Libvirt,
    /// Knows when rules are in force.
    pub prover: &'a mut Prover,
    /// What is found and put in its place, as it is on disk.
    pub record: &'a mut Record,
    /// Who is told.
    pub tell: Tell<'a>,
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{failed}: {source}{}", told(.after))]
pub struct ExecuteError {
    /// The step that failed, in words.
    pub failed: String,
    /// Why.
    #[source]
    pub source: Box<HostError>,
    /// What became of the other steps and their devices, in sentences.
    pub after: Vec<String>,
}

/// What became of the steps before the one that failed.
fn told(after: &[String]) -> String {
    if after.is_empty() {
        return "\n  nothing had been changed before that".to_owned();
    }
    let lines = after.iter().map(|line| format!("\n  {line}"));
    lines.collect()
}

impl Executor<'_> {
    /// Does all steps, or none. What will be replaced is on disk before anything is changed:
    /// who is killed halfway leaves a record that `remove` can go by.
    ///
    /// # Errors
    /// The step that failed, with what became of those before it.
    pub fn run(&mut self, plan: &Plan) -> Result<(), ExecuteError> {
        let before = self.record.clone();
        for step in &plan.steps {
            self.record.note(step);
        }
        let changed = *self.record != before;
        if changed && let Err(source) = self.record.write(&record_file()) {
            *self.record = before;
            return Err(ExecuteError {
                failed: "keep in mind what is replaced".into(),
                source: Box::new(source),
                after: Vec::new(),
            });
        }
        let mut done = self.steps(plan);
        if let Err(error) = &mut done {
            let closed = still_closed(plan).into_iter().map(|device| {
                format!(
                    "closed: {device}, until its rules are proven; `lanfence repair` tries it again"
                )
            });
            error.after.extend(closed);
        }
        if done.is_err() && changed {
            *self.record = before;
            // What it says too much is taken for nothing by `remove`.
            let _ = self.record.write(&record_file());
        }
        done
    }

    fn steps(&mut self, plan: &Plan) -> Result<(), ExecuteError> {
        let mut done: Vec<&Step> = Vec::new();
        for step in &plan.steps {
            (self.tell)(&step.to_string());
            if let Err(source) = self.step(step) {
                return Err(self.take_back(step, source, &done));
            }
            done.push(step);
        }
        for target in &plan.proven {
            if let Err(source) = self.prover.until_in_force(self.libvirt, target) {
                let failed = format!("{target}: its rules are not in the kernel");
                let mut error = self.taken_back(&done);
                (error.failed, error.source) = (failed, Box::new(source));
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_back(&mut self, step: &Step, source: HostError, done: &[&Step]) -> ExecuteError {
        let mut error = self.taken_back(done);
        (error.failed, error.source) = (step.to_string(), Box::new(source));
        error
    }

    /// Takes steps back, the last first.
    fn taken_back(&mut self, done: &[&Step]) -> ExecuteError {
        let mut error = ExecuteError {
            failed: String::new(),
            source: Box::new(HostError::refused("", "")),
            after: Vec::new(),
        };
        for step in done.iter().rev() {
            let Some(back) = reversed(step) else {
                error.after.push(format!("stays: {step}"));
                continue;
            };
            match self.step(&back) {
                Ok(()) => error.after.push(format!("taken back: {step}")),
                Err(why) => error.after.push(format!("NOT taken back: {step} ({why})")),
            }
        }
        error
    }

    /// Does one step.
    fn step(&mut self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::Define { name, xml, .. } => self.libvirt.define_filter(name, xml),
            Step::Undefine { name, .. } => self.libvirt.undefine_filter(name),
            Step::Config(change) => self.update(change, sys::VIR_DOMAIN_AFFECT_CONFIG),
            Step::Live(change) => self.live(change),
            Step::Saved(change) => self.saved(change),
            Step::Rebind(target) => self.rebind(target),
            Step::Unbypass(_, bypass) => tools::run(&bypass.cure),
            Step::Rename { target, from, to } => {
                let was_closed = close(&[from, to])?;
                tools::run(&format!("ip link set {from} name {to}"))?;
                self.proven(target, was_closed)?;
                Ok(gate::open(&[from, to])?)
            }
            Step::Enslave {
                target,
                device,
                bridge,
            } => {
                let was_closed = close(&[device])?;
                tools::run(&format!("ip link set {device} master {bridge}"))?;
                self.open(target, was_closed)
            }
            Step::Open(target) => self.open(target, true),
            Step::Free(device) => Ok(gate::open(&[device])?),
        }
    }

    /// Changes the running guest. Where it has a filter that is exchanged for another, it is
    /// closed meanwhile.
    fn live(&mut self, change: &Change) -> Result<(), HostError> {
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE;
        let target = &change.target;
        let device = target.device.as_deref();
        let exchanged = device.filter(|_| change.from.is_some() && change.to.is_some());
        let Some(device) = exchanged else {
            return self.update(change, flags);
        };
        let was_closed = close(&[device])?;
        match self
            .update(change, flags)
            .and_then(|()| self.proven(target, false))
        {
            Ok(()) => Ok(gate::open(&[device])?),
            Err(error) => {
                // Back to what it had; until that is proven the device stays closed.
                let back = self.update(&change.reversed(), flags);
                if back.is_ok() && self.proven(target, was_closed).is_ok() {
                    gate::open(&[device])?;
                }
                Err(error)
            }
        }
    }

    /// Replaces the interface in one of the guest's definitions, and reads back whether the
    /// reference is there: libvirt drops it from kinds that it does not filter, without a word.
    fn update(&mut self, change: &Change, flags: u32) -> Result<(), HostError> {
        let target = &change.target;
        let domain = self.libvirt.guest(&target.uuid)?;
        let defined = definition(&domain, target, flags)?;
        let interface = the_interface(&defined, target, change.from.as_ref())?;
        let element = interface_with(&defined.xml, interface, change.to.as_ref());
        domain
            .update_device_flags(&element, flags)
            .map_err(|error| {
                HostError::libvirt(format!("update the interface of {target}"), &error)
            })?;
        let now = definition(&domain, target, flags)?;
        the_interface(&now, target, change.to.as_ref()).map(drop)
    }

    /// Changes the image that a guest goes on from.
    fn saved(&mut self, change: &Change) -> Result<(), HostError> {
        let target = &change.target;
        let domain = self.libvirt.guest(&target.uuid)?;
        let doing = || format!("change the saved image of {}", target.guest);
        let xml = crate::host::libvirt::saved_xml(&domain)
            .map_err(|error| HostError::libvirt(doing(), &error))?;
        let xml = xml.ok_or_else(|| changed(target, "is no longer saved"))?;
        let defined = Defined::read(&target.guest, xml)?;
        let interface = the_interface(&defined, target, change.from.as_ref())?;
        let text = set_filterref(&defined.xml, interface, change.to.as_ref());
        crate::host::libvirt::define_saved_xml(&domain, &text)
            .map_err(|error| HostError::libvirt(doing(), &error))
    }

    /// Has libvirt make the rules anew. That the binding is there already, or not, is all the
    /// same: what is there proves nothing.
    fn rebind(&mut self, target: &Target) -> Result<(), HostError> {
        let device = device(target)?;
        let was_closed = close(&[device])?;
        let domain = self.libvirt.guest(&target.uuid)?;
        let defined = definition(&domain, target, sys::VIR_DOMAIN_AFFECT_LIVE)?;
        let interface = defined.domain.interfaces.iter();
        let mut interface = interface.filter(|one| one.mac == Some(target.mac));
        let reference = interface.next().and_then(Interface::filterref);
        let reference = reference.ok_or_else(|| changed(target, "has no filter any more"))?;
        self.libvirt.delete_binding(device)?;
        self.libvirt
            .create_binding(device, &binding(target, device, reference))?;
        self.open(target, was_closed)
    }

    /// Opens a device once its rules are proven.
    fn open(&mut self, target: &Target, was_closed: bool) -> Result<(), HostError> {
        self.proven(target, was_closed)?;
        Ok(gate::open(&[device(target)?])?)
    }

    /// Proves the rules of a device that is closed for this step, and of one that was closed before
    /// that its filter is good, too.
    fn proven(&mut self, target: &Target, was_closed: bool) -> Result<(), HostError> {
        if was_closed {
            self.prover.until_fenced(self.libvirt, target)
        } else {
            self.prover.until_in_force(self.libvirt, target)
        }
    }
}

/// The devices of a plan's guests that are closed.
fn still_closed(plan: &Plan) -> Vec<String> {
    let closed = gate::closed().unwrap_or_default();
    let targets = plan.steps.iter().filter_map(Step::target);
    let devices = targets
        .chain(&plan.proven)
        .filter_map(|target| target.device.clone());
    let devices: BTreeSet<String> = devices.filter(|it| closed.contains(it)).collect();
    devices.into_iter().collect()
}

/// Closes devices for a step, and tells whether one of them was closed before.
fn close(devices: &[&str]) -> Result<bool, HostError> {
    let before = gate::closed()?;
    gate::close(devices)?;
    Ok(devices.iter().any(|device| before.contains(*device)))
}

/// The step that takes another back; none where nothing is worse without it.
fn reversed(step: &Step) -> Option<Step> {
    match step {
        Step::Define { name, xml, before } => Some(match before {
            Some(before) => Step::Define {
                name: name.clone(),
                xml: before.clone(),
                before: Some(xml.clone()),
            },
            None => Step::Undefine {
                name: name.clone(),
                before: xml.clone(),
            },
        }),
        Step::Undefine { name, before } => Some(Step::Define {
            name: name.clone(),
            xml: before.clone(),
            before: None,
        }),
        Step::Config(change) => Some(Step::Config(change.reversed())),
        Step::Live(change) => Some(Step::Live(change.reversed())),
        Step::Saved(change) => Some(Step::Saved(change.reversed())),
        Step::Rebind(_)
        | Step::Unbypass(..)
        | Step::Rename { .. }
        | Step::Enslave { .. }
        | Step::Free(_)
        | Step::Open(_) => None,
    }
}

/// The definition that the flags mean.
fn definition(domain: &Domain, target: &Target, flags: u32) -> Result<Defined, HostError> {
    let live = flags == sys::VIR_DOMAIN_AFFECT_LIVE;
    let of = if live {
        0
    } else {
        sys::VIR_DOMAIN_XML_INACTIVE
    };
    if live && !domain.is_active().unwrap_or(false) {
        return Err(changed(target, "does not run any more"));
    }
    let xml = domain.xml_desc(of).map_err(|error| {
        HostError::libvirt(format!("read the definition of {}", target.guest), &error)
    })?;
    Defined::read(&target.guest, xml)
}

/// The interface with the target's MAC that has this reference and no other.
fn the_interface<'a>(
    defined: &'a Defined,
    target: &Target,
    has: Option<&FilterRef>,
) -> Result<&'a Interface, HostError> {
    let mut own = defined
        .domain
        .interfaces
        .iter()
        .filter(|one| one.mac == Some(target.mac))
        .peekable();
    if own.peek().is_none() {
        return Err(changed(target, "is gone"));
    }
    own.find(|one| one.filterrefs.first() == has)
        .ok_or_else(|| {
            let wanted = has.map_or("no filter".to_owned(), |has| {
                format!("the filter {}", has.filter)
            });
            changed(target, &format!("does not have {wanted}"))
        })
}

fn changed(target: &Target, what: &str) -> HostError {
    HostError::refused(
        format!(
            "{target} {what}: somebody else has changed it, or libvirt did not take the change"
        ),
        "run the command again",
    )
}

fn device(target: &Target) -> Result<&str, HostError> {
    let device = target
        .device
        .as_deref()
        .filter(|device| links::exists(device));
    device.ok_or_else(|| changed(target, "has no device"))
}

/// A binding as libvirt makes it for a guest.
pub fn binding(target: &Target, device: &str, reference: &FilterRef) -> String {
    let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
    let parameters = reference.parameters.iter().map(|(name, value)| {
        format!(
            "<parameter name='{}' value='{}'/>",
            escaped(name),
            escaped(value)
        )
    });
    format!(
        "<filterbinding><owner><name>{}</name><uuid>{}</uuid></owner><portdev name='{}'/>\
         <mac address='{}'/><filterref filter='{}'>{}</filterref></filterbinding>",
        escaped(&target.guest),
        escaped(&target.uuid),
        escaped(device),
        mac_text(target.mac),
        escaped(&reference.filter),
        parameters.collect::<String>(),
    )
}
