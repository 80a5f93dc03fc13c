//! What repeats a run: all that went into it, beside the evidence, and what it came to.

use super::job::{CellPlan, Job};
use super::plan::Plan;
use super::run::{Request, inputs};
use crate::nwfilter::{FilterTree, ReadError, read};
use crate::report::json::{JsonError, from_json, to_json};
use crate::report::model::{FilterInfo, Run, Skipped};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the layout.
const SCHEMA_VERSION: u32 = 1;

/// What went into the run.
const INPUTS: &str = "replay.json";

/// What it came to: the report of `--json`.
const REPORT: &str = "run.json";

/// All that went into a run but the machine: policy, filters, parameters, cells, seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    schema_version: u32,
    /// The lanfence that ran it.
    pub version: String,
    /// What the report says of the filter.
    pub filter: FilterInfo,
    job: Job,
    /// Whether guests were restored from snapshots.
    restores: bool,
    cells: Vec<CellPlan>,
    skipped: Vec<Skipped>,
    matrix: Vec<String>,
}

/// Why a bundle cannot be written or replayed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of it cannot be written.
    #[error("{file}: {source}", file = .file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of it cannot be read.
    #[error(
        "{file}: {source}\n  cure: name the directory that `lanfence verify --out` wrote; a run that \
         was cut short leaves no {REPORT} and has to be run again",
        file = .file.display()
    )]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What went into the run cannot be understood.
    #[error(
        "{file}: {source}\n  cure: is the file cut short, was it edited, or did another lanfence \
         write it? Run `lanfence verify --out DIR` again",
        file = .file.display()
    )]
    Inputs {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error(
        "{file} has schema version {found}, and this lanfence reads only version \
         {SCHEMA_VERSION}\n  cure: replay it with the lanfence that wrote it",
        file = .file.display()
    )]
    Schema {
        /// Which.
        file: PathBuf,
        /// The version found.
        found: u64,
    },
    /// What it came to cannot be understood.
    #[error("{file}: {source}", file = .file.display())]
    Report {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: JsonError,
    },
    /// A filter of it is none.
    #[error("{file}: the filter `{name}`: {source}", file = .file.display())]
    Filter {
        /// Which file.
        file: PathBuf,
        /// Which filter.
        name: String,
        /// What is wrong.
        source: Box<ReadError>,
    },
    /// The verdicts are of something else.
    #[error(
        "{dir}: {REPORT} holds the verdicts of another policy, filter, parameters or back end than \
         {INPUTS} has: one of the files was changed\n  cure: take the directory as `lanfence verify \
         --out` wrote it; what a change does to the verdicts is told by `lanfence report diff`",
        dir = .dir.display()
    )]
    Mixed {
        /// The directory.
        dir: PathBuf,
    },
}

impl Bundle {
    /// Of a run that is about to begin.
    pub fn of(request: &Request) -> Self {
        let Request {
            job, plan, filter, ..
        } = request;
        Self {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            filter: filter.clone(),
            job: Job {
                guest: None,
                libvirt_cache: None,
                snapshots: None,
                out: None,
                ..job.clone()
            },
            restores: job.snapshots.is_some(),
            cells: plan.cells.clone(),
            skipped: plan.skipped.clone(),
            matrix: plan.matrix.clone(),
        }
    }

    /// Writes it into the directory of the evidence, and takes away what an earlier run came to.
    ///
    /// # Errors
    /// [`BundleError::Write`].
    pub fn write(&self, out: &Path) -> Result<(), BundleError> {
        let old = out.join(REPORT);
        match std::fs::remove_file(&old) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(BundleError::Write { file: old, source });
            }
            _ => {}
        }
        let text = serde_json::to_string_pretty(self).expect("a job has only string keys");
        put(out.join(INPUTS), &(text + "\n"))
    }

    /// Reads it, with what the run came to.
    ///
    /// # Errors
    /// [`BundleError`] with the file, what is wrong, and the cure.
    pub fn read(dir: &Path) -> Result<(Self, Run), BundleError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u64,
        }
        let file = dir.join(INPUTS);
        let text = get(&file)?;
        let unclear = |source| BundleError::Inputs {
            file: file.clone(),
            source,
        };
        let version: Version = serde_json::from_str(&text).map_err(unclear)?;
        if version.schema_version != u64::from(SCHEMA_VERSION) {
            let found = version.schema_version;
            return Err(BundleError::Schema { file, found });
        }
        let bundle: Self = serde_json::from_str(&text).map_err(unclear)?;
        let file = dir.join(REPORT);
        let report = from_json(&get(&file)?);
        let report = report.map_err(|source| BundleError::Report { file, source })?;
        if report.inputs != Some(inputs(&bundle.job)) || report.filter != bundle.filter {
            let dir = dir.to_owned();
            return Err(BundleError::Mixed { dir });
        }
        Ok((bundle, report))
    }

    /// The plan of the run.
    pub fn plan(&self) -> Plan {
        Plan {
            cells: self.cells.clone(),
            skipped: self.skipped.clone(),
            matrix: self.matrix.clone(),
        }
    }

    /// The job of the run, in the place of one that says where things are on this machine.
    pub fn job(&self, here: Job) -> Job {
        Job {
            guest: here.guest.filter(|_| self.has_machine()),
            libvirt_cache: here.libvirt_cache,
            snapshots: here.snapshots.filter(|_| self.restores),
            out: here.out,
            accel: here.accel,
            workers: here.workers,
            rootless: here.rootless,
            ..self.job.clone()
        }
    }

    /// Whether a machine runs under QEMU in any cell.
    pub fn has_machine(&self) -> bool {
        self.cells.iter().any(|cell| cell.guest.has_machine())
    }

    /// The policy's text and where it came from.
    pub fn policy(&self) -> (&str, &str) {
        (&self.job.policy, &self.job.policy_origin)
    }

    /// The filters, without their files; none where the run was without a filter. `dir` is where
    /// the bundle was read, for messages.
    ///
    /// # Errors
    /// [`BundleError::Filter`] when one cannot be read.
    pub fn tree(&self, dir: &Path) -> Result<Option<FilterTree>, BundleError> {
        let Some(top) = &self.job.bind else {
            return Ok(None);
        };
        let filters = self.job.filters.iter().map(|filter| {
            read(&filter.xml, &filter.name).map_err(|source| BundleError::Filter {
                file: dir.join(INPUTS),
                name: filter.name.clone(),
                source: Box::new(source),
            })
        });
        let filters = filters.collect::<Result<_, _>>()?;
        Ok(Some(FilterTree::unread(filters, top.clone())))
    }
}

/// Writes what a run came to beside what went into it.
///
/// # Errors
/// [`BundleError::Write`].
pub fn write_report(out: &Path, run: &Run) -> Result<(), BundleError> {
    put(out.join(REPORT), &to_json(run))
}

fn put(file: PathBuf, text: &str) -> Result<(), BundleError> {
    std::fs::write(&file, text).map_err(|source| BundleError::Write { file, source })
}

fn get(file: &Path) -> Result<String, BundleError> {
    std::fs::read_to_string(file).map_err(|source| BundleError::Read {
        file: file.to_owned(),
        source,
    })
}
