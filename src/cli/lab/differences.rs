//! `lanfence diff --kernel`: what libvirt and the kernel of this host make of the frames that two
//! filters, or two back ends, treat differently.

use super::crosscheck::failure;
use super::given::{parameters, texts};
use crate::cli::diff::measured::Measured;
use crate::cli::failure::Failure;
use crate::crosscheck::{self, Given, GivenFilter, Mutation};
use crate::frame::Mac;
use crate::lab::Shortcuts;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Backend;
use crate::random::GUEST;
use clap::Args;
use std::net::Ipv4Addr;

/// Frames from the boundaries of the filter's own rules, sent besides the examples.
const BOUNDARY: usize = 200;

/// Options of the part that needs a lab.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    /// Bind both filters in a lab too, and compare what the kernel does with what is printed
    ///
    /// Each gets the examples and frames from the boundaries of its own rules, in both directions.
    /// A mismatch fails. A back end that this host's libvirt lacks ends with exit code 3.
    #[arg(long, conflicts_with = "mac")]
    pub kernel: bool,
    /// Make the evaluator wrong, for tests of what a mismatch looks like.
    #[arg(long, value_name = "WHAT", hide = true, requires = "kernel")]
    mutation: Option<Mutation>,
}

impl KernelOptions {
    /// MAC address of the lab's guest, where one is wanted.
    pub fn guest(&self) -> Option<Mac> {
        self.kernel.then_some(GUEST)
    }
}

/// A filter that is bound for real.
#[derive(Debug)]
pub struct Bound<'a> {
    /// The filters.
    pub tree: &'a FilterTree,
    /// Parameters of the binding.
    pub parameters: &'a [(String, String)],
    /// The guest's address.
    pub address: Ipv4Addr,
    /// Back end of libvirt.
    pub backend: Backend,
}

/// Binds the filter, sends the frames both ways, and compares.
///
/// # Errors
/// When the host cannot run a lab, its libvirt lacks the back end, or the lab breaks down.
pub fn measure(
    options: &KernelOptions,
    of: &Bound<'_>,
    frames: &[Vec<u8>],
) -> Result<Measured, Failure> {
    let given = Given {
        filters: vec![GivenFilter {
            number: 0,
            texts: texts(of.tree).map_err(Failure::usage)?,
            parameters: parameters(of.parameters, of.tree, of.address),
        }],
        frames: frames.to_vec(),
        boundary: BOUNDARY,
        seed: 1,
        backend: of.backend,
        mutation: options.mutation,
        shortcuts: Shortcuts::all(),
    };
    let found = crosscheck::given(&given, 1, 1, |_| {}).map_err(failure)?;
    Ok(Measured {
        bound: found.bound > 0,
        compared: found.compared,
        dropped: found.dropped,
        mismatch: found.mismatches.into_iter().next().map(|(_, words)| words),
    })
}
