//! `lanfence check`: a filter held against the policy, without a guest.

mod json;
mod print;
pub mod probes;

use super::explain::mac;
use super::levels::{self, Format};
use super::sarif::{self, Result as SarifResult};
use super::tree::{backend, compile, load, parameter};
use super::{Exit, Failure, generate, say};
use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Backend, TraceStep};
use crate::nwfilter::lint::{self, Finding, Levels};
use crate::nwfilter::reach::{TrafficClass, classes};
use crate::nwfilter::{FilterTree, Strictness};
use crate::policy::Policy;
use clap::Args;
use probes::{Judged, Verdict, judge_all};
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
    /// Print JSON instead of text; the same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Everything that is found out about a filter.
struct Checked {
    policy: String,
    backend: Backend,
    tree: FilterTree,
    lint: Vec<Finding>,
    levels: Levels,
    probes: Vec<Judged>,
    classes: Vec<TrafficClass>,
}

impl Checked {
    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Judged> {
        self.probes
            .iter()
            .filter(move |judged| judged.verdict == verdict)
    }

    /// 0 proven, 1 leaks or blocks, 5 not known.
    fn exit(&self) -> u8 {
        let bad = |judged: &Judged| matches!(judged.verdict, Verdict::Leak | Verdict::Blocked);
        let wrong = |class: &TrafficClass| !class.leaked.is_empty() || !class.blocked.is_empty();
        let mut lints = self.lint.iter();
        let denied = lints.any(|finding| self.levels.denies(finding.lint));
        if denied || self.probes.iter().any(bad) || self.classes.iter().any(wrong) {
            1
        } else if self.with(Verdict::Undecided).next().is_some()
            || !self.classes.iter().all(TrafficClass::is_proven)
        {
            5
        } else {
            Exit::Pass as u8
        }
    }
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
    let checked = Checked {
        policy: origin,
        backend: options.backend,
        lint: levels.apply(findings),
        levels,
        probes: judge_all(&filter, &policy, &layout),
        classes: classes(&filter, &policy, &usual(&layout)),
        tree,
    };
    let text = match options.format {
        Format::Text if !options.json => print::text(&checked),
        Format::Sarif => sarif::document(&results(&checked)),
        Format::Json | Format::Text => format!("{}\n", json::json(&checked)),
    };
    say(&text).map_err(Failure::usage)?;
    Ok(ExitCode::from(checked.exit()))
}

/// Findings of the lint and verdicts that are wrong, the latter where the rule
/// that decided stands.
fn results(checked: &Checked) -> Vec<SarifResult> {
    let tree = &checked.tree;
    let lints = checked.lint.iter();
    let mut out: Vec<SarifResult> = lints
        .map(|finding| SarifResult::of(tree, finding))
        .collect();
    for verdict in [Verdict::Leak, Verdict::Blocked] {
        out.extend(checked.with(verdict).map(|judged| {
            let last = judged
                .outcome
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

/// Values that make an example look like something that a guest would send.
pub fn usual(layout: &Layout) -> Vec<(Field, u128)> {
    let mac = |mac: Mac| {
        mac.iter()
            .fold(0, |value, octet| value << 8 | u128::from(*octet))
    };
    vec![
        (Field::SrcMac, mac(layout.guest.mac)),
        (Field::DstMac, mac(layout.gateway.mac)),
        (Field::DstMac, mac(crate::frame::BROADCAST)),
        (Field::Src, layout.guest.v4.to_bits().into()),
        (Field::Src, layout.guest.v6.to_bits()),
        (Field::Src, layout.guest.link_local.to_bits()),
        (Field::Dst, layout.wan4.to_bits().into()),
        (Field::Dst, layout.wan6.to_bits()),
        (Field::Dst, layout.peer.v4.to_bits().into()),
        (Field::SrcPort, 40_000),
        (Field::DstPort, 443),
        (Field::Protocol, u128::from(crate::frame::protocol::GRE)),
        (Field::IcmpType, 8),
        (Field::IcmpType, 128),
        (Field::TcpFlags, u128::from(crate::frame::l4::flag::SYN)),
        (Field::EtherType, u128::from(crate::frame::ethertype::VLAN)),
        (Field::VlanEncap, u128::from(crate::frame::ethertype::IPV4)),
        (Field::ArpOperation, 2),
        (Field::ArpSrcMac, mac(layout.guest.mac)),
        (Field::ArpDstMac, mac(layout.peer.mac)),
        (Field::ArpSrc, layout.gateway.v4.to_bits().into()),
        (Field::ArpDst, layout.peer.v4.to_bits().into()),
    ]
}
