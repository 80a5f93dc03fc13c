//! Waits until the kernel has the rules of an interface.

use super::step::Target;
use crate::host::audit::{Definition, Reason, Scope, audit};
use crate::host::error::HostError;
use crate::host::inventory::Inventory;
use crate::host::libvirt::Libvirt;
use crate::host::reference::{References, Wanted};
use crate::policy::Policy;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for rules after libvirt has said that they are there. It is none where all is
/// well; an emulated host takes seconds for a look.
const LONGEST: Duration = Duration::from_secs(60);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(50);

/// Knows when rules are in force.
pub struct Prover {
    policy: Policy,
    references: References,
    /// What is asked for while libvirt works.
    asked: Option<JoinHandle<References>>,
}

impl Prover {
    /// For a policy, with what is known of this libvirt's rules.
    pub fn new(policy: Policy, references: References) -> Self {
        Self {
            policy,
            references,
            asked: None,
        }
    }

    /// Asks for rules ahead of time: the lab is made while libvirt works.
    pub fn ask_ahead(&mut self, wanted: Vec<Wanted>) {
        self.settle();
        let mut references = self.references.clone();
        self.asked = Some(std::thread::spawn(move || {
            references.ask(&wanted);
            references
        }));
    }

    /// Waits for what was asked for ahead of time.
    fn settle(&mut self) {
        let known = self.asked.take().and_then(|asked| asked.join().ok());
        if let Some(known) = known {
            self.references = known;
        }
    }

    /// What is known of this libvirt's rules.
    pub fn references(&mut self) -> &mut References {
        self.settle();
        &mut self.references
    }

    /// Waits until the interface's rules are in the kernel.
    ///
    /// # Errors
    /// The first thing that is still wrong when the time is over.
    pub fn until_in_force(&mut self, libvirt: &Libvirt, target: &Target) -> Result<(), HostError> {
        self.until_nothing(is_about_rules, libvirt, target)
    }

    /// Waits until the interface's rules are in the kernel, and asks of them too that they keep to
    /// the policy as far as is known: what was closed is opened by nothing less.
    ///
    /// # Errors
    /// The first thing that is still wrong when the time is over.
    pub fn until_fenced(&mut self, libvirt: &Libvirt, target: &Target) -> Result<(), HostError> {
        let counts = |it: &Reason| is_about_rules(it) || is_about_filter(it);
        self.until_nothing(counts, libvirt, target)
    }

    /// Waits until no reason counts any more.
    fn until_nothing(
        &mut self,
        counts: fn(&Reason) -> bool,
        libvirt: &Libvirt,
        target: &Target,
    ) -> Result<(), HostError> {
        self.settle();
        let end = Instant::now() + LONGEST;
        loop {
            let wrong = self.wrong(counts, libvirt, target)?;
            let Some(wrong) = wrong else {
                return Ok(());
            };
            // What nobody is about to mend is not waited for.
            if Instant::now() > end || !may_pass(&wrong) {
                return Err(HostError::refused(
                    format!("{target} is not fenced: {wrong}"),
                    wrong.cure(&target.guest),
                ));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The first reason that counts.
    fn wrong(
        &mut self,
        counts: fn(&Reason) -> bool,
        libvirt: &Libvirt,
        target: &Target,
    ) -> Result<Option<Reason>, HostError> {
        let inventory = Inventory::of_guest(libvirt, &target.uuid)?;
        let scope = Scope {
            interface: Some(crate::frame::mac_text(target.mac)),
            ..Scope::default()
        };
        let found = audit(&inventory, &self.policy, &scope, &mut self.references);
        let mut reasons = found.interfaces.into_iter().flat_map(|one| one.reasons);
        Ok(reasons.find(counts))
    }
}

/// Whether it says that the kernel does not do what the running guest's filter asks for.
fn is_about_rules(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Rules(_)
            | Reason::NoBinding
            | Reason::OtherBinding(_)
            | Reason::RulesUnseen(_)
            | Reason::NoReference(_)
            | Reason::Rebuilding
            | Reason::NoDevice(_)
            | Reason::NoBridge(_)
            | Reason::NoBridgeNetfilter(_)
            | Reason::Bypass(_)
    )
}

/// Whether it says that the running guest's filter is not one that keeps to the policy, or that this
/// is not known.
fn is_about_filter(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NoFilter(Definition::Live)
            | Reason::SeveralFilters(Definition::Live)
            | Reason::MissingFilter(Definition::Live, _)
            | Reason::FilterDiffers { .. }
            | Reason::Leaks {
                definition: Definition::Live,
                ..
            }
            | Reason::UnknownFilter {
                definition: Definition::Live,
                ..
            }
    )
}

/// Whether libvirt may yet come to an end with it.
fn may_pass(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Rules(_) | Reason::Rebuilding | Reason::NoBinding | Reason::NoBridge(_)
    )
}
