//! How a guest comes to the end of its first round: restored from a snapshot or booted.

use super::rounds::{Rounds, Stuck};
use super::snapshot::{self, FirmwareSnapshot, MadeOf, SavedGuests};
use super::stand_in::StandIn;
use super::told::{Firmware, SAVED, Told};
use crate::guest::{
    DomainSpec, FilterRef, GuestError, Interface, Machine, begin_silent, begin_typed, domain_xml,
};
use crate::lab::Tftp;
use crate::report::model::Step;
use crate::verify::cell::CellRun;
use crate::verify::machine::{base_name, domain_name, interface};
use crate::verify::watch::{Marks, Watch};
use crate::verify::{VerifyError, bind};
use std::marker::PhantomData;

/// A guest at the end of its first round.
pub struct Started<'a> {
    /// Its number in the lab.
    pub number: u8,
    /// The domain.
    pub machine: Machine,
    /// Its rounds.
    pub rounds: Rounds<'a>,
    /// Answers for servers that do not, where it needs that.
    pub stand_in: Option<StandIn>,
}

/// The start of a guest.
pub struct Start<'r, 'a, 'b, F> {
    /// Its cell.
    pub run: &'r mut CellRun<'a>,
    /// The saved guests of the worker.
    pub saved: &'r SavedGuests,
    /// The number of the run, which is in the names of its files.
    pub tag: u32,
    /// Gives the files that end a round.
    pub peer: &'b Tftp,
    /// What runs in the guest.
    pub firmware: PhantomData<F>,
}

