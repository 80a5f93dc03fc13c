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

impl Message<'_> {
    /// The message without what it borrows.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Ready => Message::Ready,
            Self::LabUp(slowness) => Message::LabUp(slowness),
            Self::NoLab(error) => Message::NoLab(error),
            Self::Event(event) => Message::Event(Cow::Owned(event.into_owned())),
        }
    }
}

/// A message with what tells it from those of other runs, and a lost one from one that never
/// was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered<'a> {
    /// The number of the run that the worker was started for.
    pub run: u32,
    /// How many messages the worker has reported before.
    pub number: u32,
    /// What it reports.
    pub message: Message<'a>,
}
