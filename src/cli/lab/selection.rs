//! Which cells to run, as options.

use crate::cli::failure::Failure;
use crate::verdict::Exit;
use crate::verify::job::{Attach, ForeignSource};
use crate::verify::plan::{self, Partition, Plan, PlanError, Selection};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// `--matrix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Matrix {
    /// pcnet and virtio
    Usual,
    /// Every NIC model that QEMU has
    Full,
}

/// `--attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AttachChoice {
    /// Before the first frame; in the first Linux and iPXE cell also to the running guest
    Auto,
    /// The filter is present before the first frame
    BeforeFirstFrame,
    /// The filter is attached to a running guest
    Running,
    /// Both in every cell
    Both,
}

impl AttachChoice {
    /// What holds for every cell; none where it depends on the cell.
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
    /// One cell a line
    Text,
    /// For programs
    Json,
}

/// Options that say which cells there are to choose from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct Which {
    /// Test on a tap device, without a guest; needs no guest image
    ///
    /// lanfence writes the frames into the tap that a guest would have. This tests libvirt and
    /// the kernel, not the driver of a guest.
    #[arg(long)]
    tap: bool,
    /// NIC model by the name that libvirt gives it; may be repeated [default: pcnet, virtio]
    #[arg(long = "nic", value_name = "MODEL")]
    nics: Vec<String>,
    /// NIC models of the matrix [default: usual, or full when --cell is given]
    #[arg(long, value_enum, conflicts_with = "nics")]
    matrix: Option<Matrix>,
    /// Manifest of your own disk image; may be repeated
    ///
    /// Without --nic and --matrix only the cells of the manifests run. docs/own-images.md
    /// describes the file.
    #[arg(long = "image", value_name = "MANIFEST.toml")]
    images: Vec<PathBuf>,
    /// Run only the cells whose name matches, such as 'linux/e1000*'; may be repeated
    #[arg(long = "cell", value_name = "GLOB")]
    cells: Vec<glob::Pattern>,
    /// When the filter is attached to the NIC
    ///
    /// With your own disk image, `running` is always tested too.
    #[arg(long, value_enum, default_value_t = AttachChoice::Auto)]
    attach: AttachChoice,
}

/// Options that select cells.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct Select {
    #[command(flatten)]
    which: Which,
    /// Run only one part of the selected cells: slice:M/N or hash:M/N, with M from 1 to N
    #[arg(long, value_name = "PART")]
    partition: Option<Partition>,
    /// List the selected cells and those that cannot run here, and run nothing
    #[arg(long)]
    list: bool,
    /// Output format of --list
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output", requires = "list")]
    format: Format,
}

impl Select {
    /// The same with this NIC model where no other cells are chosen.
    #[must_use]
    pub fn with_nic(&self, nic: Option<&str>) -> Self {
        let mut select = self.clone();
        let which = &mut select.which;
        let is_chosen = which.tap
            || which.matrix.is_some()
            || !(which.nics.is_empty() && which.images.is_empty() && which.cells.is_empty());
        if !is_chosen {
            which.nics.extend(nic.map(str::to_owned));
        }
        select
    }

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
        let exit = match error {
            PlanError::NoCell => Exit::Nothing,
            PlanError::Host(_) => Exit::Host,
            _ => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

impl Which {
    /// All cells of the choice.
    pub fn plan(&self, image: Option<&Path>) -> Result<Plan, Failure> {
        Ok(self.selection().plan(image)?)
    }

    fn selection(&self) -> Selection {
        Selection {
            tap: self.tap,
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
        if self.tap {
            out.push("--tap".to_owned());
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
