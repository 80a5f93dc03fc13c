//! What a worker reports, a line each.

use crate::lab::Slowness;
use crate::report::live::Event;
use crate::report::model::CellError;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A report of a worker to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message<'a> {
    /// It has nothing to do and wants a cell.
    Ready,
    /// Its lab is up, on a machine of this slowness.
    LabUp(Slowness),
    /// It has no lab, and will not want a cell.
    NoLab(CellError),
    /// Something happened that the user should see.
    Event(Cow<'a, Event>),
}
