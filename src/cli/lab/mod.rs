//! The verbs that need the lab: libvirt, QEMU and a Linux host.

mod bench;
mod crosscheck;
pub mod differences;
mod doctor;
mod dumpxml;
pub mod given;
mod guest_image;
pub mod inside;
mod kernel;
mod matrix;
pub mod mutants;
mod paths;
mod replay;
mod reporting;
mod selection;
mod small_host;
mod verify;
mod worker;

use super::failure::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// The verbs of the feature `lab`.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Prove a filter with real guests, and print a verdict for every cell
    ///
    /// A cell is a guest with a NIC model. Each cell starts as in production: a fresh guest
    /// whose NIC is filtered from its first frame. The guest sends every probe of the catalogue
    /// with the filter, and again after the filter was removed.
    Verify(Box<verify::Options>),
    /// Print the cells as jobs for the scheduler of a CI system
    Matrix(matrix::Options),
    /// Try what the lab needs of this host, and print what is missing and its cure
    ///
    /// lanfence enters namespaces, makes a tap and rules in them, starts dnsmasq and libvirtd
    /// there, and boots a guest under KVM. It changes nothing of the host.
    Doctor(doctor::Options),
    /// Try what needs namespaces; started by `doctor`.
    #[command(name = crate::doctor::outside::WORKER, hide = true)]
    DoctorWorker(doctor::WorkerOptions),
    /// Measure where the time goes
    Bench(bench::Options),
    /// Compare the evaluator behind `check` and `explain` with the kernel, on random filters
    ///
    /// lanfence binds random filters in a private lab, sends random frames both ways, and
    /// compares what the kernel does with what the evaluator predicts. It prints the smallest
    /// filter that still shows a mismatch.
    Crosscheck(crosscheck::Options),
    /// Run cases in namespaces of its own; started by `crosscheck`.
    #[command(name = crate::crosscheck::WORKER, hide = true)]
    CrosscheckWorker(crosscheck::WorkerOptions),
    /// Run cells in namespaces of its own; started by `verify`.
    #[command(name = "__worker", hide = true)]
    Worker(worker::Options),
    /// Show what the real libvirt makes of filters; for tests.
    #[command(name = "__dumpxml", hide = true)]
    DumpXml(dumpxml::Options),
    /// Show what the real libvirt and kernel make of filters and frames; for tests.
    #[command(name = "__kernel", hide = true)]
    Kernel(kernel::Options),
    /// Run a program in what looks like a small host; for tests.
    #[command(name = "__host", hide = true)]
    SmallHost(small_host::Options),
}

impl LabVerb {
    /// Does what the verb says.
    ///
    /// # Errors
    /// When the verb cannot do its work.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Verify(options) => verify::run(options),
            Self::Matrix(options) => matrix::run(options),
            Self::Doctor(options) => doctor::run(options),
            Self::DoctorWorker(options) => doctor::work_inside(options),
            Self::Bench(options) => bench::run(options),
            Self::Crosscheck(options) => crosscheck::run(options),
            Self::CrosscheckWorker(options) => crosscheck::work(options),
            Self::Worker(options) => worker::run(options),
            Self::DumpXml(options) => dumpxml::run(options),
            Self::Kernel(options) => kernel::run(options),
            Self::SmallHost(options) => small_host::run(options),
        }
    }
}
