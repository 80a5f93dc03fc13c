//! What ends a cell early, and whose fault it is.

use crate::guest::GuestError;
use crate::lab::LabError;
use crate::layout::LayoutError;
use crate::report::model::{CellError, ErrorKind, Step};
use thiserror::Error;

/// A failure of a cell or of its lab.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The policy's LAN has no place for the lab's hosts.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The guest failed.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// libvirt does not take the filter.
    #[error("{0}")]
    Refused(String),
    /// The user's input cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The host lacks something.
    #[error("{0}")]
    Host(String),
    /// The cell broke down.
    #[error("{0}")]
    Cell(String),
}

impl VerifyError {
    /// As it stands in the report.
    pub fn at(&self, step: Step) -> CellError {
        let kind = match self {
            Self::Layout(LayoutError::NoIpv4) => ErrorKind::Usage,
            Self::Host(_) | Self::Layout(_) => ErrorKind::Host,
            // Without a lab there is no cell: the host is not fit for it.
            Self::Lab(error) if error.is_host() || step == Step::Lab => ErrorKind::Host,
            Self::Guest(error) if error.is_host() => ErrorKind::Host,
            Self::Refused(_)
            | Self::Usage(_)
            | Self::Guest(GuestError::Nic { .. } | GuestError::Filter(_)) => ErrorKind::Usage,
            Self::Lab(_) | Self::Guest(_) | Self::Cell(_) => ErrorKind::Cell,
        };
        CellError {
            step,
            message: self.to_string(),
            kind,
        }
    }
}
