//! Why a baseline cannot be used, where in its file, and the cure.

use super::verb::Verb;
use crate::place::shown;
use crate::report::text::clean;
use thiserror::Error;

/// The version of the layout of a baseline.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// A baseline, or what is to be compared with it, that cannot be used.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// The text is no TOML, or lacks a part, or has one that a baseline does not have.
    #[error(
        "{place}: {what}\n  cure: is the file cut short, or was it edited by hand? Take it from \
         version control again, or write a new one with `lanfence bless --new`",
        what = shown(&clean(.source.message()))
    )]
    Toml {
        /// File, line and column.
        place: String,
        /// What the TOML parser found.
        source: Box<toml::de::Error>,
    },
    /// There is no file.
    #[error(
        "there is no baseline {file}\n  cure: write one from the report of a run: `lanfence bless \
         RUN.json --baseline {file}`"
    )]
    Missing {
        /// The file.
        file: String,
    },
    /// The file is no text.
    #[error(
        "{place}: the file is no text in UTF-8\n  cure: was it edited or converted? Take it from \
         version control again, or write a new one with `lanfence bless --new`"
    )]
    NoText {
        /// File, line and column.
        place: String,
    },
    /// Written by another version.
    #[error(
        "{place}: the baseline has schema version {found}, and this lanfence reads only version \
         {SCHEMA_VERSION}\n  cure: use the lanfence that wrote it, or write a new one with \
         `lanfence bless --new`"
    )]
    Schema {
        /// File, line and column.
        place: String,
        /// The version found.
        found: i64,
    },
    /// Something in it cannot be meant.
    #[error("{place}: {what}\n  cure: {cure}", what = shown(.what))]
    Nonsense {
        /// File, line and column.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        cure: &'static str,
    },
    /// It is about something else.
    #[error(
        "{what} is about {ours}, and this is about {theirs}: they are not compared\n  cure: name \
         the one for this policy and filter; a baseline for another is written with `lanfence \
         bless --new`"
    )]
    Differs {
        /// What is compared with.
        what: String,
        /// What it is about.
        ours: String,
        /// What the other is about.
        theirs: String,
    },
    /// Another verb found what it accepts.
    #[error(
        "{what} accepts findings of `{ours}`, and these are of `{theirs}`: they are not compared\n  cure: \
         name a baseline of `{theirs}`; `{report}` writes the report from which `lanfence bless` makes \
         one",
        ours = .ours.command(), theirs = .theirs.command(), report = .theirs.report()
    )]
    OtherVerb {
        /// What is compared with.
        what: String,
        /// The verb whose findings it accepts.
        ours: Verb,
        /// The verb that is held against it.
        theirs: Verb,
    },
    /// No cell is in both.
    #[error(
        "{what} has none of the cells {cells}: there is nothing to compare\n  cure: select cells \
         that it has ({ours}), or bless a run of these"
    )]
    NoCommonCell {
        /// What is compared with.
        what: String,
        /// The cells that it has.
        ours: String,
        /// The cells that there are now.
        cells: String,
    },
    /// A report of no cell.
    #[error(
        "{run} has no cell that was begun, so there is nothing to accept or to compare\n  cure: select \
         cells that can run here (`lanfence verify --list` shows them)"
    )]
    NoCell {
        /// The run.
        run: String,
    },
    /// A run without a filter.
    #[error(
        "{run} ran without a filter, so it says nothing of one\n  cure: run `lanfence verify` \
         without --no-filter"
    )]
    NoFilter {
        /// The run.
        run: String,
    },
    /// A report from before runs told what they are about.
    #[error(
        "{run} does not say which policy and filter it is about: an earlier lanfence wrote it\n  \
         cure: write it again: `{report}`",
        report = .verb.report()
    )]
    NoIdentity {
        /// The run.
        run: String,
        /// Which verb wrote it.
        verb: Verb,
    },
}
