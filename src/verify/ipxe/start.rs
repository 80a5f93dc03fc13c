//! How an iPXE guest comes to the end of its first round: from a saved state or booted.

use super::rounds::{Rounds, Stuck};
use super::script;
use super::snapshot::{self, Kept};
use crate::guest::{
    DomainSpec, FilterRef, GuestError, Interface, Kind, Machine, begin_silent, domain_xml,
};
use crate::lab::{LabError, STATE, Tftp};
use crate::layout::Lan;
use crate::report::model::Step;
use crate::verify::job::InjectedFault;
use crate::verify::running::CellRun;
use crate::verify::watch::{Marks, Watch};
use crate::verify::{VerifyError, bind, first_frame};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A guest at the end of its first round.
pub struct Started<'a> {
    /// Its number in the lab.
    pub number: u8,
    /// The domain.
    pub machine: Machine,
    /// Its rounds.
    pub rounds: Rounds<'a>,
}

impl<'a> CellRun<'a> {
    /// Starts the guest, from its saved state where it is to and that works, and else with
    /// the number that the cell was given, and sees it through its first round.
    pub(super) async fn start_ipxe<'b>(
        &mut self,
        number: u8,
        (run, restore): (u32, bool),
        peer: &'b Tftp,
    ) -> Result<Started<'b>, VerifyError>
    where
        'a: 'b,
    {
        let began = Watch::marks(self.context.lab);
        let restored = if restore {
            self.restore_ipxe(run).await?
        } else {
            None
        };
        if let Some((number, machine, kept)) = restored {
            self.in_force_early(&machine)?;
            self.enter(Step::Round);
            match self.first_round(&machine, run, peer, began).await {
                // Whether it is the state's fault or the driver's, one that boots tells.
                Err(Stuck::Dead(error)) => {
                    kept.condemn();
                    snapshot::given_up(self.context, &error);
                }
                ended => return self.ended(number, machine, ended),
            }
        }
        let machine = self.boot_ipxe(number, run).await?;
        self.in_force_early(&machine)?;
        let ended = self.first_round(&machine, run, peer, began).await;
        self.ended(number, machine, ended)
    }

    fn in_force_early(&self, machine: &Machine) -> Result<(), VerifyError> {
        if self.plan.attach.before_first_frame() {
            first_frame::in_force(self.context, machine)?;
        }
        Ok(())
    }

    async fn first_round<'b>(
        &self,
        machine: &Machine,
        run: u32,
        peer: &'b Tftp,
        began: Marks,
    ) -> Result<Rounds<'b>, Stuck>
    where
        'a: 'b,
    {
        let lab = self.context.lab;
        match Rounds::first(lab, machine, run, peer, began).await {
            // A filter may keep it from ever asking for a file; without it, it goes on.
            Err(Stuck::Sends(_)) if self.plan.attach.before_first_frame() => {
                Ok(Rounds::unended(lab, run, peer, began))
            }
            ended => ended,
        }
    }

    fn ended<'b>(
        &mut self,
        number: u8,
        machine: Machine,
        ended: Result<Rounds<'b>, Stuck>,
    ) -> Result<Started<'b>, VerifyError> {
        match ended {
            Ok(rounds) => Ok(Started {
                number,
                machine,
                rounds,
            }),
            Err(stuck) => {
                self.keep_early(&machine.tap);
                Err(stuck.into())
            }
        }
    }

    /// Goes on from the saved guest, which has a number of its own; none where there is
    /// to be none or where that does not work, which is said.
    async fn restore_ipxe(&mut self, run: u32) -> Result<Option<(u8, Machine, Kept)>, VerifyError> {
        let context = self.context;
        let lan = &context.lab.lan;
        let number = snapshot::number(lan, &self.plan.nic);
        let name = self.plan.name.replace('/', "-");
        let (path, text) = write_script(&name, lan, lan.lease(number), None)?;
        let spec = self.ipxe_spec(&name, &path)?;
        let bare = self.ipxe_interface(number);
        self.know((name.clone(), domain_xml(&spec, Some(&bare))));
        let found = Kept::find(context, &spec, &bare, &text, |step| self.enter(step)).await;
        let kept = match found {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(None),
            Err(error) => {
                snapshot::given_up(context, &error);
                return Ok(None);
            }
        };
        self.enter(Step::Restore);
        let interface = Interface {
            filter: self.first_filter(number),
            ..bare
        };
        match kept.restore(context, &spec, &interface, run).await {
            Ok(machine) => Ok(Some((number, machine, kept))),
            Err(error @ VerifyError::Guest(GuestError::Filter(_))) => Err(error),
            Err(error) => {
                kept.condemn();
                snapshot::given_up(context, &error);
                Ok(None)
            }
        }
    }

    /// Boots the guest with its script.
    async fn boot_ipxe(&mut self, number: u8, run: u32) -> Result<Machine, VerifyError> {
        self.enter(Step::Boot);
        let lan = &self.context.lab.lan;
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let (path, _) = write_script(&name, lan, lan.lease(number), Some(run))?;
        let spec = self.ipxe_spec(&name, &path)?;
        let interface = Interface {
            filter: self.first_filter(number),
            ..self.ipxe_interface(number)
        };
        self.know((name.clone(), domain_xml(&spec, Some(&interface))));
        Ok(begin_silent(self.context.lab, &spec, &interface).await?)
    }

    fn ipxe_spec<'b>(&self, name: &'b str, script: &'b Path) -> Result<DomainSpec<'b>, VerifyError>
    where
        Self: 'b,
    {
        Ok(DomainSpec {
            kind: Kind::Ipxe(script),
            name,
            nic: &self.plan.nic,
            accel: self.context.accel,
            image: self.context.image()?,
            nonce: snapshot::SAVED,
            shortcuts: self.context.job.shortcuts,
        })
    }

    /// The NIC of the guest with this number, without a filter.
    fn ipxe_interface(&self, number: u8) -> Interface {
        Interface {
            model: self.plan.nic.clone(),
            mac: self.layout(number).guest.mac,
            tap: format!("tap{number}"),
            link: self.context.job.inject != Some(InjectedFault::NoLink),
            filter: None,
        }
    }

    /// The filter that the guest begins with, where the cell's order has one.
    fn first_filter(&self, number: u8) -> Option<FilterRef> {
        let address = self.context.lab.lan.lease(number);
        let start = self.plan.attach.before_first_frame();
        start.then(|| bind::reference(self.context.job, address))?
    }
}

/// Writes a guest's script; where, and what it says.
fn write_script(
    name: &str,
    lan: &Lan,
    address: Ipv4Addr,
    run: Option<u32>,
) -> Result<(PathBuf, String), LabError> {
    let path = PathBuf::from(format!("{STATE}/{name}.ipxe"));
    let text = script::script(lan, address, run);
    match std::fs::write(&path, &text) {
        Ok(()) => Ok((path, text)),
        Err(source) => Err(LabError::File { path, source }),
    }
}
