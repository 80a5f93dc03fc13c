//! `lanfence check`: a filter held against the policy, without a guest.

mod compare;
mod json;
mod print;
mod report;
mod results;

use super::baseline::BaselineOptions;
use super::failure::Failure;
use super::guest::{Besides, GuestOptions, Meant};
use super::levels::{self, Format};
use super::options::{
    BackendOption, BindingOptions, LenientOption, MacOption, PolicyOption, PolicySource, layout,
    load, own,
};
use super::output::say;
use super::sarif;
use crate::check::learning::LearningPhase;
use crate::check::probes::left_out;
use crate::check::{Checked, Expectations, check};
use crate::diagnosis::{Subject, causes_of};
use crate::frame::Mac;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::examples::EXAMPLE_MAC;
use crate::nwfilter::lint::{self, Finding, Levels};
use crate::nwfilter::{FilterTree, Parameter};
use crate::policy::Policy;
use crate::report::model::Identity;
use clap::Args;
use report::Report;
use results::results;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships [default:
    /// the filter generated from the policy]
    #[arg(value_name = "FILTER", help_heading = "Filter", display_order = 0)]
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
    /// Check for a host with net.bridge.bridge-nf-call-iptables=0
    ///
    /// On such a host the kernel does not apply the rules of layer 3.
    #[arg(long, help_heading = "Filter")]
    no_bridge_nf: bool,
    #[command(flatten)]
    lenient: LenientOption,
    #[command(flatten)]
    levels: levels::LevelOptions,
    #[command(flatten)]
    baseline: BaselineOptions,
    /// Format of the output
    #[arg(long, value_enum, help_heading = "Output", default_value_t)]
    format: Format,
    /// List the probes of each cause
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

/// Checks and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let levels = options.levels.levels()?;
    let baseline = options.baseline.load()?;
    let PolicySource {
        policy,
        origin,
        text,
    } = options.policy.read()?;
    let meant = meant(options, &policy)?;
    let backend = options.backend.with(meant.backend);
    let (tree, parameters) = (meant.tree, &meant.parameters);
    let layout = layout(&policy, meant.mac, tree.given_address(parameters))?;
    let (mac, address) = (layout.guest.mac, layout.guest.v4);
    let mut bound = tree
        .bind(mac, address, parameters, backend)
        .map_err(Failure::usage)?;
    if options.no_bridge_nf {
        bound.filter = bound.filter.without_bridge_nf();
    }
    let filter = &bound.filter;
    let findings = findings(&tree, filter, meant.mac, parameters);
    let own = own(parameters, &bound, address);
    let left_out = if own.is_empty() {
        Vec::new()
    } else {
        left_out(&policy, &layout)
    };
    let expectations = Expectations::of(&policy, &layout, &own, backend);
    let checked = Checked {
        learning: LearningPhase::of(&bound, expectations.trials()),
        ..check(filter, &policy, &layout, &expectations, findings, &levels)
    };
    let subject = Subject {
        tree: &tree,
        filter,
        rulings: expectations.rulings(),
    };
    let identity = Identity::of_tree(&policy, &text, &tree).map_err(Failure::usage)?;
    let report = Report {
        identity,
        bridge_nf: !options.no_bridge_nf,
        denied: denied(&checked, &levels),
        causes: causes_of(&subject, &checked.judgement),
        verbose: options.verbose,
        checked,
        parameters: Parameter::all(parameters, bound.address, Some(address)),
        left_out,
        policy: origin,
        guest: meant.guest,
        backend,
        tree,
    };
    if let Some(baseline) = &baseline {
        return compare::run(&report, baseline, options.format);
    }
    say(&rendered(&report, options.format))?;
    Ok(report.checked.conclusion().exit().into())
}

/// The report as the user asked for it.
fn rendered(report: &Report, format: Format) -> String {
    match format {
        Format::Text => print::text(report),
        Format::Sarif => sarif::document(&results(report, None)),
        Format::Json => format!("{}\n", json::json(report)),
    }
}

/// Names of the lints that are denied and have findings.
fn denied(checked: &crate::check::Checked, levels: &Levels) -> Vec<String> {
    let denied = checked.lint.iter().map(|finding| finding.lint);
    let denied = denied.filter(|lint| levels.denies(lint));
    denied.map(str::to_owned).collect()
}

/// What the lints find that does not hang on an example.
fn findings(
    tree: &FilterTree,
    filter: &Compiled,
    mac: Option<Mac>,
    parameters: &[(String, String)],
) -> Vec<Finding> {
    let mut findings = tree.ignored();
    findings.extend(lint::lint(&tree.filters, &tree.top, filter));
    // What hangs on the example address or MAC is no finding about the filter. A large filter
    // is looked at once more only where that matters.
    if findings.iter().any(lint::hangs_on_values) {
        let mac = mac.unwrap_or(EXAMPLE_MAC);
        let steady = lint::whole(&tree.filters, &tree.top, mac, parameters, filter.backend());
        findings.retain(|finding| {
            let same = |other| lint::is_same(finding, other);
            !lint::hangs_on_values(finding) || steady.findings.iter().any(same)
        });
    }
    findings
}

/// The filter that is meant: the guest's, the user's own, or the generated one.
fn meant(options: &Options, policy: &Policy) -> Result<Meant, Failure> {
    let besides = Besides {
        filters: &options.filters,
        binding: &options.binding,
        mac: options.mac.mac,
        backend: options.backend.given(),
        strictness: options.lenient.strictness(),
        policy: Some(policy),
    };
    options.guest.meant(besides, || {
        if options.filters.is_empty() {
            return Ok(FilterTree::generated(crate::nwfilter::generate(policy)));
        }
        load(
            &options.filters,
            options.binding.bind.as_deref(),
            besides.strictness,
        )
    })
}
