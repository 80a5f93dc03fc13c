//! Which cells to run, as options.

use crate::cli::Failure;
use crate::verify::job::{Attach, ForeignSource};
use crate::verify::plan::{self, Partition, Plan, PlanError, Selection};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// `--lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lane {
    /// Real guests under QEMU.
    Guest,
    /// No guest: the frames are written into a tap that the lab holds.
    Tap,
}

/// `--matrix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Matrix {
    /// pcnet and virtio.
    Usual,
    /// Every NIC model that QEMU has.
    Full,
}

/// `--order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AttachChoice {
    /// The filter is there before the guest's first frame; in the first cell of each
    /// kind of guest it is afterwards put on the running guest too.
    Auto,
    /// Only the first.
    BeforeFirstFrame,
    /// Only the second.
    Running,
    /// Both in every cell.
    Both,
}

impl AttachChoice {
    /// The order of every cell; none where it depends on the cell.
    fn of_all(self) -> Option<Attach> {
        match self {
            Self::Auto => None,
            Self::BeforeFirstFrame => Some(Attach::BeforeFirstFrame),
            Self::Running => Some(Attach::Running),
            Self::Both => Some(Attach::Both),
        }
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Options that say which cells there are to choose from.
#[derive(Debug, Args)]
pub struct Which {
    /// What stands behind the filter: real guests, or only a tap (needs no guest image).
    #[arg(long, value_enum, default_value_t = Lane::Guest)]
    lane: Lane,
    /// NIC model by libvirt's name; may be repeated [default: pcnet, virtio].
    #[arg(long = "nic", value_name = "MODEL")]
    nics: Vec<String>,
    /// Which NIC models [default: usual; full where --cell is given].
    #[arg(long, value_enum, conflicts_with = "nics")]
    matrix: Option<Matrix>,
    /// Manifest of a foreign guest, your own disk image; may be repeated. Alone it selects its cells.
    #[arg(long = "image", value_name = "MANIFEST.toml")]
    images: Vec<PathBuf>,
    /// Only cells whose name matches, such as 'linux/e1000*'; may be repeated.
    #[arg(long = "cell", value_name = "GLOB")]
    cells: Vec<glob::Pattern>,
    /// When the filter comes (a foreign guest always goes through `live` too).
    #[arg(long, value_enum, default_value_t = AttachChoice::Auto)]
    attach: AttachChoice,
}

/// Options that select cells.
#[derive(Debug, Args)]
pub struct Select {
    #[command(flatten)]
    which: Which,
    /// Only a part of the selected cells: slice:m/n or hash:m/n, m from 1.
    #[arg(long, value_name = "PART")]
    partition: Option<Partition>,
    /// List the selected cells and those that cannot run here, and run nothing.
    #[arg(long)]
    list: bool,
    /// How to list.
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "list")]
    format: Format,
}

impl Select {
    /// Whether the cells are only to be listed.
    pub fn only_lists(&self) -> bool {
        self.list
    }

    /// The plan, for guests from what QEMU has and what the guest image holds.
    pub fn plan(&self, image: Option<&Path>) -> Result<Plan, Failure> {
        Ok(self.selection().plan(image)?)
    }

    /// The foreign guests of a plan.
    pub fn foreign(&self, plan: &Plan) -> Result<Vec<ForeignSource>, Failure> {
        Ok(self.selection().foreign(plan)?)
    }

    /// The plan as text or JSON.
    pub fn listing(&self, plan: &Plan) -> String {
        match self.format {
            Format::Text => plan.to_text(),
            Format::Json => plan.to_json(),
        }
    }

    fn selection(&self) -> Selection {
        Selection {
            partition: self.partition,
            ..self.which.selection()
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::NoCell => Self::nothing(error),
            PlanError::Host(_) => Self::host(error),
            error => Self::usage(error),
        }
    }
}

impl Which {
    /// All cells of the choice.
    pub fn plan(&self, image: Option<&Path>) -> Result<Plan, Failure> {
        Ok(self.selection().plan(image)?)
    }

    fn selection(&self) -> Selection {
        Selection {
            tap: self.lane == Lane::Tap,
            nics: self.nics.clone(),
            matrix: self.matrix.map(|matrix| match matrix {
                Matrix::Usual => plan::Matrix::Usual,
                Matrix::Full => plan::Matrix::Full,
            }),
            images: self.images.clone(),
            cells: self.cells.clone(),
            attach: self.attach.of_all(),
            partition: None,
        }
    }

    /// The same choice as arguments of a command line.
    pub fn arguments(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.lane != Lane::Guest {
            out.extend(["--lane".to_owned(), word(&self.lane)]);
        }
        for nic in &self.nics {
            out.extend(["--nic".to_owned(), nic.clone()]);
        }
        if let Some(matrix) = self.matrix {
            out.extend(["--matrix".to_owned(), word(&matrix)]);
        }
        for image in &self.images {
            out.extend(["--image".to_owned(), image.display().to_string()]);
        }
        for cell in &self.cells {
            out.extend(["--cell".to_owned(), cell.as_str().to_owned()]);
        }
        if self.attach != AttachChoice::Auto {
            out.extend(["--attach".to_owned(), word(&self.attach)]);
        }
        out
    }
}

/// A choice as it is written on the command line.
fn word(choice: &impl ValueEnum) -> String {
    let value = choice.to_possible_value().expect("no choice is hidden");
    value.get_name().to_owned()
}
