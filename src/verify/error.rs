//! What ends a cell before its time, and whose fault it is.

use crate::guest::GuestError;
use crate::guest::foreign::ImageError;
use crate::lab::LabError;
use crate::layout::LayoutError;
use crate::nwfilter::ReadError;
use crate::policy::PolicyError;
use crate::report::model::{CellError, ErrorKind, Step};
use thiserror::Error;

/// A failure of a cell or of its lab.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The guest failed.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// libvirt does not take the filter.
    #[error(transparent)]
    Refused(Box<Self>),
    /// The policy that the job carries cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy's LAN has no place for the lab's hosts.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A cell with a guest and no image for it.
    #[error("the job names no guest image, and a cell with a guest needs one")]
    NoGuestImage,
    /// A filter, or what libvirt prints of it, cannot be read.
    #[error("libvirt understood filter {filter} differently: {source}")]
    UnreadableFilter {
        /// Its name.
        filter: String,
        /// What is wrong with the text.
        source: ReadError,
    },
    /// libvirt silently ignores what it does not know (measured: docs/measurements.md#M6).
    #[error("libvirt understood filter {filter} differently: {difference}")]
    Misunderstood {
        /// Its name.
        filter: String,
        /// The first difference in meaning, in words.
        difference: String,
    },
    /// The image of a foreign guest cannot be used.
    #[error(transparent)]
    ForeignImage(ImageError),
    /// The cell names a foreign guest that the job has no manifest of.
    #[error("the job has no manifest of the guest `{0}`")]
    UnknownGuest(String),
    /// An injected fault that needs a guest, in a cell without one.
    #[error("the tap test has no guest that could be paused or reset")]
    NothingToPause,
    /// The image of a foreign guest is another one than before the cell.
    #[error(transparent)]
    ForeignImageChanged(ImageError),
    /// A daemon of the lab died.
    #[error("{fault}")]
    DeadDaemon {
        /// Which, and how its log ends.
        fault: String,
    },
    /// A daemon of the lab died, and something failed before or because of it.
    #[error("{error}\n{fault}")]
    FailedBesideDeadDaemon {
        /// What failed.
        #[source]
        error: Box<Self>,
        /// Which daemon, and how its log ends.
        fault: String,
    },
    /// Something failed beside a domain that had ended by itself.
    #[error("{error}; the domain had ended: {why}")]
    DomainEnded {
        /// What failed.
        #[source]
        error: Box<Self>,
        /// What QEMU and libvirt noted of its end.
        why: String,
    },
    /// A trial stopped before its end. What it had shown by then counts.
    #[error(transparent)]
    Stopped(Box<Self>),
    /// libvirt says that it bound a filter, and there are no rules.
    #[error("libvirt bound {filter} to {tap}, but the kernel has no rule for {tap}: {found}")]
    NoRules {
        /// The filter's name.
        filter: String,
        /// The device.
        tap: String,
        /// What the kernel has for it.
        found: String,
    },
    /// The agent answered another question than it was asked.
    #[error("the agent answered `{asked}` with something else")]
    UnexpectedAnswer {
        /// What it was asked.
        asked: &'static str,
    },
    /// A pass was sent or judged with the nonces of another.
    #[error(
        "the probes of a pass bear the nonces of another; this is a bug of lanfence, please report it"
    )]
    ForeignNonces,
    /// The filter is not what was defined any more.
    #[error("filter {filter} has been changed behind lanfence's back: {difference}")]
    FilterChanged {
        /// Its name.
        filter: String,
        /// The first difference in meaning, in words.
        difference: String,
    },
    /// A firmware ended a round without an address.
    #[error("{firmware} has no IPv4 address")]
    NoFirmwareAddress {
        /// What runs in the guest.
        firmware: &'static str,
    },
    /// A firmware has not sent anything.
    #[error(
        "{firmware} sent no frame within {seconds} s of its start: its script is missing, it finds no NIC or hangs; its console (serial.log of --out) {console}"
    )]
    SilentFirmware {
        /// What runs in the guest.
        firmware: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// How its console ends, in words.
        console: String,
    },
    /// A firmware ended by itself.
    #[error("{firmware} does not run any more: {why}; its console (serial.log of --out) {console}")]
    EndedFirmware {
        /// What runs in the guest.
        firmware: &'static str,
        /// What libvirt says of it.
        why: String,
        /// How its console ends, in words.
        console: String,
    },
    /// A firmware never asked for the last file of a round.
    #[error(
        "{firmware} did not come to the end of a round within {seconds} s: its driver does not bring the link up, receives nothing or hangs; its console (serial.log of --out) {console}"
    )]
    EndlessRound {
        /// What runs in the guest.
        firmware: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// How its console ends, in words.
        console: String,
    },
    /// A firmware began no round while it was watched.
    #[error(
        "{firmware} began none of its last {tries} rounds with a DHCP discover after the filter was bound or removed"
    )]
    NoFreshRound {
        /// What runs in the guest.
        firmware: &'static str,
        /// How many rounds were looked at.
        tries: usize,
    },
    /// A foreign guest ended or halted.
    #[error("the guest does not run any more: {why}; {last}")]
    Halted {
        /// What libvirt says of it.
        why: String,
        /// The last frame that it sent, in words.
        last: String,
    },
    /// A foreign guest did not do what its manifest expects.
    #[error(
        "within {seconds} s of its start the guest did not come to {expected}; {last}\n  cure: does it boot from this medium on this machine, has it a driver for the NIC, does it need longer (`deadline-s`)? `--out DIR` keeps a picture of its screen"
    )]
    Silent {
        /// How long it was waited for.
        seconds: u64,
        /// What is missing, in words.
        expected: &'static str,
        /// The last frame that it sent, in words.
        last: String,
    },
}

impl VerifyError {
    /// Where the reason belongs for which a domain ended, when nobody has looked for it yet.
    pub fn unexplained_end(&mut self) -> Option<&mut String> {
        match self {
            Self::Guest(GuestError::Died { why, .. }) => Some(why),
            Self::Refused(error) | Self::Stopped(error) => error.unexplained_end(),
            _ => None,
        }
    }

    /// Whether what the user gave cannot be used: then nothing that was seen is a verdict on
    /// the filter.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::Policy(_)
                | Self::Layout(_)
                | Self::NoGuestImage
                | Self::UnreadableFilter { .. }
                | Self::Misunderstood { .. }
                | Self::ForeignImage(_)
                | Self::UnknownGuest(_)
                | Self::NothingToPause
        )
    }

    /// Whose fault it is when it happens in this step.
    fn kind(&self, step: Step) -> ErrorKind {
        match self {
            // Without a lab there is no cell: the host is not fit for it.
            Self::Lab(error) if error.is_host() || step == Step::Lab => ErrorKind::Host,
            Self::Guest(error) if error.is_host() => ErrorKind::Host,
            Self::Guest(GuestError::Nic { .. } | GuestError::Filter(_)) => ErrorKind::Usage,
            Self::ForeignNonces => ErrorKind::Internal,
            Self::Stopped(error) if matches!(**error, Self::ForeignNonces) => ErrorKind::Internal,
            Self::DomainEnded { error, .. } => error.kind(step),
            error if error.is_usage() => ErrorKind::Usage,
            _ => ErrorKind::Cell,
        }
    }

    /// The error as it stands in the report.
    pub fn at(&self, step: Step) -> CellError {
        CellError {
            step,
            message: self.to_string(),
            kind: self.kind(step),
        }
    }
}
