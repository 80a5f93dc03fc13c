//! Everything that is done only to save time and that touches the system under test
//! (libvirt, the kernel's rules) or the guest.
//!
//! Whatever alters the system under test must be possible to turn off. So each shortcut
//! has a name here, `verify --no-shortcuts` leaves all of them out, `tests/all/shortcuts.rs` shows that
//! the verdicts are the same without them, and `lanfence bench --shortcuts` measures what
//! each of them saves (the figures: docs/measurements.md#M42).
//!
//! This file is the list and knows nothing of the rest of the lab. The folder holds the
//! code of those that need code of their own; the others are a line of a configuration
//! or of a command line where that is written.

pub(super) mod flush;
pub(super) mod hide;
pub(super) mod restart;
pub(super) mod socket_keeper;

use serde::{Deserialize, Serialize};

/// One thing that is done only to save time.
///
/// Each says what it saves, what it touches, and why no verdict depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// Keeps the netlink sockets of libvirtd's children open after the children have
    /// ended ([`socket_keeper`]).
    ///
    /// * Saves: an RCU grace period for each rule of a filter.
    /// * Touches: libvirtd runs under a seccomp filter that asks the lab for such sockets.
    /// * Verdicts: the commands, their order and their rules are libvirt's. A probe is sent
    ///   only after [`wait_for_rcu`](super::ruleset::wait_for_rcu) and after the rules have
    ///   been read back from the kernel.
    KeepNetlinkSockets,
    /// Hides emulators that no guest uses, and `dmidecode`, from libvirtd ([`hide`]).
    ///
    /// * Saves: libvirtd reads up on every emulator that it finds, at each start.
    /// * Touches: what libvirtd finds in the directories of `PATH`.
    /// * Verdicts: every guest runs in the emulator that is not hidden.
    HideEmulators,
    /// Hides `/dev/kvm` from libvirtd while guests are emulated ([`hide`]).
    ///
    /// * Saves: libvirtd asks QEMU anew what it can whenever KVM's answer has changed, and on
    ///   some processors that answer differs from core to core.
    /// * Touches: the device file in the lab's mount namespace.
    /// * Verdicts: an emulated guest has no use for KVM.
    HideKvm,
    /// Shows libvirtd the directory where earlier labs have kept what QEMU can do.
    ///
    /// * Saves: libvirtd starts QEMU to ask it, once in each lab.
    /// * Touches: `/var/cache/libvirt` in the lab's mount namespace.
    /// * Verdicts: libvirt itself checks that the cached answer fits the installed QEMU.
    CacheCapabilities,
    /// Replaces libvirtd between cells, and ends it before the guest ends ([`restart`]).
    ///
    /// * Saves: the thirty commands by which libvirtd removes the filter of a guest that
    ///   has ended, and the growing price of its forks.
    /// * Touches: libvirtd is killed when all verdicts of a cell are known.
    /// * Verdicts: a cell begins with a libvirtd that has run nothing.
    RestartLibvirtd,
    /// Empties the tables of the kernel at once for the last pass without a filter
    /// ([`flush`]).
    ///
    /// * Saves: a command of libvirt's for each rule.
    /// * Touches: the rules, behind libvirt's back, after the last filtered pass.
    /// * Verdicts: the pass that follows must show that everything gets through, however
    ///   the rules were removed.
    FlushRuleset,
    /// Ends a guest by killing QEMU rather than by libvirt's `destroy`.
    ///
    /// * Saves: the time in which libvirt waits for QEMU to heed SIGTERM.
    /// * Touches: the guest's process, when its cell is over.
    /// * Verdicts: all are known by then.
    KillGuests,
    /// Has libvirt ask QEMU for the CPU's features at once (`capability_filters` in
    /// qemu.conf).
    ///
    /// * Saves: some 460 questions at every start of a domain.
    /// * Touches: libvirt's notion of the CPU features that QEMU could not provide.
    /// * Verdicts: nwfilter knows no CPU.
    AskCpuAtOnce,
    /// Gives libvirtd one heap for all threads, and few threads to begin with.
    ///
    /// * Saves: pages to copy whenever libvirtd forks, which it does for each rule.
    /// * Touches: `MALLOC_ARENA_MAX` and the numbers of workers in libvirtd.conf.
    /// * Verdicts: the same calls are served by fewer threads.
    SmallLibvirtd,
    /// Starts Linux and iPXE guests from a snapshot ([`crate::guest`]); a NIC that can be
    /// is then plugged into the running guest.
    ///
    /// * Saves: the boot.
    /// * Touches: the guest's past, and how its NIC comes.
    /// * Verdicts: the guest's driver sets the NIC up after the filter is bound, as at a boot.
    RestoreSnapshots,
    /// Has an emulated guest go through a key exchange and a DHCP discover over its loopback
    /// device while libvirt plugs the NIC in.
    ///
    /// * Saves: the translation of that code when it is needed.
    /// * Touches: the guest; nothing leaves it.
    /// * Verdicts: no frame of it passes the NIC.
    WarmUp,
    /// Boots the guest's kernel without mitigations against side channels
    /// (`mitigations=off`).
    ///
    /// * Saves: a translated block for each return and each call through a pointer.
    /// * Touches: how the guest's kernel is compiled into calls.
    /// * Verdicts: the network stack and the drivers do the same.
    NoMitigations,
    /// Boots the guest's kernel without security modules and without an account of who
    /// waits for the CPU (`lsm=`, `psi=0`).
    ///
    /// * Saves: hooks that each system call goes through.
    /// * Touches: the guest's kernel.
    /// * Verdicts: the agent is root, and no policy is loaded that could forbid it anything.
    NoSecurityModules,
    /// Has the guest's kernel hurry its RCU grace periods
    /// (`rcupdate.rcu_expedited=1`).
    ///
    /// * Saves: some ticks of the clock whenever a packet socket is closed.
    /// * Touches: the guest's kernel.
    /// * Verdicts: the same happens, sooner.
    ExpediteRcu,
    /// Gives the guest's virtio-serial controller two ports rather than 31.
    ///
    /// * Saves: event descriptors that QEMU's main loop polls at every turn.
    /// * Touches: the domain's XML.
    /// * Verdicts: nothing but the agent uses the ports.
    FewSerialPorts,
}

