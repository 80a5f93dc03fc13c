//! The steps of a cell: what its time is spent on, and where it can stop.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A step of a cell. The order is that in which a cell goes through them.
///
/// With the filter there before the first frame, `plug` and `boot` bind it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The cell has not been begun.
    Plan,
    /// A worker enters namespaces of its own.
    Namespaces,
    /// The lab starts: bridge, hosts, sensors, libvirt. It serves all cells of a worker;
    /// the first one carries its time.
    Lab,
    /// The disk image of a foreign guest is opened and hashed.
    Image,
    /// A guest is booted and saved as a snapshot, for this cell and others.
    Save,
    /// A guest is restored from a snapshot.
    Restore,
    /// The NIC is plugged into a restored guest.
    Plug,
    /// A guest boots.
    Boot,
    /// A tap is opened for a cell without a guest.
    Tap,
    /// An iPXE guest goes through its first round.
    Round,
    /// The guest's driver takes the NIC.
    Nic,
    /// All probes with the filter there before the guest's first frame.
    FirstFrame,
    /// All probes without the filter.
    Control,
    /// The filter is bound to the NIC of a running guest.
    Bind,
    /// All probes with the filter on the NIC of a running guest.
    Filtered,
    /// The filter is taken away.
    Unbind,
    /// The probes that must be stopped, with the filter taken away again.
    LeakCheck,
    /// The guest's own DHCP client is offered an address with an unfinished checksum.
    Client,
    /// The worker that ran the cell ended before it could report.
    Worker,
    /// Reports of partitions are merged.
    Merge,
}

impl Step {
    /// All of them in order.
    pub const ALL: [Self; 20] = [
        Self::Plan,
        Self::Namespaces,
        Self::Lab,
        Self::Image,
        Self::Save,
        Self::Restore,
        Self::Plug,
        Self::Boot,
        Self::Tap,
        Self::Round,
        Self::Nic,
        Self::FirstFrame,
        Self::Control,
        Self::Bind,
        Self::Filtered,
        Self::Unbind,
        Self::LeakCheck,
        Self::Client,
        Self::Worker,
        Self::Merge,
    ];

    /// The word for it in reports, the same as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Namespaces => "namespaces",
            Self::Lab => "lab",
            Self::Image => "image",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Plug => "plug",
            Self::Boot => "boot",
            Self::Tap => "tap",
            Self::Round => "round",
            Self::Nic => "nic",
            Self::FirstFrame => "first-frame",
            Self::Control => "control",
            Self::Bind => "bind",
            Self::Filtered => "filtered",
            Self::Unbind => "unbind",
            Self::LeakCheck => "leak-check",
            Self::Client => "client",
            Self::Worker => "worker",
            Self::Merge => "merge",
        }
    }

    /// Whether all cells of a worker share it; its time is booked on the first of them.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Lab | Self::Save)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_word_is_the_one_in_json() {
        for step in Step::ALL {
            let json = serde_json::to_string(&step).expect("a step is a word");
            assert_eq!(json, format!("\"{step}\""));
        }
        assert!(Step::ALL.is_sorted(), "in the order of a cell");
    }
}
