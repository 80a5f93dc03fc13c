//! Linux guests that are restored from a snapshot, to be given a NIC while they run.

use crate::guest::{
    Bus, Chipset, DomainKind, DomainSpec, Identity, RestoredGuest, SnapshotKey, Snapshots,
    domain_xml, quirk, restore, save,
};
use crate::report::model::Step;
use crate::verify::VerifyError;
use crate::verify::cell::CellContext;
use crate::verify::job::CellPlan;
use crate::verify::restore_failures::RestoreFailures;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Name of the domain that is saved, and so of every one that is restored and given a
/// NIC of this model. A USB NIC wants a controller that was there at boot.
fn name(nic: &str) -> &'static str {
    match quirk(nic).bus {
        Bus::Usb => "linux-restored-usb",
        Bus::Pci | Bus::Isa | Bus::None => "linux-restored",
    }
}

/// Nonce of the boot before the save; each restored guest is given one of its own.
const SAVED: &str = "saved";

/// What a worker knows of the snapshot of a guest.
#[derive(Debug, Default)]
enum Known {
    /// Not looked for yet.
    #[default]
    Nothing,
    /// Where it is.
    At(Snapshots, PathBuf),
    /// There is none, and the user has been told why.
    None,
}

/// The saved Linux guests of a worker.
#[derive(Debug, Default)]
pub struct SavedGuests {
    /// By the domain's name.
    known: RefCell<HashMap<&'static str, Known>>,
    failures: RestoreFailures,
}

impl SavedGuests {
    /// A restored guest that has no NIC yet and can be given that of the cell; none
    /// where guests are to boot cold or where restoring does not work, which is reported once.
    pub async fn restore(
        &self,
        context: &CellContext<'_>,
        plan: &CellPlan,
        enter: impl FnMut(Step),
    ) -> Option<RestoredGuest> {
        match self.try_restore(context, plan, enter).await {
            Ok(restored) => restored,
            Err(error) => {
                self.let_go(context, name(&plan.nic), &error);
                None
            }
        }
    }

    async fn try_restore(
        &self,
        context: &CellContext<'_>,
        plan: &CellPlan,
        mut enter: impl FnMut(Step),
    ) -> Result<Option<RestoredGuest>, VerifyError> {
        let nic = plan.nic.as_str();
        let name = name(nic);
        let known = self.known.borrow_mut().remove(name).unwrap_or_default();
        let known = match known {
            Known::Nothing => find(context, nic, &mut enter).await?,
            known => known,
        };
        let file = match &known {
            Known::At(_, file) => Some(file.clone()),
            Known::Nothing | Known::None => None,
        };
        self.known.borrow_mut().insert(name, known);
        let Some(file) = file else {
            return Ok(None);
        };
        enter(Step::Restore);
        let numbers = context.numbers(plan);
        let nonce = numbers.nonce("restored guest");
        let identity = Identity {
            nonce: &nonce,
            seed: numbers.bytes("randomness of the guest"),
        };
        Ok(Some(restore(context.lab, name, &file, &identity).await?))
    }

    /// This cell boots cold. A snapshot that could not be restored is thrown away
    /// and made anew for the next one, unless that has not helped before.
    fn let_go(&self, context: &CellContext<'_>, name: &'static str, error: &VerifyError) {
        self.failures.count(context, error);
        let next = if self.failures.given_up() {
            Known::None
        } else {
            Known::Nothing
        };
        if let Some(Known::At(snapshots, file)) = self.known.borrow_mut().insert(name, next) {
            snapshots.discard(&file);
        }
    }
}

fn spec<'a>(context: &CellContext<'a>, nic: &'a str) -> Result<DomainSpec<'a>, VerifyError> {
    Ok(DomainSpec {
        kind: DomainKind::Linux(Chipset::Pc),
        name: name(nic),
        nic,
        accel: context.accel,
        image: context.image()?,
        nonce: SAVED,
        shortcuts: context.job.shortcuts,
    })
}

/// Name and XML of the domain that is saved and restored, to be given a NIC of this model.
///
/// # Errors
/// [`VerifyError::NoGuestImage`] when the job names none.
pub fn domain(context: &CellContext<'_>, nic: &str) -> Result<(String, String), VerifyError> {
    Ok((name(nic).to_owned(), domain_xml(&spec(context, nic)?, None)))
}

/// Finds the snapshot that was made of exactly what is here, or makes it.
async fn find(
    context: &CellContext<'_>,
    nic: &str,
    enter: &mut impl FnMut(Step),
) -> Result<Known, VerifyError> {
    let Some(dir) = &context.job.snapshots else {
        return Ok(Known::None);
    };
    let spec = spec(context, nic)?;
    let snapshots = Snapshots::open(dir, context.lab.slowness)?;
    let key = SnapshotKey::here(
        domain(context, nic)?,
        &[&spec.image.kernel, &spec.image.initramfs],
        &context.host.qemu,
        &context.host.libvirt,
    );
    if let Some(file) = snapshots.ready(&key) {
        return Ok(Known::At(snapshots, file));
    }
    enter(Step::Save);
    let make = async |file: &Path| Ok(save(context.lab, &spec, None, None, file).await?);
    let file = snapshots.obtain::<VerifyError>(&key, make).await?;
    Ok(Known::At(snapshots, file))
}
