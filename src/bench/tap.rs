//! The speed of the tap test: frames written into a tap behind the generated filter,
//! alone and with the verdict on each.

use super::error::BenchError;
use super::pure;
use crate::crosscheck::{BenchInput, Throughput, measure};
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use comfy_table::Table;
use std::collections::BTreeSet;

/// Frames a second that must be judged.
const TARGET: u64 = 50_000;

/// Measures in a lab of its own: minimum, median and maximum of the rounds.
///
/// # Errors
/// When the lab cannot be started or breaks down.
pub fn table(policy: &Policy, rounds: u32) -> Result<Table, BenchError> {
    let frames: BTreeSet<Vec<u8>> = pure::frames(policy, &pure::layout(policy)?)
        .into_iter()
        .collect();
    let input = BenchInput {
        filter: write(&generate(policy)),
        frames: frames.into_iter().collect(),
        rounds,
    };
    let measured = measure(input)?;
    Ok(rows(&measured))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio with two digits")]
fn rows(measured: &[Throughput]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["tap test, one core", "min", "median", "max", "target"]);
    let mut row = |what: &str, target: &str, decimals: usize, mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| {
            let figure = figures.get(index).copied().unwrap_or_default();
            format!("{figure:.decimals$}")
        };
        let last = figures.len().saturating_sub(1);
        table.add_row([what, &at(0), &at(figures.len() / 2), &at(last), target]);
    };
    let all = |of: fn(&Throughput) -> f64| measured.iter().map(of).collect();
    row(
        "frames a second, only written into the tap",
        "",
        0,
        all(|round| round.written as f64),
    );
    row(
        "frames a second, judged end to end",
        &format!("at least {TARGET}"),
        0,
        all(|round| round.judged as f64),
    );
    row(
        "times as long as only writing",
        "",
        2,
        all(|round| round.written as f64 / round.judged.max(1) as f64),
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_rounds() {
        let round = |written, judged| Throughput { written, judged };
        let table = rows(&[
            round(120_000, 60_000),
            round(90_000, 60_000),
            round(150_000, 50_000),
        ]);
        insta::assert_snapshot!(table);
    }
}
