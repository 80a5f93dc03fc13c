//! The wait for READY, which knows a slow guest from one that hangs.

use super::accel::Accel;
use super::agent::death;
use super::console::Snapshot;
use super::error::GuestError;
use crate::lab::Slowness;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use virt::domain::Domain;

/// Longest silence of the console of a guest that boots under emulation: the whole boot takes
/// 2.5 s here, ten times that on a busy machine.
const BOOT_TCG: Duration = Duration::from_secs(40);

/// The same under KVM, where a boot takes about a second.
const BOOT_KVM: Duration = Duration::from_secs(10);

/// A guest that talks all the time is given up after this many such silences.
const MOST: u32 = 4;

/// How long a CPU under KVM may be at one instruction. Where KVM only seems to work it stays
/// for a minute at one that clears memory (measured: docs/measurements.md#M27); where it
/// works, however slowly, the CPU is elsewhere whenever it is looked at.
const STILL: Duration = Duration::from_secs(5);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long READY is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience<'a> {
    /// Longest silence of the console on a quick machine.
    longest: Duration,
    /// What that is stretched by.
    slowness: Slowness,
    /// The domain whose CPU must not stand still; none where that proves nothing.
    kvm: Option<&'a Domain>,
}

impl<'a> Patience<'a> {
    /// For a boot.
    pub(super) fn of_boot(accel: Accel, slowness: Slowness, domain: &'a Domain) -> Self {
        let (longest, kvm) = match accel {
            Accel::Kvm => (BOOT_KVM, Some(domain)),
            Accel::Tcg => (BOOT_TCG, None),
        };
        Self {
            longest,
            slowness,
            kvm,
        }
    }

    /// For a guest that has booted before.
    pub(super) fn awake(longest: Duration, slowness: Slowness) -> Self {
        Self {
            longest,
            slowness,
            kvm: None,
        }
    }
}

/// Waits for the READY line with this nonce. As long as the console shows something new the
/// wait goes on.
pub(super) async fn ready(
    mut console: watch::Receiver<Snapshot>,
    nonce: &str,
    patience: Patience<'_>,
) -> Result<(), GuestError> {
    let started = Instant::now();
    let (seen, mut watched) = (console.clone(), console.clone());
    let last = || seen.borrow().last.clone();
    let quiet = silence(console.clone(), patience.slowness.stretch(patience.longest));
    let still = patience.slowness.stretch(STILL);
    let said = async {
        loop {
            if console
                .borrow_and_update()
                .ready
                .as_ref()
                .is_some_and(|line| line.starts_with(nonce))
            {
                return;
            }
            if console.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = said => Ok(()),
        error = death(&mut watched, "booting") => Err(error),
        () = standstill(patience.kvm, still) => Err(GuestError::Still {
            waiting: "booting".into(),
            still_ms: still.as_millis(),
            slowness: patience.slowness,
            last: last(),
        }),
        () = quiet => Err(GuestError::Deadline {
            waiting: "the guest's way to READY".into(),
            deadline_ms: started.elapsed().as_millis(),
            slowness: patience.slowness,
            last: last(),
        }),
    }
}

/// Resolves when the console has shown nothing new for this long, or has not come to an end.
async fn silence(mut console: watch::Receiver<Snapshot>, longest: Duration) {
    let end = tokio::time::Instant::now() + longest * MOST;
    loop {
        let quiet = end.min(tokio::time::Instant::now() + longest);
        match tokio::time::timeout_at(quiet, console.changed()).await {
            Ok(Ok(())) if tokio::time::Instant::now() < end => {}
            // A console that is closed is the death of its guest, which is another's matter.
            Ok(Err(_)) => std::future::pending().await,
            Ok(Ok(())) | Err(_) => return,
        }
    }
}

/// Resolves when the domain's CPU has been at one instruction for this long.
async fn standstill(domain: Option<&Domain>, longest: Duration) {
    let Some(domain) = domain else {
        return std::future::pending().await;
    };
    let mut stands: Option<(String, Instant)> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let asked = domain.clone();
        let shown = tokio::task::spawn_blocking(move || instruction(&asked)).await;
        // One that cannot be asked proves nothing, and neither does one that waits for an
        // interrupt.
        stands = match (shown.ok().flatten(), stands) {
            (Some(now), Some((then, since))) if now == then => {
                if since.elapsed() > longest {
                    return;
                }
                Some((then, since))
            }
            (shown, _) => shown.map(|now| (now, Instant::now())),
        };
    }
}

/// Where the CPU is; none where it is halted or cannot be asked.
fn instruction(domain: &Domain) -> Option<String> {
    let flags = virt_sys::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP;
    let shown = domain.qemu_monitor_command("info registers", flags);
    running_at(&shown.ok()?).map(str::to_owned)
}

/// The instruction pointer in what QEMU's monitor shows of the registers of a CPU that is not
/// halted: `EIP=000e9dc7` or `RIP=ffffffff8307957e`.
fn running_at(registers: &str) -> Option<&str> {
    let mut words = registers.split_whitespace();
    if words.clone().any(|word| word == "HLT=1") {
        return None;
    }
    words.find(|word| word.starts_with("EIP=") || word.starts_with("RIP="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LONGEST: Duration = Duration::from_secs(10);

    /// Seconds after which a guest is given up whose console shows a line every `every`
    /// seconds, up to a time.
    async fn given_up_after(every: u64, until: u64) -> u64 {
        let (sender, console) = watch::channel(Snapshot::default());
        let started = tokio::time::Instant::now();
        let boots = async {
            loop {
                tokio::time::sleep(Duration::from_secs(every)).await;
                if started.elapsed().as_secs() <= until {
                    sender.send_modify(|state| state.last.push('.'));
                }
            }
        };
        let patience = Patience::awake(LONGEST, Slowness::NONE);
        let ended = tokio::select! {
            ended = ready(console, "nonce", patience) => ended,
            () = boots => Ok(()),
        };
        let Err(GuestError::Deadline { .. }) = ended else {
            panic!("{ended:?}");
        };
        started.elapsed().as_secs()
    }

    #[rstest]
    #[case::firmware(
        "EAX=1 EBX=2\r\nEIP=000e9dc7 EFL=2 [---] II=0 HLT=0",
        Some("EIP=000e9dc7")
    )]
    #[case::kernel(
        "RAX=1\r\nRIP=ffffffff8307957e RFL=2 HLT=0\r\nES=0",
        Some("RIP=ffffffff8307957e")
    )]
    #[case::waits_for_an_interrupt("RIP=ffffffff8307957e RFL=2 HLT=1", None)]
    #[case::something_else("", None)]
    fn where_a_cpu_is(#[case] registers: &str, #[case] place: Option<&str>) {
        assert_eq!(running_at(registers), place);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_is_waited_for_while_it_shows_something_new() {
        assert_eq!(given_up_after(60, 0).await, 10, "a silent one");
        assert_eq!(given_up_after(4, 24).await, 34, "one that gets stuck");
        assert_eq!(given_up_after(1, 3600).await, 40, "one that only talks");
    }

    #[tokio::test(start_paused = true)]
    async fn ready_comes_however_late() {
        let (sender, console) = watch::channel(Snapshot::default());
        let patience = Patience::awake(LONGEST, Slowness::NONE);
        let boots = async {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                sender.send_modify(|state| state.last.push('.'));
            }
            sender.send_modify(|state| state.ready = Some("nonce 900".into()));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = ready(console, "nonce", patience) => ended.expect("READY"),
            () = boots => {}
        }
    }
}
