//! `lanfence mutate`: whether the check would notice a slip in a filter.

mod json;
mod print;
mod report;

use super::baseline::{BaselineOptions, Loaded};
use super::failure::Failure;
use super::options::{
    BackendOption, BindingOptions, MacOption, PolicyOption, PolicySource, layout, load, own,
};
use super::output::{complain, say};
use crate::layout::Layout;
use crate::mutate::{Binding, mutate};
use crate::nwfilter::{FilterTree, Parameter, Strictness, generate};
use crate::policy::Policy;
use crate::report::baseline::{Subject, Verb, read};
use crate::report::model::Identity;
use crate::report::table;
use crate::verdict::Exit;
use clap::Args;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `mutate`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships [default:
    /// the filter generated from the policy]
    #[arg(value_name = "FILTER", help_heading = "Filter", display_order = 0)]
    filters: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    mac: MacOption,
    #[command(flatten)]
    backend: BackendOption,
    #[command(flatten)]
    baseline: BaselineOptions,
    /// Write every mutant and what became of it to FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    #[cfg(feature = "lab")]
    #[command(flatten)]
    kernel: super::lab::mutants::KernelOptions,
}

/// Judges every mutant and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let baseline = options.baseline.load()?;
    let PolicySource {
        policy,
        origin,
        text,
    } = options.policy.read()?;
    let tree = if options.filters.is_empty() {
        FilterTree::generated(generate(&policy))
    } else {
        let bind = options.binding.bind.as_deref();
        load(&options.filters, bind, Strictness::Strict)?
    };
    let parameters = &options.binding.parameters.list;
    let layout = layout(&policy, options.mac.mac, tree.given_address(parameters))?;
    let (mac, address) = (layout.guest.mac, layout.guest.v4);
    let bound = tree
        .bind(mac, address, parameters, options.backend.with(None))
        .map_err(Failure::usage)?;
    let own = own(parameters, &bound, address);
    let identity = Identity::of_tree(&policy, &text, &tree).map_err(Failure::usage)?;
    if let Some(baseline) = &baseline {
        baseline.suits(&subject(&tree, &identity))?;
    }
    let binding = Binding {
        parameters,
        own: &own,
        backend: options.backend.with(None),
    };
    let mutants = mutate(&tree, &policy, &layout, binding).map_err(Failure::usage)?;
    let report = Report {
        identity,
        parameters: Parameter::all(parameters, bound.address, Some(address)),
        policy: origin,
        backend: binding.backend,
        tree,
        mutants,
    };
    let own = print(&report, baseline.as_ref())?;
    let exit = worse(own, kernel(options, &policy, &layout, &report)?);
    let Some(path) = &options.json else {
        return Ok(exit.into());
    };
    match std::fs::write(path, json::json(&report)) {
        Err(error) if exit == Exit::Pass => Err(Failure::file(path, error)),
        // What is proven counts for more.
        Err(error) => {
            complain(&Failure::file(path, error));
            Ok(exit.into())
        }
        Ok(()) => Ok(exit.into()),
    }
}

/// What a baseline must be about.
fn subject(tree: &FilterTree, identity: &Identity) -> Subject {
    Subject {
        verb: Verb::Mutate,
        ..Subject::of(&tree.top, identity)
    }
}

/// Prints the mutants, or what changed against a baseline.
fn print(report: &Report, baseline: Option<&Loaded>) -> Result<Exit, Failure> {
    let Some(baseline) = baseline else {
        say(&print::text(report))?;
        return Ok(report.mutants.exit());
    };
    let observed = read(&json::json(report), "these mutants").map_err(Failure::host)?;
    let (found, against) = (baseline.hold(&observed)?, baseline.against());
    let changes = table::comparison(&found, against, false);
    say(&format!("{}\n{changes}", print::head(report)))?;
    Ok(found.conclusion(against.strict).exit())
}

/// What of the two counts for more: a failure, then what is not proven.
fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Fail || other == Exit::Pass {
        one
    } else {
        other
    }
}

/// Binds mutants for real where that was asked for.
#[cfg(feature = "lab")]
fn kernel(
    options: &Options,
    policy: &Policy,
    layout: &Layout,
    report: &Report,
) -> Result<Exit, Failure> {
    let parameters = super::lab::given::parameters(
        &options.binding.parameters.list,
        &report.tree,
        layout.guest.v4,
    );
    let original = super::lab::mutants::Original {
        tree: &report.tree,
        policy,
        layout,
        parameters: &parameters,
        backend: report.backend,
    };
    super::lab::mutants::run(&options.kernel, &original, &report.mutants)
}

/// Without the lab nothing is bound.
#[cfg(not(feature = "lab"))]
#[expect(clippy::unnecessary_wraps, reason = "with the lab it can fail")]
fn kernel(_: &Options, _: &Policy, _: &Layout, _: &Report) -> Result<Exit, Failure> {
    Ok(Exit::Pass)
}
