//! What happens in a run.

use crate::report::model::{Cell, Host, Step};
use serde::{Deserialize, Serialize};

/// Something that happened in a run.
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
    Host(Box<Host>),
}
