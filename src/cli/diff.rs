//! `lanfence diff`: the frames that two filters, or two back ends, treat differently.

pub mod measured;

use super::failure::Failure;
use super::levels::WIDTH;
use super::options::{BackendOption, LenientOption, MacOption, ParameterOptions, backend, load};
use super::output::say;
use crate::check::usual;
use crate::frame::{Mac, summary, to_hex};
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Backend, Compiled, Decision};
use crate::nwfilter::reach::{Comparison, Difference, differences};
use crate::nwfilter::{FilterTree, trace};
use crate::policy::Policy;
use crate::report::text::{plural, wrap};
use crate::verdict::Exit;
use clap::{Args, ValueEnum};
use measured::Measured;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Most differences that are printed as text.
const SHOWN: usize = 60;

/// `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter A: a file, a folder of files, or the name of a filter that libvirt ships
    #[arg(value_name = "FILTER_A", help_heading = "Filter", display_order = 0)]
    one: PathBuf,
    /// Filter B [default: filter A under the other back end]
    #[arg(value_name = "FILTER_B", help_heading = "Filter", display_order = 0)]
    other: Option<PathBuf>,
    /// Name of the filter to bind, when several of A could be
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    bind: Option<String>,
    /// The same for B
    #[arg(long, value_name = "NAME", help_heading = "Filter", requires = "other")]
    other_bind: Option<String>,
    #[command(flatten)]
    backend: BackendOption,
    /// Back end for B [default: that of A]
    #[arg(long, value_name = "NAME", help_heading = "Filter", value_parser = backend)]
    other_backend: Option<Backend>,
    #[command(flatten)]
    lenient: LenientOption,
    #[command(flatten)]
    parameters: ParameterOptions,
    #[command(flatten)]
    mac: MacOption,
    #[cfg(feature = "lab")]
    #[command(flatten)]
    kernel: super::lab::differences::KernelOptions,
    /// Format of the output
    #[arg(long, value_enum, help_heading = "Output", default_value_t)]
    format: Format,
}

/// A filter with what it compiles to.
struct Side {
    tree: FilterTree,
    filter: Compiled,
}

impl Side {
    fn of(
        path: &PathBuf,
        bind: Option<&str>,
        backend: Backend,
        options: &Options,
        (guest, address): (Mac, Ipv4Addr),
    ) -> Result<Self, Failure> {
        let tree = load(
            std::slice::from_ref(path),
            bind,
            options.lenient.strictness(),
        )?;
        // Where libvirt learns the guest's address, both sides get the same example.
        let parameters = &options.parameters.list;
        let bound = tree.bind(guest, address, parameters, backend);
        let filter = bound.map_err(Failure::usage)?.filter;
        Ok(Self { tree, filter })
    }

    /// `x (x.xml), ebtables back end, measured`
    fn title(&self) -> String {
        format!(
            "{} ({}), {} back end, {}",
            self.tree.top,
            self.tree.path().unwrap_or_default(),
            self.filter.backend(),
            self.filter.backend().source()
        )
    }
}

/// Compares and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    // Addresses of the shipped example make frames look like some.
    let layout = Layout::of(&Policy::example()).expect("the example has room for hosts");
    let guest = guest(options).unwrap_or(layout.guest.mac);
    let layout = layout.with_guest_mac(guest);
    let other_backend = options.other_backend.unwrap_or(match options.other {
        Some(_) => options.backend.with(None),
        None => other(options.backend.with(None)),
    });
    let sides = [
        Side::of(
            &options.one,
            options.bind.as_deref(),
            options.backend.with(None),
            options,
            (guest, layout.guest.v4),
        )?,
        Side::of(
            options.other.as_ref().unwrap_or(&options.one),
            match options.other {
                Some(_) => options.other_bind.as_deref(),
                None => options.bind.as_deref(),
            },
            other_backend,
            options,
            (guest, layout.guest.v4),
        )?,
    ];
    let found = differences(&sides[0].filter, &sides[1].filter, &usual(&layout));
    let measured = measure(options, &sides, &found, layout.guest.v4)?;
    let exit = exit(&found, &measured);
    let printed = match options.format {
        Format::Text => text(&sides, &found, &measured, exit),
        Format::Json => json(&sides, &found, &measured, exit),
    };
    say(&printed)?;
    Ok(exit.into())
}

/// MAC address of the guest, where one is given or the kernel is asked.
fn guest(options: &Options) -> Option<Mac> {
    #[cfg(feature = "lab")]
    if let Some(mac) = options.kernel.guest() {
        return Some(mac);
    }
    options.mac.mac
}

/// What the kernel says to both, where that was asked for.
#[cfg(feature = "lab")]
fn measure(
    options: &Options,
    sides: &[Side; 2],
    found: &Comparison,
    address: Ipv4Addr,
) -> Result<Vec<Measured>, Failure> {
    use super::lab::differences::{Bound, measure};
    if !options.kernel.kernel {
        return Ok(Vec::new());
    }
    let differences = found.differences.iter();
    let frames: Vec<Vec<u8>> = differences.map(|it| it.frame.clone()).collect();
    let one = |side: &Side| {
        let bound = Bound {
            tree: &side.tree,
            parameters: &options.parameters.list,
            address,
            backend: side.filter.backend(),
        };
        measure(&options.kernel, &bound, &frames)
    };
    sides.iter().map(one).collect()
}

