//! Which cell is begun next, and the result of those that never are.

use crate::report::model::{Cell, CellError, ErrorKind, Step};
use crate::verdict::Conclusion;
use crate::verify::job::CellPlan;
use std::collections::VecDeque;

/// The cells of a job while workers take them one by one.
#[derive(Debug)]
pub struct Queue {
    plans: Vec<CellPlan>,
    waiting: VecDeque<CellPlan>,
    done: Vec<Cell>,
    /// No cell is begun after one that is not green.
    fail_fast: bool,
    /// The cell after which no other is begun.
    stopped_by: Option<String>,
    /// Why a worker has no lab.
    no_lab: Option<CellError>,
}

impl Queue {
    /// A queue in the order of the plans. With `fail_fast` no cell is begun after one that
    /// is not green.
    pub fn new(plans: &[CellPlan], fail_fast: bool) -> Self {
        Self {
            plans: plans.to_vec(),
            waiting: plans.iter().cloned().collect(),
            done: Vec::new(),
            fail_fast,
            stopped_by: None,
            no_lab: None,
        }
    }

    /// The next cell to begin; none when there is nothing more to do.
    pub fn next(&mut self) -> Option<CellPlan> {
        if self.stopped_by.is_some() {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Takes a finished cell.
    pub fn done(&mut self, cell: Cell) {
        if self.fail_fast && cell.conclusion() != Conclusion::Pass {
            self.stopped_by.get_or_insert_with(|| cell.name.clone());
        }
        self.done.push(cell);
    }

    /// Takes back that a finished cell came to its end, for this reason.
    pub fn spoil(&mut self, name: &str, error: &CellError) {
        for cell in self.done.iter_mut().filter(|cell| cell.name == name) {
            cell.error.get_or_insert_with(|| error.clone());
        }
    }

    /// Notes that a worker cannot run anything.
    pub fn no_lab(&mut self, error: CellError) {
        self.no_lab = Some(error);
    }

    /// A cell for every plan, in the order of the plans: one that was never begun has an error that says why.
    pub fn into_cells(mut self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for plan in std::mem::take(&mut self.plans) {
            let at = self.done.iter().position(|cell| cell.name == plan.name);
            cells.push(match at {
                Some(at) => self.done.swap_remove(at),
                None => plan.failed(self.why_not()),
            });
        }
        cells
    }

    fn why_not(&self) -> CellError {
        let error = |message: String| CellError {
            step: Step::Plan,
            message,
            kind: ErrorKind::Cell,
        };
        match (&self.stopped_by, &self.no_lab) {
            (Some(cell), _) => error(format!("not run: --fail-fast stopped the run at {cell}")),
            (None, Some(no_lab)) => no_lab.clone(),
            (None, None) => error("not run: every worker had died before; run it again".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Vec<CellPlan> {
        ["pcnet", "virtio", "e1000"].map(CellPlan::linux).to_vec()
    }

    fn errors(queue: Queue) -> Vec<String> {
        let text = |cell: Cell| cell.error.map_or("-".to_owned(), |error| error.message);
        queue.into_cells().into_iter().map(text).collect()
    }

    #[test]
    fn cells_come_back_in_the_order_of_the_plans() {
        let mut queue = Queue::new(&plans(), false);
        let begun: Vec<CellPlan> = std::iter::from_fn(|| queue.next()).collect();
        for plan in begun.iter().rev() {
            queue.done(plan.cell());
        }
        let names: Vec<String> = queue
            .into_cells()
            .into_iter()
            .map(|cell| cell.nic)
            .collect();
        assert_eq!(names, ["pcnet", "virtio", "e1000"]);
    }

    #[test]
    fn fail_fast_begins_nothing_after_a_cell_that_is_not_green() {
        let mut queue = Queue::new(&plans(), true);
        let first = queue.next().expect("a cell");
        queue.done(first.cell());
        assert_eq!(queue.next(), None);
        let why = "not run: --fail-fast stopped the run at linux/pcnet";
        assert_eq!(errors(queue), ["-", why, why]);
    }

    #[test]
    fn without_fail_fast_it_goes_on() {
        let mut queue = Queue::new(&plans(), false);
        let first = queue.next().expect("a cell");
        queue.done(first.cell());
        assert!(queue.next().is_some());
    }

    #[test]
    fn cells_without_a_lab_say_why_there_is_none() {
        let mut queue = Queue::new(&plans(), false);
        queue.no_lab(CellError {
            step: Step::Lab,
            message: "no bridge".into(),
            kind: ErrorKind::Host,
        });
        assert!(queue.into_cells().iter().all(|cell| {
            cell.error
                .as_ref()
                .is_some_and(|error| error.kind == ErrorKind::Host)
        }));
    }

    #[test]
    fn nothing_is_lost_when_all_workers_die() {
        let queue = Queue::new(&plans(), false);
        assert!(errors(queue).iter().all(|text| text.contains("died")));
    }
}
