//! What a worker says while it works, as JSON lines.

use crate::report::model::{Cell, CellError, Host, Step};
use serde::{Deserialize, Serialize};

/// Something that happened in a run. A worker process writes one a line; the
/// process that shows the run reads them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    Started {
        /// Names of the cells in the order of the matrix.
        cells: Vec<String>,
    },
    /// A cell entered a step.
    Step {
        /// The cell's name.
        cell: String,
        /// The step.
        step: Step,
    },
    /// A cell left a step.
    StepDone {
        /// The cell's name.
        cell: String,
        /// The step.
        step: Step,
        /// Wall time of the step in milliseconds.
        ms: u64,
    },
    /// Something that the user should read.
    Note {
        /// The cell it is about; none for the whole run.
        cell: Option<String>,
        /// One line.
        text: String,
    },
    /// A cell is done, or cannot go on.
    CellDone {
        /// All that was found.
        cell: Box<Cell>,
    },
    /// What the run runs on is known.
    Host(Host),
    /// The worker has nothing to do and wants a cell.
    Ready,
    /// The worker has no lab and will not want a cell.
    NoLab {
        /// Why.
        error: CellError,
    },
}

/// A line that is no event.
#[derive(Debug, thiserror::Error)]
#[error("line from the worker is no event ({why}): {line}; are both of the same version?")]
pub struct EventError {
    /// What is wrong with it.
    why: String,
    /// The line, shortened.
    line: String,
}

impl Event {
    /// One line of JSON without the line break.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("an event has only string keys")
    }

    /// Reads what [`Event::to_line`] wrote.
    pub fn from_line(line: &str) -> Result<Self, EventError> {
        serde_json::from_str(line).map_err(|why| EventError {
            why: why.to_string(),
            line: super::shorten(&super::clean(line), 120),
        })
    }
}
