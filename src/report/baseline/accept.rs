//! What people accept by name.

use super::date::Date;
use thiserror::Error;

/// Probes to accept, and why.
#[derive(Debug, Clone)]
pub struct Accept {
    /// Names of probes.
    probes: glob::Pattern,
    /// Names of cells; none for all.
    cells: Option<glob::Pattern>,
    /// Why; not empty.
    pub(super) reason: String,
    /// The last day on which it is accepted.
    pub(super) expires: Option<Date>,
}

/// Why nothing can be accepted so.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// Not a glob.
    #[error(
        "`{glob}` is no pattern: {source}\n  cure: write names with * and ?, such as 'wan-ipv6/*'"
    )]
    Glob {
        /// What was written.
        glob: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// It would accept whatever is wrong.
    #[error(
        "`{glob}` does not name a row, so it would accept whatever is wrong\n  cure: name the row before \
         the slash, such as 'wan-ipv6/*', and repeat --accept for each"
    )]
    All {
        /// What was written.
        glob: String,
    },
    /// No reason.
    #[error("`{glob}` is accepted without a reason\n  cure: say why with --reason")]
    NoReason {
        /// What was written.
        glob: String,
    },
}

impl Accept {
    /// Probes whose name matches `glob`, in the cells whose name matches `cells` or in all.
    ///
    /// # Errors
    /// [`AcceptError`] for no pattern, one that names no row, and an empty reason.
    pub fn new(
        glob: &str,
        cells: Option<glob::Pattern>,
        reason: &str,
        expires: Option<Date>,
    ) -> Result<Self, AcceptError> {
        let reason = crate::report::text::clean(reason);
        let named = || glob.to_owned();
        if reason.is_empty() {
            return Err(AcceptError::NoReason { glob: named() });
        }
        let row = glob.split('/').next().unwrap_or_default();
        if row.is_empty() || row.contains(['*', '?', '[']) {
            return Err(AcceptError::All { glob: named() });
        }
        let probes = glob::Pattern::new(glob).map_err(|source| AcceptError::Glob {
            glob: named(),
            source,
        })?;
        Ok(Self {
            probes,
            cells,
            reason,
            expires,
        })
    }

    /// Whether it names this probe of this cell.
    pub(super) fn names(&self, cell: &str, probe: &str) -> bool {
        let cells = self.cells.as_ref();
        self.probes.matches(probe) && cells.is_none_or(|cells| cells.matches(cell))
    }

    /// The pattern.
    pub fn glob(&self) -> &str {
        self.probes.as_str()
    }
}
