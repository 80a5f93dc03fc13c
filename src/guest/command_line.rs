//! The command line of the Linux guest's kernel.

use super::accel::Accel;
use super::models::{Bus, quirk};
use crate::lab::{Shortcut, Shortcuts};

/// The kernel command line: console, no second chance after a panic, the nonce, and words
/// for the agent where there are any.
///
/// `no_timer_check` because a busy host fails that check under emulation (measured:
/// docs/measurements.md#M30). The rest are [`Shortcut`]s, each described there, and a clock.
pub fn command_line(accel: Accel, nonce: &str, words: &[String], shortcuts: Shortcuts) -> String {
    let mut line =
        "console=ttyS0 panic=-1 loglevel=4 random.trust_cpu=on no_timer_check".to_owned();
    let mut add = |text: &str| {
        line.push(' ');
        line.push_str(text);
    };
    if shortcuts.has(Shortcut::NoMitigations) {
        add("mitigations=off");
    }
    if shortcuts.has(Shortcut::NoSecurityModules) {
        add("lsm= psi=0");
    }
    if shortcuts.has(Shortcut::ExpediteRcu) {
        add("rcupdate.rcu_expedited=1");
    }
    match accel {
        // KVM brings a clock of its own.
        Accel::Kvm => add("tsc=reliable"),
        Accel::Tcg => add(STEADY_CLOCK),
    }
    add(&format!("lanfence.nonce={nonce}"));
    for word in words {
        add(word);
    }
    line
}

/// Emulated, the kernel measures the TSC against another clock while the host may take the
/// CPU away in between: on a busy host one boot in five came out at 1007 MHz for 2596 MHz,
/// and that guest's seconds ran 2.6 times too fast (measured: docs/measurements.md#M30).
/// So it uses ACPI's timer, and is told right away that the TSC is of no use: a restored guest
/// would find that out and rewrite its code.
const STEADY_CLOCK: &str = "tsc=unstable clocksource=acpi_pm";

/// Words for the agent: the driver of a NIC that no PCI ID announces, and, for a guest
/// without a NIC, that it must prepare to be saved.
pub(super) fn agent_words(nic: &str, is_there: bool) -> Vec<String> {
    let quirk = quirk(nic);
    let modules = (quirk.bus != Bus::Pci).then(|| format!("lanfence.modules={}", quirk.driver));
    let prepare = (!is_there).then(|| "lanfence.prepare".into());
    prepare.into_iter().chain(modules).collect()
}