/// Without the lab nothing is bound.
#[cfg(not(feature = "lab"))]
#[allow(clippy::unnecessary_wraps, reason = "as it is with the lab")]
fn measure(
    _: &Options,
    _: &[Side; 2],
    _: &Comparison,
    _: Ipv4Addr,
) -> Result<Vec<Measured>, Failure> {
    Ok(Vec::new())
}

fn other(backend: Backend) -> Backend {
    match backend {
        Backend::Ebtables => Backend::Nftables,
        Backend::Nftables => Backend::Ebtables,
    }
}

fn exit(found: &Comparison, measured: &[Measured]) -> Exit {
    if measured.iter().any(|it| it.mismatch.is_some()) {
        return Exit::Fail;
    }
    match (found.differences.is_empty(), &found.inexact) {
        (false, _) => Exit::Fail,
        (true, Some(_)) => Exit::Inconclusive,
        (true, None) => Exit::Pass,
    }
}

fn decision(difference: &Difference, side: usize) -> &'static str {
    match difference.outcomes[side].decision {
        Decision::Accept => "passes",
        Decision::Drop => "is dropped",
        Decision::Undecided(_) => "is not modelled",
    }
}

fn text(sides: &[Side; 2], found: &Comparison, measured: &[Measured], exit: Exit) -> String {
    let mut out = format!("A  {}\nB  {}\n", sides[0].title(), sides[1].title());
    for difference in found.differences.iter().take(SHOWN) {
        out.push('\n');
        one(&mut out, sides, difference);
    }
    let more = found.differences.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(out, "\nand {more} more (--format json shows all)");
    }
    if let Some(why) = &found.inexact {
        let _ = writeln!(out, "\nnot everything could be compared: {why}");
    }
    let kernel = measured.iter().zip(["A", "B"]);
    let kernel: String = kernel.map(|(it, name)| it.text(name)).collect();
    if !kernel.is_empty() {
        let _ = write!(out, "\n{kernel}");
    }
    let word = match exit {
        Exit::Pass => "SAME",
        Exit::Fail if found.differences.is_empty() => "FAIL",
        Exit::Fail => "DIFFERENT",
        _ => "INCONCLUSIVE",
    };
    let _ = writeln!(
        out,
        "\n{word}: {} over all frames with complete headers, exit code {}",
        plural(found.differences.len(), "difference"),
        exit.code()
    );
    out
}

/// One difference: which frames, and what decides about an example.
fn one(out: &mut String, sides: &[Side; 2], difference: &Difference) {
    const NUMBERS: usize = 12;
    let list = difference.dimension.list(&difference.values);
    let mut numbers = list[..list.len().min(NUMBERS)].join(" ");
    if list.len() > NUMBERS {
        let _ = write!(numbers, " and {} more", list.len() - NUMBERS);
    }
    let head = format!("{} {}: ", difference.frame_kind, difference.way);
    let mut paragraph = |first: &str, text: &str, indent| {
        for line in wrap(first, text, WIDTH, indent) {
            out.push_str(&line);
            out.push('\n');
        }
    };
    paragraph(&head, &numbers, 2);
    paragraph("  for example  ", &summary(&difference.frame), 15);
    paragraph("               ", &to_hex(&difference.frame), 15);
    for (at, name) in ["A", "B"].into_iter().enumerate() {
        let decisive = trace(&sides[at].tree, &difference.outcomes[at]).pop();
        let text = format!(
            "{}; {}",
            decision(difference, at),
            decisive.unwrap_or_else(|| "no rule matches it".to_owned())
        );
        paragraph(&format!("  {name}  it "), &text, 5);
    }
}

fn json(sides: &[Side; 2], found: &Comparison, measured: &[Measured], exit: Exit) -> String {
    let filter = |side: &Side| {
        json!({
            "filter": side.tree.top,
            "files": side.tree.paths(),
            "backend": side.filter.backend().word(),
        })
    };
    let outcome = |difference: &Difference, at: usize| -> Value {
        json!({
            "decision": decision(difference, at),
            "trace": trace(&sides[at].tree, &difference.outcomes[at]),
        })
    };
    let difference = |difference: &Difference| {
        json!({
            "direction": difference.way.to_string(),
            "kind": difference.frame_kind,
            "values": difference.dimension.list(&difference.values),
            "frame": to_hex(&difference.frame),
            "summary": summary(&difference.frame),
            "a": outcome(difference, 0),
            "b": outcome(difference, 1),
        })
    };
    let document = json!({
        "schema_version": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "a": filter(&sides[0]),
        "b": filter(&sides[1]),
        "exit_code": exit.code(),
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
        "inexact": found.inexact,
        // Of A and of B; none where the kernel was not asked.
        "kernel": measured,
    });
    let text = serde_json::to_string_pretty(&document).expect("strings and numbers only");
    text + "\n"
}
