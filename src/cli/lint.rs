//! `lanfence lint`: filters that do not mean what they say.

mod definitions;

use super::failure::Failure;
use super::guest::{Besides, DEFINITION, GuestOptions};
use super::levels::{self, Format};
use super::options::{BackendOption, BindingOptions, MacOption, load};
use super::output::say;
use super::sarif::{self, Result as SarifResult};
use crate::nwfilter::examples::{EXAMPLE_MAC, Variable};
use crate::nwfilter::learning::Learning;
use crate::nwfilter::lint::{self, Finding, Levels, Severity};
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{FilterTree, Strictness, write};
use crate::report::text::plural;
use crate::verdict::Exit;
use clap::Args;
use definitions::Definitions;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `lint`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships; also a
    /// guest, an interface or a network as virsh prints it
    #[arg(
        required_unless_present = DEFINITION,
        value_name = "FILTER",
        help_heading = "Filter",
        display_order = 0
    )]
    filters: Vec<PathBuf>,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    mac: MacOption,
    #[command(flatten)]
    backend: BackendOption,
    #[command(flatten)]
    levels: levels::LevelOptions,
    /// Format of the output
    #[arg(long, value_enum, help_heading = "Output", default_value_t)]
    format: Format,
}

/// What was found out about the files.
struct Linted {
    tree: FilterTree,
    findings: Vec<Finding>,
    /// Why they make no filter that can be bound, where that is so.
    unbound: Option<String>,
    /// What nothing sets, with the values that stood for it.
    examples: Vec<Variable>,
    /// What libvirt learns the guest's address from, where it does.
    learning: Option<Learning>,
}

impl Linted {
    fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Fails where there is an error.
    fn exit(&self) -> Exit {
        match self.count(Severity::Error) {
            0 => Exit::Pass,
            _ => Exit::Fail,
        }
    }
}

/// Reads the files as libvirt does and looks at them.
fn linted(options: &Options, levels: &Levels) -> Result<Linted, Failure> {
    let definitions = Definitions::among(&options.filters)?;
    let strictness = Strictness::AsLibvirt;
    let besides = Besides {
        filters: &definitions.filters,
        binding: &options.binding,
        mac: options.mac.mac,
        backend: options.backend.given(),
        strictness,
        policy: None,
    };
    let bind = options.binding.bind.as_deref();
    let meant = options.guest.meant(besides, || {
        if definitions.filters.is_empty() {
            return Ok(FilterTree::default());
        }
        load(&definitions.filters, bind, strictness)
    })?;
    let mut tree = meant.tree;
    let mut linted = Linted {
        findings: tree.ignored(),
        unbound: None,
        examples: Vec::new(),
        learning: None,
        tree: FilterTree::default(),
    };
    if !tree.filters.is_empty() {
        let mac = meant.mac.unwrap_or(EXAMPLE_MAC);
        let backend = options.backend.with(meant.backend);
        let whole = lint::whole(&tree.filters, &tree.top, mac, &meant.parameters, backend);
        linted.findings.extend(whole.findings);
        linted.unbound = whole.unbound.map(|error| tree.located(error).to_string());
        (linted.examples, linted.learning) = (whole.examples, whole.learning);
        // libvirt's own get theirs when it is installed.
        let filters = tree.filters.iter();
        let own = filters.filter(|filter| !tree.is_shipped(&filter.name));
        linted.findings.extend(own.filter_map(lint::without_uuid));
    }
    linted.findings.extend(definitions.lint(&mut tree));
    linted.findings = levels.apply(linted.findings);
    linted.tree = tree;
    Ok(linted)
}

/// Prints the findings.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let levels = options.levels.levels()?;
    let linted = linted(options, &levels)?;
    let printed = match options.format {
        Format::Text => text(&linted),
        Format::Json => json(&linted),
        Format::Sarif => {
            let results = linted.findings.iter();
            let results: Vec<SarifResult> = results
                .map(|finding| SarifResult::of(&linted.tree, finding))
                .collect();
            sarif::document(&results)
        }
    };
    say(&printed)?;
    Ok(linted.exit().into())
}

fn text(linted: &Linted) -> String {
    let mut out = levels::text(&linted.tree, &linted.findings);
    for filter in linted.tree.misread() {
        let _ = writeln!(out, "\nlibvirt reads the filter {} as", filter.name);
        for line in write(filter).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(why) = &linted.unbound {
        let _ = writeln!(
            out,
            "\nlibvirt cannot bind this filter, so its chains were not analysed: {why}"
        );
    }
    if !linted.examples.is_empty() {
        let _ = writeln!(
            out,
            "\nNothing sets these; the rules were looked at with examples"
        );
        for variable in &linted.examples {
            let learned = match (variable.name.as_str(), linted.learning) {
                (variables::IP, Some(Learning::Any)) => {
                    ", which libvirt learns from the guest's traffic"
                }
                (variables::IP, Some(Learning::Dhcp)) => {
                    ", which libvirt learns from the guest's DHCP lease"
                }
                _ => "",
            };
            let _ = writeln!(
                out,
                "  {}={}{learned}",
                variable.name,
                variable.values.join(" ")
            );
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "{}, {}, {}",
        plural(linted.count(Severity::Error), "error"),
        plural(linted.count(Severity::Warning), "warning"),
        plural(linted.count(Severity::Note), "note")
    );
    out
}

fn json(linted: &Linted) -> String {
    let tree = &linted.tree;
    let understood: Vec<_> = tree
        .misread()
        .map(|filter| json!({ "filter": filter.name, "xml": write(filter) }))
        .collect();
    let findings = linted.findings.iter();
    let document = json!({
        "schema_version": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "filter": (!tree.filters.is_empty()).then_some(&tree.top),
        "files": tree.paths(),
        "exit_code": linted.exit().code(),
        "lint": findings.map(|finding| levels::json(tree, finding)).collect::<Vec<_>>(),
        "understood": understood,
        "unbound": linted.unbound,
        "examples": linted.examples.iter().map(|variable| json!({
            "name": variable.name,
            "values": variable.values,
        })).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}
