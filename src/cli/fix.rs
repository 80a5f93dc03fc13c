//! `lanfence fix`: the smallest change of a filter that makes `check` prove the policy.

mod json;
mod print;
mod report;
#[cfg(feature = "lab")]
mod tap;

use super::failure::Failure;
use super::guest::{Besides, DEFINITION, GuestOptions};
use super::options::{
    BackendOption, BindingOptions, MacOption, PolicyOption, PolicySource, layout, load, own,
};
use super::output::say;
use crate::check::{Expectations, check};
use crate::fix::{Binding, Fix, FixError, fix};
use crate::layout::Layout;
use crate::nwfilter::lint::{self, Levels};
use crate::nwfilter::{FilterTree, Parameter, Strictness, document};
use crate::policy::Policy;
use crate::report::model::Identity;
use crate::verdict::{Conclusion, Exit, Verdict};
use clap::Args;
use report::{Gap, Report};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `fix`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, or several of which one refers to the others; the one that is bound is fixed
    #[arg(
        value_name = "FILTER",
        required_unless_present = DEFINITION,
        help_heading = "Filter",
        display_order = 0
    )]
    filters: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    mac: MacOption,
    #[command(flatten)]
    backend: BackendOption,
    /// Write the fixed filter to a file
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Write every edit, and the filter before and after, to FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Prove the fixed filter in the tap test as well, with a real libvirt and kernel
    #[cfg(feature = "lab")]
    #[arg(long, help_heading = "Output")]
    verify: bool,
}

/// What is wrong with a fix that this program itself made.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// It cannot be read.
    #[error("the fixed filter cannot be read: {0}; this is a bug of lanfence")]
    Unreadable(#[from] crate::nwfilter::ReadError),
    /// `check` does not prove it.
    #[error("`check` does not prove the fixed filter; this is a bug of lanfence")]
    NotProven,
}

/// Searches and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let PolicySource {
        policy,
        origin,
        text,
    } = options.policy.read()?;
    let besides = Besides {
        filters: &options.filters,
        binding: &options.binding,
        mac: options.mac.mac,
        backend: options.backend.given(),
        strictness: Strictness::Strict,
        policy: Some(&policy),
    };
    let bind = options.binding.bind.as_deref();
    let own_tree = || load(&options.filters, bind, Strictness::Strict);
    let meant = options.guest.meant(besides, own_tree)?;
    let backend = options.backend.with(meant.backend);
    let (tree, parameters) = (meant.tree, &meant.parameters);
    let layout = layout(&policy, meant.mac, tree.given_address(parameters))?;
    let bound = tree
        .bind(layout.guest.mac, layout.guest.v4, parameters, backend)
        .map_err(Failure::usage)?;
    let own = own(parameters, &bound, layout.guest.v4);
    let expectations = Expectations::of(&policy, &layout, &own, backend);
    let binding = Binding {
        layout: &layout,
        expectations: &expectations,
        parameters,
        backend,
    };
    let found = fix(&tree, &policy, binding).map_err(not_found)?;
    let (idle, gaps) = checked(&tree, &found, &policy, binding)?;
    let report = Report {
        identity: Identity::of_tree(&policy, &text, &tree).map_err(Failure::usage)?,
        parameters: Parameter::all(parameters, bound.address, Some(layout.guest.v4)),
        policy: origin,
        guest: meant.guest,
        backend,
        tree,
        fix: found,
        idle,
        gaps,
    };
    write(options.output.as_deref(), &report.fix.after)?;
    write(options.json.as_deref(), &json::json(&report))?;
    say(&print::text(&report))?;
    #[cfg(feature = "lab")]
    if options.verify {
        let bound = tap::Bound {
            policy: options.policy.arguments(),
            parameters,
            mac: meant.mac,
        };
        return tap::verified(&report, bound);
    }
    Ok(Exit::Pass.into())
}

/// That there is no fix.
fn not_found(error: FixError) -> Failure {
    let exit = match error {
        FixError::NoFile(_) => Exit::Usage,
        FixError::NotProvable(_) => Exit::Inconclusive,
    };
    Failure::new(exit, error)
}

/// Writes a file that was asked for.
fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text).map_err(|error| Failure::file(path, error))
}

/// Checks the text that is printed as `check` does, by reading it anew; rules that never act then, and
/// the known gaps.
fn checked(
    tree: &FilterTree,
    fix: &Fix,
    policy: &Policy,
    binding: Binding<'_>,
) -> Result<(Vec<String>, Vec<Gap>), Failure> {
    let read = document(&fix.after, &tree.top)
        .map_err(|error| Failure::new(Exit::Internal, Broken::from(error)))?;
    let mut fixed = tree.clone();
    let mut filters = fixed.filters.iter_mut();
    if let Some(filter) = filters.find(|filter| filter.name == tree.top) {
        *filter = read.filter;
    }
    let Layout { guest, .. } = binding.layout;
    let bound = fixed
        .bind(guest.mac, guest.v4, binding.parameters, binding.backend)
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    let levels = Levels::default();
    let (layout, expectations) = (binding.layout, binding.expectations);
    let checked = check(
        &bound.filter,
        policy,
        layout,
        expectations,
        Vec::new(),
        &levels,
    );
    if checked.conclusion() != Conclusion::Pass {
        return Err(Failure::new(Exit::Internal, Broken::NotProven));
    }
    let gaps = checked.judgement.with(Verdict::KnownGap).map(|judged| Gap {
        id: judged.probe.id.clone(),
        summary: judged.probe.summary.clone(),
        remedy: judged.probe.known_gap.unwrap_or_default(),
    });
    Ok((idle(tree, &fixed, binding), gaps.collect()))
}

/// Rules that were left as before and that never act in the fixed filter: the proof does not need
/// that they go, and they say what is not so.
fn idle(tree: &FilterTree, fixed: &FilterTree, binding: Binding<'_>) -> Vec<String> {
    const NEVER_ACTS: [&str; 2] = ["never-acts", "redundant-rule"];
    let Layout { guest, .. } = binding.layout;
    let rules = |tree: &FilterTree| -> Vec<String> {
        let bound = tree.bind(guest.mac, guest.v4, binding.parameters, binding.backend);
        let Ok(bound) = bound else {
            return Vec::new();
        };
        let findings = lint::lint(&tree.filters, &tree.top, &bound.filter).into_iter();
        let findings = findings.filter(|finding| NEVER_ACTS.contains(&finding.lint));
        let origins = findings.filter_map(|finding| finding.rule);
        origins.map(|origin| tree.rule_text(&origin)).collect()
    };
    let before = rules(tree);
    let new = rules(fixed).into_iter();
    new.filter(|rule| !before.contains(rule)).collect()
}
