//! Why there are no figures.

use crate::crosscheck::Broken;
use crate::guest::GuestError;
use crate::host::HostError;
use crate::layout::LayoutError;
use crate::nwfilter::ReadError;
use crate::nwfilter::evaluate::CompileError;
use crate::report::model::Step;
use crate::verify::plan::PlanError;
use crate::verify::{BareBootError, CacheError};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The policy has no room for the test hosts.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The benchmark's own filter cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The benchmark's own filter cannot be compiled.
    #[error(transparent)]
    Compile(Box<CompileError>),
    /// The cells cannot be planned.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The guest image cannot be used.
    #[error(transparent)]
    Guest(Box<GuestError>),
    /// The tap test did not finish.
    #[error(transparent)]
    Tap(#[from] Broken),
    /// The workers cannot be started.
    #[error("start the workers: {0}")]
    Workers(#[from] std::io::Error),
    /// libvirt does not do what the verbs for hosts ask of it.
    #[error(transparent)]
    Host(Box<HostError>),
    /// libvirt refuses the benchmark's guest.
    #[error("libvirt: {doing}: {}", source.message())]
    Refused {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        source: Box<virt::error::Error>,
    },
    /// The commands that are measured cannot be run.
    #[error("{doing}: {source}")]
    Commands {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The command that is measured failed.
    #[error("`lanfence {command}` failed: {said}")]
    Command {
        /// Its arguments.
        command: String,
        /// What it said.
        said: String,
    },
    /// The guest did not boot outside of a lab.
    #[error("boot the guest without a lab: {0}")]
    BareBoot(#[from] BareBootError),
    /// What this libvirt makes of the policy's filter is not known.
    #[error("the rules of the policy's filter: {0}")]
    Reference(String),
    /// Figures of an audit that finds something else say nothing.
    #[error("the audit found only {count} of {of} interfaces as they are")]
    Audit {
        /// Those that it found.
        count: usize,
        /// All.
        of: usize,
    },
    /// No cell came to an end.
    #[error("no cell was run")]
    NoCell,
    /// A cell did not come to its end.
    #[error("{step}: {message}")]
    Cell {
        /// Where it broke down.
        step: Step,
        /// Why.
        message: String,
    },
    /// The figure of a step is missing.
    #[error("no cell reached the step {0}")]
    Step(Step),
    /// Figures of a cell that is not green say nothing.
    #[error("{0} is not green; `lanfence verify --cell {0}` shows why")]
    NotGreen(String),
}

impl From<HostError> for BenchError {
    fn from(error: HostError) -> Self {
        Self::Host(Box::new(error))
    }
}

impl From<CompileError> for BenchError {
    fn from(error: CompileError) -> Self {
        Self::Compile(Box::new(error))
    }
}

impl From<PlanError> for BenchError {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<GuestError> for BenchError {
    fn from(error: GuestError) -> Self {
        Self::Guest(Box::new(error))
    }
}
