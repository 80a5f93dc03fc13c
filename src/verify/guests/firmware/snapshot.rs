//! Guests that are restored from a snapshot: one for each NIC model, saved when it has
//! booted and before it opens the NIC. iPXE looks for NICs only when it starts, so none
//! can be plugged in later, and has read the MAC by then.

use super::fetches;
use crate::guest::{
    DomainSpec, Interface, Machine, SnapshotKey, Snapshots, Talk, domain_xml, place,
    restore_silent, save,
};
use crate::layout::Lan;
use crate::report::model::Step;
use crate::verify::VerifyError;
use crate::verify::cell::CellContext;
use crate::verify::job::CellPlan;
use crate::verify::restore_failures::RestoreFailures;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Number of the saved guest with this NIC: the same in every run, and with room in the
/// LAN another for each model. Other guests are numbered from 1 on, these from the end.
pub fn number(lan: &Lan, nic: &str) -> u8 {
    let guests = lan.guests();
    let place = place(nic) % usize::from(guests);
    guests - u8::try_from(place).unwrap_or(0)
}

/// The saved guests of one firmware, of a worker.
#[derive(Debug, Default)]
pub struct SavedGuests {
    /// Cells whose snapshot has been in use in this lab.
    used: RefCell<HashSet<String>>,
    failures: RestoreFailures,
}

impl SavedGuests {
    /// The number of the run where the guest of this cell may be restored, which it may once
    /// in a lab: it draws the same random numbers each time, and a server would take its
    /// second connection for the first.
    pub fn wanted(&self, context: &CellContext<'_>, plan: &CellPlan) -> Option<u32> {
        if context.job.snapshots.is_none() || self.failures.given_up() {
            return None;
        }
        let first = self.used.borrow_mut().insert(plan.name.clone());
        first.then(|| context.job.short_number(plan))
    }

    /// Reports why a guest boots cold instead.
    pub fn failed(&self, context: &CellContext<'_>, error: &VerifyError) {
        self.failures.count(context, error);
    }
}

/// What a snapshot is made of besides its domain.
#[derive(Debug)]
pub struct MadeOf<'a> {
    /// The files that were booted.
    pub files: Vec<&'a Path>,
    /// The guest's script.
    pub text: String,
    /// What it is told so that it comes to where it is saved.
    pub talk: Option<&'a Talk>,
}

/// The snapshot of a guest.
#[derive(Debug)]
pub struct FirmwareSnapshot {
    snapshots: Snapshots,
    file: PathBuf,
}

impl FirmwareSnapshot {
    /// Finds the snapshot that was made of exactly what is here, or makes it. The interface
    /// has no filter. None where none are to be kept.
    ///
    /// # Errors
    /// Why the guest could not be saved, or the file not written.
    pub async fn find(
        context: &CellContext<'_>,
        spec: &DomainSpec<'_>,
        bare: &Interface,
        made_of: &MadeOf<'_>,
        mut enter: impl FnMut(Step),
    ) -> Result<Option<Self>, VerifyError> {
        let Some(dir) = &context.job.snapshots else {
            return Ok(None);
        };
        let snapshots = Snapshots::open(dir, context.lab.slowness)?;
        let mut key = SnapshotKey::here(
            (spec.name.to_owned(), domain_xml(spec, Some(bare))),
            &made_of.files,
            &context.host.qemu,
            &context.host.libvirt,
        );
        key.others.push(made_of.text.clone());
        let file = if let Some(file) = snapshots.ready(&key) {
            file
        } else {
            enter(Step::Save);
            let make = async |file: &Path| {
                Ok(save(context.lab, spec, Some(bare), made_of.talk, file).await?)
            };
            snapshots.obtain::<VerifyError>(&key, make).await?
        };
        Ok(Some(Self { snapshots, file }))
    }

    /// Lets the guest go on from it, under the run's number, when this has been typed.
    ///
    /// # Errors
    /// [`GuestError::Filter`](crate::guest::GuestError::Filter), which a guest that boots
    /// cold would report too, or an error that makes the snapshot one to [discard](Self::discard).
    pub async fn restore(
        &self,
        context: &CellContext<'_>,
        spec: &DomainSpec<'_>,
        interface: &Interface,
        (run, typed): (u32, String),
    ) -> Result<Machine, VerifyError> {
        let words = (typed.as_str(), &*fetches::number(run));
        let restored = restore_silent(context.lab, spec, interface, &self.file, words);
        Ok(restored.await?)
    }

    /// Throws it away: no guest can be restored from it.
    pub fn discard(&self) {
        self.snapshots.discard(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use rstest::rstest;

    const MODELS: [&str; 5] = ["pcnet", "rtl8139", "i82551", "e1000", "virtio"];

    #[rstest]
    #[case::with_room_for_all("192.168.1.0/24", 5)]
    #[case::with_room_for_three("192.168.1.0/28", 1)]
    fn each_model_has_a_number_that_the_lab_has_an_address_for(
        #[case] lan: &str,
        #[case] least: usize,
    ) {
        let policy = format!("lan.prefixes = [{lan:?}]");
        let policy = Policy::parse(&policy, "test").expect("a policy");
        let lan = Lan::of(&policy).expect("a LAN with room");
        let numbers: HashSet<u8> = MODELS.map(|nic| number(&lan, nic)).into();
        assert!(
            numbers
                .iter()
                .all(|number| (1..=lan.guests()).contains(number))
        );
        assert!(numbers.len() >= least, "{numbers:?}");
    }
}