impl<'a: 'b, 'b, F: Firmware> Start<'_, 'a, 'b, F> {
    /// Starts the guest, from its snapshot where it is to and that works, and else with
    /// the number that the cell was given, and sees it through its first round.
    ///
    /// # Errors
    /// Why it does not start, or does not come to the end of the round.
    pub async fn through(&mut self, number: u8, restore: bool) -> Result<Started<'b>, VerifyError> {
        let began = Watch::marks(self.run.context.lab);
        let restored = if restore { self.restore().await? } else { None };
        if let Some((number, machine, snapshot)) = restored {
            self.run.enter(Step::Round);
            let (stand_in, ended) = self.first(&machine, began).await?;
            match ended {
                // Whether the snapshot or the driver is to blame, a guest that boots will show.
                Err(Stuck::Dead(error)) => {
                    snapshot.discard();
                    self.saved.failed(self.run.context, &error);
                }
                ended => return self.ended(number, (machine, stand_in), ended),
            }
        }
        let machine = self.boot(number).await?;
        let (stand_in, ended) = self.first(&machine, began).await?;
        self.ended(number, (machine, stand_in), ended)
    }

    /// Sees that the guest's filter is in force, answers for the servers that do not, and sees the guest
    /// through its first round. One that has ended by itself took its tap along, and its own
    /// words say more than that the tap lacks; but without them what lacks counts.
    async fn first(
        &self,
        machine: &Machine,
        began: Marks,
    ) -> Result<(Option<StandIn>, Result<Rounds<'b>, Stuck>), VerifyError> {
        let ready = self.in_force(machine).and_then(|()| self.stand_in(machine));
        let lacks = match ready {
            Ok(stand_in) => return Ok((stand_in, self.first_round(machine, began).await)),
            Err(lacks) if machine.tap_is_gone() => lacks,
            Err(lacks) => return Err(lacks),
        };
        match self.first_round(machine, began).await {
            Ok(_) => Err(lacks),
            stuck => Ok((None, stuck)),
        }
    }

    fn stand_in(&self, machine: &Machine) -> Result<Option<StandIn>, VerifyError> {
        let lab = self.run.context.lab;
        let stand_in =
            F::WAITS.then(|| StandIn::start(&machine.interface().tap, &machine.tap, lab.slowness));
        Ok(stand_in.transpose()?)
    }

    fn in_force(&self, machine: &Machine) -> Result<(), VerifyError> {
        if self.run.plan.attach.before_first_frame() {
            bind::in_force_from_the_start(self.run.context, machine)?;
        }
        Ok(())
    }

    async fn first_round(&self, machine: &Machine, began: Marks) -> Result<Rounds<'b>, Stuck> {
        let (lab, peer) = (self.run.context.lab, self.peer);
        let run = (F::NAME, self.tag);
        match Rounds::first(lab, machine, run, peer, began).await {
            // A filter may keep it from ever asking for a file; without it, it goes on.
            Err(Stuck::Sends(_)) if self.run.plan.attach.before_first_frame() => {
                Ok(Rounds::unended(lab, run, peer, began))
            }
            ended => ended,
        }
    }

    fn ended(
        &mut self,
        number: u8,
        (machine, stand_in): (Machine, Option<StandIn>),
        ended: Result<Rounds<'b>, Stuck>,
    ) -> Result<Started<'b>, VerifyError> {
        match ended {
            Ok(rounds) => Ok(Started {
                number,
                machine,
                rounds,
                stand_in,
            }),
            Err(stuck) => {
                self.run.keep_early(&machine.tap);
                Err(stuck.into())
            }
        }
    }

    /// Restores the guest, which has a number of its own; none where it is not to be or where
    /// that does not work, which is reported.
    async fn restore(&mut self) -> Result<Option<(u8, Machine, FirmwareSnapshot)>, VerifyError> {
        let (context, plan) = (self.run.context, self.run.plan);
        let lan = &context.lab.lan;
        let number = snapshot::number(lan, &plan.nic);
        let name = base_name(plan);
        let guest = F::settle(context.layout(plan, number)).guest;
        let told = F::tell((&name, &plan.nic), lan, &guest, None)?;
        let spec = self.spec(&name, &told)?;
        let bare = interface(context, plan, number, None);
        self.run
            .know_domain((name.clone(), domain_xml(&spec, Some(&bare))));
        let made_of = MadeOf {
            files: F::booted_from(spec.image),
            text: told.text(),
            talk: told.talk(),
        };
        let enter = |step| self.run.enter(step);
        let found = match FirmwareSnapshot::find(context, &spec, &bare, &made_of, enter).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.saved.failed(context, &error);
                return Ok(None);
            }
        };
        self.run.enter(Step::Restore);
        let interface = Interface {
            filter: self.first_filter(),
            ..bare
        };
        match found
            .restore(context, &spec, &interface, (self.tag, F::wakes(self.tag)))
            .await
        {
            Ok(machine) => Ok(Some((number, machine, found))),
            Err(error @ VerifyError::Guest(GuestError::Filter(_))) => Err(error),
            Err(error) => {
                found.discard();
                self.saved.failed(context, &error);
                Ok(None)
            }
        }
    }

    /// Boots the guest with its script.
    async fn boot(&mut self, number: u8) -> Result<Machine, VerifyError> {
        self.run.enter(Step::Boot);
        let (context, plan) = (self.run.context, self.run.plan);
        let lan = &context.lab.lan;
        let name = domain_name(plan, number);
        let guest = F::settle(context.layout(plan, number)).guest;
        let told = F::tell((&name, &plan.nic), lan, &guest, Some(self.tag))?;
        let spec = self.spec(&name, &told)?;
        let interface = interface(context, plan, number, self.first_filter());
        self.run
            .know_domain((name.clone(), domain_xml(&spec, Some(&interface))));
        Ok(match told.talk() {
            Some(talk) => begin_typed(context.lab, &spec, &interface, talk).await?,
            None => begin_silent(context.lab, &spec, &interface).await?,
        })
    }

    fn spec<'s>(&self, name: &'s str, told: &'s Told) -> Result<DomainSpec<'s>, VerifyError>
    where
        'a: 's,
    {
        let (context, plan) = (self.run.context, self.run.plan);
        Ok(DomainSpec {
            kind: told.domain(),
            name,
            nic: &plan.nic,
            accel: context.accel,
            image: context.image()?,
            nonce: SAVED,
            shortcuts: context.job.shortcuts,
        })
    }

    /// The filter that the guest begins with, where the cell wants one.
    fn first_filter(&self) -> Option<FilterRef> {
        let context = self.run.context;
        let start = self.run.plan.attach.before_first_frame();
        start.then(|| bind::reference(context.job))?
    }
}
