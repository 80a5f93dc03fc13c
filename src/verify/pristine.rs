//! A guest that nothing has happened to yet: restored where that works, else booted.

use super::VerifyError;
use super::running::Context;
use crate::guest::{
    DomainSpec, Kind, Life, Makings, Spare, States, domain_xml, quirk, restore, save,
};
use crate::report::live::Event;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Name of the domain that is saved, and so of every one that is restored.
const NAME: &str = "linux-restored";

/// Nonce of the boot before the save; each restored guest is given one of its own.
const SAVED: &str = "saved";

/// What a worker knows of its saved guest.
#[derive(Debug, Default)]
enum Known {
    /// Not looked for yet.
    #[default]
    Nothing,
    /// Where the state is.
    At(States, PathBuf),
    /// There is none, and it has been said why.
    None,
}

/// The saved guests of a worker.
#[derive(Debug, Default)]
pub struct Saved {
    known: RefCell<Known>,
    failures: Failures,
    /// Those of iPXE.
    pub firmware: Firmware,
}

/// What a worker knows of its saved iPXE guests.
#[derive(Debug, Default)]
pub struct Firmware {
    /// NIC models whose state has been in use in this lab.
    pub used: RefCell<HashSet<String>>,
    /// How many could not be restored.
    pub failures: Failures,
}

/// How often a guest of a kind could not be restored.
#[derive(Debug, Default)]
pub struct Failures(Cell<usize>);

impl Failures {
    /// A state may be damaged, and is made anew; what fails again is not the state's fault.
    const MOST: usize = 2;

    /// Whether it is not worth another try.
    pub fn given_up(&self) -> bool {
        self.0.get() >= Self::MOST
    }

    /// Counts one, whose cell boots cold, and says so.
    pub fn count(&self, context: &Context<'_>, error: &VerifyError) {
        self.0.set(self.0.get() + 1);
        let cells = if self.given_up() {
            "guests boot cold from here on"
        } else {
            "one guest boots cold"
        };
        (context.tell)(&Event::Note {
            cell: None,
            text: format!("{cells}, since the saved one cannot be restored: {error}"),
        });
    }
}

/// Whether the NIC can be plugged into a running guest.
pub fn hot_pluggable(nic: &str) -> bool {
    quirk(nic).hot_plug
}

impl Saved {
    /// A restored guest without a NIC; none where guests are to boot cold or
    /// where restoring does not work, which is said once.
    pub async fn guest(
        &self,
        context: &Context<'_>,
        enter: impl FnMut(&'static str),
    ) -> Option<Spare> {
        match self.try_guest(context, enter).await {
            Ok(spare) => spare,
            Err(error) => {
                self.let_go(context, &error);
                None
            }
        }
    }

    async fn try_guest(
        &self,
        context: &Context<'_>,
        mut enter: impl FnMut(&'static str),
    ) -> Result<Option<Spare>, VerifyError> {
        if matches!(*self.known.borrow(), Known::Nothing) {
            let known = find(context, &mut enter).await?;
            *self.known.borrow_mut() = known;
        }
        let file = match &*self.known.borrow() {
            Known::At(_, file) => file.clone(),
            Known::Nothing | Known::None => return Ok(None),
        };
        enter("restore");
        let nonce = format!("{:08x}", super::random());
        let life = Life {
            nonce: &nonce,
            seed: super::random_bytes(),
        };
        Ok(Some(restore(context.lab, NAME, &file, &life).await?))
    }

    /// This cell boots cold. A state that could not be restored is thrown away
    /// and made anew for the next one, unless that has not helped before.
    fn let_go(&self, context: &Context<'_>, error: &VerifyError) {
        self.failures.count(context, error);
        let next = if self.failures.given_up() {
            Known::None
        } else {
            Known::Nothing
        };
        if let Known::At(states, file) = self.known.replace(next) {
            states.discard(&file);
        }
    }
}

fn spec<'a>(context: &Context<'a>) -> Result<DomainSpec<'a>, VerifyError> {
    Ok(DomainSpec {
        kind: Kind::Linux,
        name: NAME,
        accel: context.accel,
        image: context.image()?,
        nonce: SAVED,
    })
}

/// Name and XML of the domain that is saved and restored.
pub fn domain(context: &Context<'_>) -> Result<(String, String), VerifyError> {
    Ok((NAME.to_owned(), domain_xml(&spec(context)?, None)))
}

/// Finds the state that was made of exactly what is here, or makes it.
async fn find(
    context: &Context<'_>,
    enter: &mut impl FnMut(&'static str),
) -> Result<Known, VerifyError> {
    let Some(dir) = &context.job.states else {
        return Ok(Known::None);
    };
    let spec = spec(context)?;
    let states = States::open(dir)?;
    let makings = Makings::here(
        domain(context)?,
        &[&spec.image.kernel, &spec.image.initramfs],
        &context.host.qemu,
        &context.host.libvirt,
    );
    if let Some(file) = states.ready(&makings) {
        return Ok(Known::At(states, file));
    }
    enter("save");
    let make = async |file: &Path| Ok(save(context.lab, &spec, None, file).await?);
    let file = states.obtain::<VerifyError>(&makings, make).await?;
    Ok(Known::At(states, file))
}
