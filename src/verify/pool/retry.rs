//! Tries a cell again, and never lets a lucky try hide an unlucky one.

use crate::report::live::Event;
use crate::report::model::{Cell, Step};
use crate::verdict::Conclusion;
use crate::verify::VerifyError;
use crate::verify::cell::CellContext;
use crate::verify::guests::Guests;
use crate::verify::job::{CellPlan, Job};
use crate::verify::random;

/// Runs a cell, and again as often as the job allows until it is green.
pub async fn run(context: &CellContext<'_>, guests: &Guests, plan: &CellPlan) -> Cell {
    let mut tries = Vec::new();
    for again in 0..=context.job.retries {
        let number = context
            .job
            .guest_number(plan, again, context.lab.lan.guests());
        let cell = attempt(context, (guests, plan, number), again).await;
        let green = cell.conclusion() == Conclusion::Pass;
        tries.push(cell);
        if green {
            break;
        }
    }
    settle(tries).unwrap_or_else(|| plan.cell())
}

/// One try. Each keeps its evidence in a directory of its own.
async fn attempt(
    context: &CellContext<'_>,
    (guests, plan, number): (&Guests, &CellPlan, u8),
    again: u32,
) -> Cell {
    if again == 0 {
        return once(context, guests, plan, number).await;
    }
    (context.tell)(&Event::Note {
        cell: Some(plan.name.clone()),
        text: format!("not green; retry {again} of {}", context.job.retries),
    });
    let dir = format!("retry-{again}");
    let job = Job {
        out: context.job.out.as_ref().map(|out| out.join(&dir)),
        seed: random::of_try(context.job.seed, again),
        ..context.job.clone()
    };
    let context = CellContext {
        job: &job,
        ..*context
    };
    let mut cell = once(&context, guests, plan, number).await;
    for file in &mut cell.evidence {
        *file = format!("{dir}/{file}");
    }
    cell
}

async fn once(context: &CellContext<'_>, guests: &Guests, plan: &CellPlan, number: u8) -> Cell {
    if let Err(error) = context.lab.begin_cell().await {
        return plan.failed(VerifyError::from(error).at(Step::Lab));
    }
    guests.run(context, plan, number).await
}

/// The worst of the tries, marked as flaky where the last one was green.
fn settle(mut tries: Vec<Cell>) -> Option<Cell> {
    let count = tries.len();
    let passed = tries.last()?.conclusion() == Conclusion::Pass;
    // On a tie the first try counts: a run without retries would have found that one.
    let (mut worst, mut at) = (tries[0].conclusion(), 0);
    for (index, cell) in tries.iter().enumerate() {
        if cell.conclusion() > worst {
            (worst, at) = (cell.conclusion(), index);
        }
    }
    let mut cell = tries.swap_remove(at);
    if passed && count > 1 {
        cell.flaky = Some(format!("it passed on try {count}"));
    }
    Some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use crate::report::model::{CellError, ErrorKind};
    use rstest::rstest;

    /// A try that comes to this: `p`ass, `i`nconclusive, `l`eak, `h`ost unfit.
    fn a_try(kind: char) -> Cell {
        let error = |kind| CellError {
            step: Step::Boot,
            message: "broke".into(),
            kind,
        };
        let plan = CellPlan::linux("pcnet");
        match kind {
            'i' => plan.failed(error(ErrorKind::Cell)),
            'h' => plan.failed(error(ErrorKind::Host)),
            'l' => examples::red().cells.remove(0),
            _ => examples::green().cells.remove(0),
        }
    }

    #[rstest]
    #[case::at_once("p", Conclusion::Pass, false)]
    #[case::lucky("ip", Conclusion::Inconclusive, true)]
    #[case::a_leak_stays_a_leak("lip", Conclusion::Fail, true)]
    #[case::never("ih", Conclusion::Host, false)]
    #[case::the_worst_counts("ili", Conclusion::Fail, false)]
    fn tries(#[case] kinds: &str, #[case] conclusion: Conclusion, #[case] flaky: bool) {
        let cell = settle(kinds.chars().map(a_try).collect()).expect("a try");
        assert_eq!(
            (cell.conclusion(), cell.flaky.is_some()),
            (conclusion, flaky)
        );
    }
}
