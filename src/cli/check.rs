//! `lanfence check`: a filter held against the policy, without a guest.

mod json;
mod print;
mod report;

use super::failure::Failure;
use super::guest::{Besides, GuestOptions, Meant};
use super::levels::{self, Format};
use super::options::{
    BackendOption, BindingOptions, LenientOption, MacOption, PolicyOption, PolicySource, layout,
    load, own,
};
use super::output::say;
use super::sarif::{self, Result as SarifResult};
use crate::check::learning::LearningPhase;
use crate::check::probes::left_out;
use crate::check::{Checked, Expectations, check};
use crate::frame::summary;
use crate::nwfilter::evaluate::{Evaluation, TraceStep};
use crate::nwfilter::examples::EXAMPLE_MAC;
use crate::nwfilter::lint;
use crate::nwfilter::statements::{Held, Ruling};
use crate::nwfilter::{FilterTree, Parameter, Position};
use crate::policy::Policy;
use crate::verdict::{Failure as Wrong, Verdict};
use clap::Args;
use report::Report;
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
    /// Format of the output
    #[arg(long, value_enum, help_heading = "Output", default_value_t)]
    format: Format,
}

/// Checks and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let levels = options.levels.levels()?;
    let PolicySource { policy, origin, .. } = options.policy.read()?;
    let meant = meant(options, &policy)?;
    let (tree, parameters) = (meant.tree, &meant.parameters);
    let layout = layout(&policy, meant.mac, tree.given_address(parameters))?;
    let (mac, address) = (layout.guest.mac, layout.guest.v4);
    let mut bound = tree
        .bind(mac, address, parameters, options.backend.backend)
        .map_err(Failure::usage)?;
    if options.no_bridge_nf {
        bound.filter = bound.filter.without_bridge_nf();
    }
    let filter = &bound.filter;
    let mut findings = tree.ignored();
    findings.extend(lint::lint(&tree.filters, &tree.top, filter));
    // What hangs on the example address or MAC is no finding about the filter. A large filter
    // is looked at once more only where that matters.
    if findings.iter().any(lint::hangs_on_values) {
        let mac = meant.mac.unwrap_or(EXAMPLE_MAC);
        let steady = lint::whole(&tree.filters, &tree.top, mac, parameters);
        findings.retain(|finding| {
            let same = |other| lint::is_same(finding, other);
            !lint::hangs_on_values(finding) || steady.findings.iter().any(same)
        });
    }
    let own = own(parameters, &bound, address);
    let left_out = if own.is_empty() {
        Vec::new()
    } else {
        left_out(&policy, &layout)
    };
    let expectations = Expectations::of(&policy, &layout, &own, options.backend.backend);
    let report = Report {
        checked: Checked {
            learning: LearningPhase::of(&bound, expectations.trials()),
            ..check(filter, &policy, &layout, &expectations, findings, &levels)
        },
        parameters: Parameter::all(parameters, bound.address, Some(address)),
        left_out,
        policy: origin,
        guest: meant.guest,
        backend: options.backend.backend,
        tree,
    };
    let text = match options.format {
        Format::Text => print::text(&report),
        Format::Sarif => sarif::document(&results(&report)),
        Format::Json => format!("{}\n", json::json(&report)),
    };
    say(&text)?;
    Ok(report.checked.conclusion().exit().into())
}

/// The filter that is meant: the guest's, the user's own, or the generated one.
fn meant(options: &Options, policy: &Policy) -> Result<Meant, Failure> {
    let besides = Besides {
        filters: &options.filters,
        binding: &options.binding,
        mac: options.mac.mac,
        backend: Some(options.backend.backend),
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

/// Findings of the lint and verdicts that are wrong, the latter where the rule
/// that decided stands.
fn results(report: &Report) -> Vec<SarifResult> {
    let (tree, checked) = (&report.tree, &report.checked);
    let lints = checked.lint.iter();
    let mut out: Vec<SarifResult> = lints
        .map(|finding| SarifResult::of(tree, finding))
        .collect();
    let statements = checked.judgement.statements.iter();
    out.extend(statements.filter_map(|held| broken(tree, held)));
    for verdict in [Wrong::Leak, Wrong::Blocked].map(Verdict::Fail) {
        out.extend(checked.judgement.with(verdict).map(|judged| {
            let (path, place) = decided(tree, &judged.evaluation);
            SarifResult {
                rule: verdict.word().to_owned(),
                level: "error",
                message: format!("{}: {}", judged.probe.id, judged.probe.summary),
                path,
                place,
            }
        }));
    }
    out
}

/// Where the rule stands that decided about a frame; else the first file.
fn decided(tree: &FilterTree, evaluation: &Evaluation) -> (Option<String>, Option<Position>) {
    let last = evaluation.trace.iter().rev().find_map(TraceStep::origin);
    match last.and_then(|origin| tree.rule_place(origin)) {
        Some((path, place)) => (Some(path.to_owned()), Some(place)),
        None => (tree.paths().first().map(|path| (*path).to_owned()), None),
    }
}

/// The first frame that breaks a statement.
fn broken(tree: &FilterTree, held: &Held) -> Option<SarifResult> {
    let wrong = held.wrong.first()?;
    let (path, place) = decided(tree, &wrong.evaluation);
    let verdict = match held.statement.ruling() {
        Ruling::Required => Wrong::Blocked,
        _ => Wrong::Leak,
    };
    Some(SarifResult {
        rule: Verdict::Fail(verdict).word().to_owned(),
        level: "error",
        message: format!(
            "{}: {} This frame is treated otherwise: {}",
            held.statement.id(),
            held.statement.sentence(),
            summary(&wrong.frame)
        ),
        path,
        place,
    })
}