impl Shortcut {
    /// All of them, in the order of the bench's table.
    pub const ALL: [Self; 15] = [
        Self::KeepNetlinkSockets,
        Self::HideEmulators,
        Self::HideKvm,
        Self::CacheCapabilities,
        Self::RestartLibvirtd,
        Self::FlushRuleset,
        Self::KillGuests,
        Self::AskCpuAtOnce,
        Self::SmallLibvirtd,
        Self::RestoreSnapshots,
        Self::WarmUp,
        Self::NoMitigations,
        Self::NoSecurityModules,
        Self::ExpediteRcu,
        Self::FewSerialPorts,
    ];

    /// Its name in the bench's table.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepNetlinkSockets => "keep-netlink-sockets",
            Self::HideEmulators => "hide-emulators",
            Self::HideKvm => "hide-kvm",
            Self::CacheCapabilities => "cache-capabilities",
            Self::RestartLibvirtd => "restart-libvirtd",
            Self::FlushRuleset => "flush-ruleset",
            Self::KillGuests => "kill-guests",
            Self::AskCpuAtOnce => "ask-cpu-at-once",
            Self::SmallLibvirtd => "small-libvirtd",
            Self::RestoreSnapshots => "restore-snapshots",
            Self::WarmUp => "warm-up",
            Self::NoMitigations => "no-mitigations",
            Self::NoSecurityModules => "no-security-modules",
            Self::ExpediteRcu => "expedite-rcu",
            Self::FewSerialPorts => "few-serial-ports",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The shortcuts that a lab and its guests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shortcuts(u32);

impl Default for Shortcuts {
    fn default() -> Self {
        Self::all()
    }
}

impl Shortcuts {
    /// Every shortcut: what `verify` takes unless told otherwise.
    pub fn all() -> Self {
        Self(
            Shortcut::ALL
                .into_iter()
                .fold(0, |bits, one| bits | one.bit()),
        )
    }

    /// No shortcut: `verify --no-shortcuts`.
    pub fn none() -> Self {
        Self(0)
    }

    /// The same but for one that is left out.
    #[must_use]
    pub fn without(self, left_out: Shortcut) -> Self {
        Self(self.0 & !left_out.bit())
    }

    /// Whether this one is taken.
    pub fn has(self, shortcut: Shortcut) -> bool {
        self.0 & shortcut.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_can_be_left_out_by_itself() {
        for one in Shortcut::ALL {
            let rest = Shortcuts::all().without(one);
            for other in Shortcut::ALL {
                assert_eq!(
                    rest.has(other),
                    other != one,
                    "{} {}",
                    one.name(),
                    other.name()
                );
            }
            assert!(!Shortcuts::none().has(one));
        }
    }
}
