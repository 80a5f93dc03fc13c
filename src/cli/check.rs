//! `lanfence check`: a filter held against the policy, without a guest.

mod json;
mod print;

use super::explain::mac;
use super::levels::{self, Format};
use super::sarif::{self, Result as SarifResult};
use super::tree::{backend, compile, load, parameter};
use super::{Failure, generate, say};
use crate::check::{Checked, check};
use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Backend, TraceStep};
use crate::nwfilter::lint;
use crate::nwfilter::{FilterTree, Strictness};
use crate::policy::Policy;
use crate::verdict::{Failure as Wrong, Verdict};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter files, or folders of them; without any, the filter generated from the policy.
    #[arg(value_name = "FILTER.xml")]
    filters: Vec<PathBuf>,
    /// Policy file; without it, lanfence.toml here, else the shipped example.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The filter that the interface refers to, where several could be bound.
    #[arg(long, value_name = "NAME", requires = "filters")]
    bind: Option<String>,
    /// A parameter of the filterref; a repeated name makes a list.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The guest's MAC; any will do.
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac: Option<Mac>,
    /// Judge for a host with net.bridge.bridge-nf-call-iptables=0, where layer-3 rules do nothing.
    #[arg(long)]
    no_bridge_nf: bool,
    /// The back end of libvirt that translates the filter: ebtables (measured) or
    /// nftables (as read in libvirt's source; no release has it yet).
    #[arg(long, value_name = "NAME", default_value_t, value_parser = backend)]
    backend: Backend,
    /// Read the files as libvirt does, and name what it ignores, instead of refusing them.
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    levels: levels::LevelOptions,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A finished check with what it was made of.
struct Report {
    policy: String,
    backend: Backend,
    tree: FilterTree,
    checked: Checked,
}

/// Checks and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let levels = options.levels.levels()?;
    let reading = if options.lenient {
        Strictness::AsLibvirt
    } else {
        Strictness::Strict
    };
    let generate::Source { policy, origin, .. } = generate::policy(options.policy.as_deref())?;
    let tree = if options.filters.is_empty() {
        FilterTree::generated(crate::nwfilter::generate(&policy))
    } else {
        load(&options.filters, options.bind.as_deref(), reading)?
    };
    let layout = layout(&policy, options.mac)?;
    let mac = layout.guest.mac;
    let mut filter = compile(&tree, mac, &options.parameters, options.backend)?;
    if options.no_bridge_nf {
        filter = filter.without_bridge_nf();
    }
    let mut findings = tree.ignored();
    findings.extend(lint::lint(&tree.filters, &tree.top, &filter));
    let report = Report {
        checked: check(&filter, &policy, &layout, findings, &levels),
        policy: origin,
        backend: options.backend,
        tree,
    };
    let text = match options.format {
        Format::Text => print::text(&report),
        Format::Sarif => sarif::document(&results(&report)),
        Format::Json => format!("{}\n", json::json(&report)),
    };
    say(&text).map_err(Failure::usage)?;
    Ok(report.checked.conclusion().exit().into())
}

/// Findings of the lint and verdicts that are wrong, the latter where the rule
/// that decided stands.
fn results(report: &Report) -> Vec<SarifResult> {
    let (tree, checked) = (&report.tree, &report.checked);
    let lints = checked.lint.iter();
    let mut out: Vec<SarifResult> = lints
        .map(|finding| SarifResult::of(tree, finding))
        .collect();
    for verdict in [Wrong::Leak, Wrong::Blocked].map(Verdict::Fail) {
        out.extend(checked.with(verdict).map(|judged| {
            let last = judged
                .evaluation
                .trace
                .iter()
                .rev()
                .find_map(TraceStep::origin);
            let place = last.and_then(|origin| tree.rule_place(origin));
            let first = tree.paths().first().map(|path| (*path).to_owned());
            let (path, place) = place.map_or((first, None), |(path, place)| {
                (Some(path.to_owned()), Some(place))
            });
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

fn layout(policy: &Policy, mac: Option<Mac>) -> Result<Layout, Failure> {
    let layout = Layout::of(policy).map_err(Failure::usage)?;
    Ok(match mac {
        Some(mac) => layout.with_guest_mac(mac),
        None => layout,
    })
}

/// A frame in hexadecimal, as `explain --frame` takes it.
pub fn hex(frame: &[u8]) -> String {
    crate::frame::to_hex(frame)
}
