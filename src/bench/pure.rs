//! What needs no guest: the evaluator, the reader, the lint and the exact sets,
//! on one core.

use super::error::BenchError;
use crate::check::{probes::probes, usual};
use crate::layout::Layout;
use crate::nwfilter::evaluate::{Compiled, Decision, Way};
use crate::nwfilter::lint::lint;
use crate::nwfilter::reach::classes;
use crate::nwfilter::{generate, read, write};
use crate::policy::Policy;
use comfy_table::Table;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rules of the large filter.
const RULES: usize = 400;

/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(300);

/// What a filter must reach.
struct Target {
    name: &'static str,
    /// Verdicts a second, in millions.
    verdicts: f64,
    /// Milliseconds for reading, lint and sets.
    analysis: f64,
}

/// A filter with all its figures, one a round.
struct Measured {
    target: Target,
    text: String,
    verdicts: Vec<f64>,
    analysis: Vec<f64>,
}

impl Measured {
    fn new(target: Target, text: String) -> Self {
        Self {
            target,
            text,
            verdicts: Vec::new(),
            analysis: Vec::new(),
        }
    }
}

/// Measures both filters: minimum, median and maximum of the rounds.
///
/// # Errors
/// When the policy has no room for the test hosts.
pub fn table(policy: &Policy, rounds: u32) -> Result<Table, BenchError> {
    let layout = layout(policy)?;
    let frames = frames(policy, &layout);
    let mut filters = [
        Measured::new(
            Target {
                name: "the generated filter",
                verdicts: 5.0,
                analysis: 20.0,
            },
            write(&generate(policy)),
        ),
        Measured::new(
            Target {
                name: "one of 400 rules",
                verdicts: 1.0,
                analysis: 200.0,
            },
            large(),
        ),
    ];
    for _ in 0..rounds {
        for filter in &mut filters {
            let (compiled, analysis) = analyse(&filter.text, policy, &layout)?;
            filter.analysis.push(analysis);
            filter.verdicts.push(verdicts(&compiled, &frames));
        }
    }
    Ok(rows(&mut filters))
}

/// Hosts for the policy's frames.
///
/// # Errors
/// When the policy has no room for them.
pub fn layout(policy: &Policy) -> Result<Layout, BenchError> {
    Ok(Layout::of(policy)?)
}

/// What the catalogue has the guest send.
pub fn frames(policy: &Policy, layout: &Layout) -> Vec<Vec<u8>> {
    probes(policy, layout)
        .iter()
        .filter(|probe| probe.is_from_guest())
        .flat_map(|probe| probe.wire(layout).frames)
        .collect()
}

/// Reads, lints and computes the exact sets; how many milliseconds that took.
fn analyse(text: &str, policy: &Policy, layout: &Layout) -> Result<(Compiled, f64), BenchError> {
    let started = Instant::now();
    let filter = read(text, "the benchmark's filter")?;
    let name = filter.name.clone();
    let filters = [filter];
    let compiled = Compiled::new(&filters, &name, layout.guest.mac, &[])?;
    black_box(lint(&filters, &name, &compiled));
    black_box(classes(&compiled, policy, &usual(layout)));
    Ok((compiled, started.elapsed().as_secs_f64() * 1000.0))
}

/// Millions of verdicts a second over the catalogue's frames.
fn verdicts(filter: &Compiled, frames: &[Vec<u8>]) -> f64 {
    let started = Instant::now();
    let mut count = 0_u32;
    let mut accepted = 0_u32;
    while started.elapsed() < SPAN {
        for frame in frames {
            let decision = filter.decide(black_box(frame), Way::FromGuest);
            accepted += u32::from(decision == Decision::Accept);
            count += 1;
        }
    }
    black_box(accepted);
    f64::from(count) / started.elapsed().as_secs_f64() / 1e6
}

/// A filter of 400 rules in the root chain, nets and ports by turns: nothing
/// but the last rule decides most frames.
fn large() -> String {
    let mut out = "<filter name='large'>\n".to_owned();
    for at in 0..RULES - 1 {
        let ports = match at % 3 {
            0 => String::new(),
            1 => format!(" protocol='udp' dstportstart='{}'", 1000 + at),
            _ => format!(
                " protocol='tcp' dstportstart='{}' dstportend='{}'",
                at,
                at + 9
            ),
        };
        let _ = writeln!(
            out,
            "<rule action='accept' direction='out' priority='{at}'><ip dstipaddr='10.{}.{}.0' dstipmask='24'{ports}/></rule>",
            at / 250,
            at % 250
        );
    }
    out + "<rule action='drop' direction='inout' priority='1000'/>\n</filter>\n"
}

fn rows(filters: &mut [Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["one core", "min", "median", "max", "target"]);
    for filter in filters {
        let name = filter.target.name;
        let verdicts = format!("at least {:.0}", filter.target.verdicts);
        let analysis = format!("at most {:.0}", filter.target.analysis);
        let rows = [
            (
                format!("million verdicts a second, {name}"),
                &mut filter.verdicts,
                verdicts,
            ),
            (
                format!("ms to read, lint and compute sets, {name}"),
                &mut filter.analysis,
                analysis,
            ),
        ];
        for (what, figures, target) in rows {
            figures.sort_by(f64::total_cmp);
            let at = |index: usize| {
                let figure = figures.get(index).copied().unwrap_or_default();
                format!("{figure:.1}")
            };
            let last = figures.len().saturating_sub(1);
            table.add_row([what, at(0), at(figures.len() / 2), at(last), target]);
        }
    }
    table
}
