//! How often a worker could not restore a guest, and when it stops trying.

use super::VerifyError;
use super::cell::CellContext;
use crate::report::live::Event;
use std::cell::Cell;

/// How often a guest of a kind could not be restored.
#[derive(Debug, Default)]
pub struct RestoreFailures(Cell<usize>);

impl RestoreFailures {
    /// A snapshot may be damaged, and is made anew; what fails again is not its fault.
    const MOST: usize = 2;

    /// Whether it is not worth another try.
    pub fn given_up(&self) -> bool {
        self.0.get() >= Self::MOST
    }

    /// Counts one, whose cell boots cold, and reports why.
    pub fn count(&self, context: &CellContext<'_>, error: &VerifyError) {
        self.0.set(self.0.get() + 1);
        let cells = if self.given_up() {
            "guests boot cold from here on"
        } else {
            "one guest boots cold"
        };
        (context.tell)(&Event::Note {
            cell: None,
            text: format!("{cells}, since the saved one cannot be restored: {error}"),
        });
    }
}
