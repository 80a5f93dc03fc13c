//! Whether guests run under KVM: only where one has been seen to boot.

use super::cache::{Cache, CacheError};
use super::filter::FilterUnderTest;
use super::job::{CellPlan, Job};
use super::pool::{Workers, run_cells};
use crate::guest::Accel;
use crate::guest::GuestKind;
use crate::report::model::{CellError, ErrorKind, Step};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The device of the kernel's virtual machines.
const KVM: &str = "/dev/kvm";

/// The accelerator that will be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Which it is.
    pub accel: Accel,
    /// Why.
    pub reason: String,
    /// Whether the user should know at once: it is not what the machine seems to offer.
    pub fell_back: bool,
}

/// Takes KVM only after lanfence's own guest has booted under it. The answer is
/// kept by boot id: an existing /dev/kvm, an open() and an ioctl prove nothing (measured:
/// docs/measurements.md#M27). Where KVM was `asked_for`, only a good answer is kept: that no
/// guest came up may have had another reason, which the user has removed.
pub fn decide_accel(job: &Job, cache: &Cache, asked_for: bool) -> Decided {
    let without = |reason: String, fell_back| Decided {
        accel: Accel::Tcg,
        reason,
        fell_back,
    };
    match std::fs::File::options().read(true).write(true).open(KVM) {
        Err(error) => return without(format!("{KVM}: {error}"), false),
        Ok(device) => {
            let user = nix::unistd::Uid::effective().as_raw();
            let open_to_qemu = |meta: Metadata| is_open_to_qemu(user, meta.uid(), meta.mode());
            if !device.metadata().is_ok_and(open_to_qemu) {
                return without(
                    format!(
                        "{KVM} is open to its group, and libvirt starts QEMU without the groups \
                         of an ordinary user; as root: chmod 666 {KVM}"
                    ),
                    true,
                );
            }
        }
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let path = cache.path(&format!("kvm-{}", boot.trim()));
    let known = std::fs::read_to_string(&path).ok();
    let (works, reason) = if let Some(known) = known.and_then(|text| kept(&text, asked_for)) {
        known
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
        accel: if works { Accel::Kvm } else { Accel::Tcg },
        reason,
        fell_back: !works,
    }
}

/// Whether lanfence's own guest boots under KVM, and how that is known. The policy is given as
/// its text and where that came from.
///
/// # Errors
/// [`CacheError`] when libvirt could not write to its part of the cache.
pub fn boots_under_kvm(
    policy: (&str, &str),
    guest: &Path,
    cache: &Cache,
) -> Result<(bool, String), CacheError> {
    let job = Job {
        guest: Some(guest.to_owned()),
        ..Job::new(policy, &FilterUnderTest::none(), cache)?
    };
    let decided = decide_accel(&job, cache, true);
    Ok((decided.accel == Accel::Kvm, decided.reason))
}

/// Whether a QEMU of an ordinary user's lab may open a device that the user may open. libvirt
/// sets the groups of its children (`virExec` in libvirt's `src/util/vircommand.c`), and in a
/// user namespace there are none of the user's besides the first.
fn is_open_to_qemu(user: u32, owner: u32, mode: u32) -> bool {
    user == 0 || user == owner || mode & 0o006 == 0o006
}

/// What an earlier trial has shown and why, where that counts.
fn kept(text: &str, asked_for: bool) -> Option<(bool, String)> {
    let (works, reason) = text.split_once(' ').unwrap_or(("no", text));
    let works = works == "yes";
    let reason = format!("{} (tried earlier in this boot of the host)", reason.trim());
    (works || !asked_for).then_some((works, reason))
}

/// The result of trying KVM.
struct Tried {
    /// Whether a guest boots under it; none when no guest was started.
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
        accel: Accel::Kvm,
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
    /// What a cell that only boots shows about KVM. A lab that did not come up or a worker
    /// that was killed shows nothing, and must not cost the next run its KVM.
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
    #[case::works("yes it boots", true, Some(true))]
    #[case::works_by_itself("yes it boots", false, Some(true))]
    #[case::failed("no it hangs", true, None)]
    #[case::failed_by_itself("no it hangs", false, Some(false))]
    #[case::damaged("", true, None)]
    fn who_asks_for_kvm_gets_another_trial(
        #[case] text: &str,
        #[case] asked_for: bool,
        #[case] works: Option<bool>,
    ) {
        assert_eq!(kept(text, asked_for).map(|(works, _)| works), works);
    }

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

    #[rstest]
    #[case::root(0, 0, 0o600, true)]
    #[case::owner(1000, 1000, 0o600, true)]
    #[case::everybody(1000, 0, 0o666, true)]
    #[case::group(1000, 0, 0o660, false)]
    #[case::readers(1000, 0, 0o664, false)]
    fn a_device_that_only_a_group_may_open_is_closed_to_qemu(
        #[case] user: u32,
        #[case] owner: u32,
        #[case] mode: u32,
        #[case] expected: bool,
    ) {
        assert_eq!(is_open_to_qemu(user, owner, mode), expected);
    }
}
