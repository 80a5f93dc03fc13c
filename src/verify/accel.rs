//! Whether guests run under KVM: only where one has been seen to boot.

use super::job::{CellPlan, Job};
use super::kind::GuestKind;
use super::pool::{Workers, run_cells};
use crate::report::model::{CellError, ErrorKind, Step};
use std::path::Path;

/// The accelerator that will be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// KVM rather than TCG.
    pub kvm: bool,
    /// Why.
    pub reason: String,
    /// Worth telling the user at once: it was not what the machine seems to offer.
    pub fell_back: bool,
}

/// Believes KVM only after our own guest reached READY under it. The answer is
/// kept by boot id: an existing /dev/kvm, an open() and an ioctl prove nothing (measured:
/// docs/measurements.md#M27).
pub fn decide_accel(job: &Job, cache: &Path) -> Decided {
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return Decided {
            kvm: false,
            reason: format!("/dev/kvm: {error}"),
            fell_back: false,
        };
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let path = cache.join(format!("kvm-{}", boot.trim()));
    let (works, reason) = if let Ok(text) = std::fs::read_to_string(&path) {
        let (works, reason) = text.split_once(' ').unwrap_or(("no", &text));
        (
            works == "yes",
            format!("{} (tried earlier in this boot of the host)", reason.trim()),
        )
    } else {
        let Tried { answer, reason } = try_kvm(job);
        if let Some(works) = answer {
            // An unwritable cache only means that the next run tries again.
            let _ = std::fs::write(
                &path,
                format!("{} {reason}\n", if works { "yes" } else { "no" }),
            );
        }
        (answer.unwrap_or(false), reason)
    };
    Decided {
        kvm: works,
        reason,
        fell_back: !works,
    }
}

/// What came of trying KVM.
struct Tried {
    /// Whether a guest boots under it; none when it did not come to that.
    answer: Option<bool>,
    /// Why.
    reason: String,
}

/// Boots the guest once under KVM.
fn try_kvm(job: &Job) -> Tried {
    let linux = |cell: &&CellPlan| cell.guest == GuestKind::Linux;
    let cell = job.cells.iter().find(linux).cloned();
    let cells = vec![cell.unwrap_or_else(|| CellPlan::linux("virtio"))];
    let trial = Job {
        kvm: true,
        boot_only: true,
        retries: 0,
        cells,
        inject: None,
        out: None,
        ..job.clone()
    };
    let gathered = run_cells(&trial, Workers::of(1), &mut |_| {});
    match gathered.map(|gathered| gathered.cells.into_iter().next().map(|cell| cell.error)) {
        Ok(Some(error)) => Tried::of(error.as_ref()),
        Ok(None) => Tried {
            answer: None,
            reason: "nothing to boot".into(),
        },
        Err(error) => Tried {
            answer: None,
            reason: format!("the trial under KVM could not be started: {error}"),
        },
    }
}

impl Tried {
    /// What a cell that only boots says of KVM. A lab that did not come up or a worker
    /// that was killed says nothing of it, and must not cost the next run its KVM.
    fn of(error: Option<&CellError>) -> Self {
        let Some(error) = error else {
            return Self {
                answer: Some(true),
                reason: "the guest reached READY under KVM".into(),
            };
        };
        let first = error.message.lines().next().unwrap_or_default();
        let booted = error.step == Step::Boot && error.kind == ErrorKind::Cell;
        Self {
            answer: booted.then_some(false),
            reason: format!("no guest reached READY under KVM: {first}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_guest_hangs(Step::Boot, ErrorKind::Cell, Some(false))]
    #[case::the_lab_does_not_come_up(Step::Namespaces, ErrorKind::Host, None)]
    #[case::qemu_is_missing(Step::Boot, ErrorKind::Host, None)]
    #[case::the_worker_is_killed(Step::Worker, ErrorKind::Cell, None)]
    fn kvm_is_given_up_only_for_a_guest_that_does_not_boot(
        #[case] step: Step,
        #[case] kind: ErrorKind,
        #[case] answer: Option<bool>,
    ) {
        let error = CellError {
            step,
            message: "it said so\nand more".into(),
            kind,
        };
        let tried = Tried::of(Some(&error));
        assert_eq!(tried.answer, answer);
        assert!(tried.reason.ends_with(": it said so"), "{}", tried.reason);
        assert_eq!(Tried::of(None).answer, Some(true));
    }
}
