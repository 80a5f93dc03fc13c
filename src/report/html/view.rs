//! The run as the page shows it: every probe once, with the cells gathered in which it came out
//! the same.

use super::evidence::Evidence;
use super::link::Slugs;
use crate::probe::{Expect, Group};
use crate::report::findings::labels;
use crate::report::model::{Failure, Outcome, Points, ProbeFacts, ProbeResult, Run, Seen, Verdict};
use crate::report::text::clean;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// So many cells are named one by one.
const NAMED: usize = 3;

/// What all parts of the page need.
pub struct View<'a> {
    /// The run.
    pub run: &'a Run,
    /// Short names of its cells.
    pub labels: Vec<String>,
    /// Its probes in catalogue order, those of a row together.
    pub probes: Vec<ProbeView<'a>>,
    /// Rows of the table: group, expectation, and the anchor of its probes.
    pub rows: Vec<Row>,
    /// The files of the evidence.
    pub evidence: &'a Evidence,
    /// Those of them that are part of the page.
    pub inside: BTreeSet<&'a str>,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// Kind of traffic.
    pub group: Group,
    /// Whether it must be stopped.
    pub must_drop: bool,
}

impl Row {
    /// What the policy wants of it.
    pub fn expect(self) -> Expect {
        if self.must_drop {
            Expect::Drop
        } else {
            Expect::Pass
        }
    }

    /// The anchor of its probes.
    pub fn anchor(self) -> String {
        let wish = if self.must_drop { "drop" } else { "pass" };
        format!("r-{}-{wish}", self.group.slug())
    }
}

/// One probe over all cells.
pub struct ProbeView<'a> {
    /// The probe's name, without what a browser would act on.
    pub id: String,
    /// Its anchor.
    pub anchor: String,
    /// Its row.
    pub row: Row,
    /// In words.
    pub summary: String,
    /// What all cells have in common.
    pub facts: Option<&'a ProbeFacts>,
    /// What came out, the worst first.
    pub results: Vec<ResultView<'a>>,
}

/// A result and the cells that have it.
pub struct ResultView<'a> {
    /// The result of the first of them.
    pub result: &'a ProbeResult,
    /// Their places in the run.
    pub cells: Vec<usize>,
    /// The same, told apart by where frames were seen; what most cells have comes first.
    pub ways: Vec<WayView<'a>>,
}

/// Where frames were seen, and the cells in which it was so.
pub struct WayView<'a> {
    /// The result of the first of them.
    pub result: &'a ProbeResult,
    /// Their places in the run.
    pub cells: Vec<usize>,
}

/// Everything of a result that a reader sees, but for where frames were seen.
#[derive(PartialEq, Eq, Hash)]
struct Shown<'a> {
    words: [&'static str; 5],
    last_seen: Option<crate::probe::Point>,
    note: Option<&'a str>,
}

/// The points of a result that a reader sees: without the filter, with it, and with it before
/// the first frame where that is something else.
pub fn points(result: &ProbeResult) -> [Option<&Points>; 3] {
    let seen = result.seen.as_ref();
    let with = seen.and_then(Seen::with_filter);
    let first = seen.and_then(|it| it.first_frame.as_ref());
    [
        seen.and_then(|it| it.control.as_ref()),
        with,
        first.filter(|it| Some(*it) != with),
    ]
}

impl<'a> Shown<'a> {
    fn of(result: &'a ProbeResult) -> Self {
        let word = |outcome: Option<Outcome>| outcome.map_or("", Outcome::word);
        // A cell that tried the filter once looks like one that tried it twice with one result.
        let first = result.first_frame.filter(|first| *first != result.filtered);
        Self {
            words: [
                result.verdict.word(),
                result.control.word(),
                result.filtered.word(),
                word(result.leak_check),
                word(first),
            ],
            last_seen: result.last_seen,
            note: result.note.as_deref(),
        }
    }
}

impl<'a> ResultView<'a> {
    fn add(&mut self, cell: usize, result: &'a ProbeResult) {
        // A report may have one name twice in a cell.
        if self.cells.last() == Some(&cell) {
            return;
        }
        self.cells.push(cell);
        let same = |way: &&mut WayView<'_>| points(way.result) == points(result);
        match self.ways.iter_mut().find(same) {
            Some(way) => way.cells.push(cell),
            None => self.ways.push(WayView {
                result,
                cells: vec![cell],
            }),
        }
    }
}

/// How bad a verdict is; the worst is 0.
pub fn gravity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail(Failure::Leak) => 0,
        Verdict::Fail(Failure::Blocked) => 1,
        Verdict::Inconclusive => 2,
        Verdict::KnownGap => 3,
        Verdict::Pass => 4,
    }
}

impl<'a> View<'a> {
    /// Gathers the results of all cells.
    pub fn of(run: &'a Run, evidence: &'a Evidence) -> Self {
        let facts: HashMap<&str, &ProbeFacts> =
            run.probes.iter().map(|it| (it.id.as_str(), it)).collect();
        let mut slugs = Slugs::default();
        let probes: Vec<ProbeView<'a>> = gather(run)
            .into_iter()
            .map(|((id, row), results)| ProbeView {
                id: clean(id),
                anchor: slugs.take("p", id),
                row,
                summary: clean(&results[0].result.summary),
                facts: facts.get(id).copied(),
                results,
            })
            .collect();
        let mut rows: Vec<Row> = probes.iter().map(|probe| probe.row).collect();
        rows.dedup();
        Self {
            run,
            labels: labels(run),
            probes,
            rows,
            evidence,
            inside: BTreeSet::new(),
        }
    }

    /// The cells of a result in words: `all 51 cells`, `all 27 linux cells but linux/igb`,
    /// `pcnet, virtio`.
    pub fn cells(&self, cells: &[usize]) -> String {
        let all = self.labels.len();
        if all > 1 && cells.len() == all {
            return format!("all {all} cells");
        }
        let guests = self.run.cells.iter().map(|cell| cell.guest.as_str());
        let guests: BTreeSet<&str> = guests.collect();
        let texts = guests
            .iter()
            .filter_map(|guest| self.of_guest(guest, cells));
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Those of one kind of guest; none where there is none of it.
    fn of_guest(&self, guest: &str, cells: &[usize]) -> Option<String> {
        let kind: Vec<usize> = (0..self.labels.len())
            .filter(|at| self.run.cells[*at].guest == guest)
            .collect();
        let labels = |wanted: bool| {
            let some = kind
                .iter()
                .filter(|at| cells.binary_search(at).is_ok() == wanted);
            some.map(|at| self.labels[*at].as_str()).collect::<Vec<_>>()
        };
        let (named, others) = (labels(true), labels(false));
        if named.is_empty() {
            return None;
        }
        let several = format!("all {} {} cells", kind.len(), clean(guest));
        Some(match others.len() {
            0 if named.len() > NAMED => several,
            1..=NAMED if named.len() > 2 * NAMED => format!("{several} but {}", others.join(", ")),
            _ => named.join(", "),
        })
    }

    /// Probes whose worst verdict is this one.
    pub fn with(
        &self,
        verdict: Verdict,
    ) -> impl Iterator<Item = (&ProbeView<'a>, &ResultView<'a>)> {
        self.probes.iter().flat_map(move |probe| {
            let results = probe.results.iter();
            let mine = results.filter(move |it| it.result.verdict == verdict);
            mine.map(move |result| (probe, result))
        })
    }
}

/// Rows in the order of the table, in each the probes in the order in which they come first.
type Gathered<'a> = Vec<((&'a str, Row), Vec<ResultView<'a>>)>;

fn gather(run: &Run) -> Gathered<'_> {
    let mut places: HashMap<(&str, Row), usize> = HashMap::new();
    let mut known: HashMap<(usize, Shown<'_>), usize> = HashMap::new();
    let mut all: Gathered<'_> = Vec::new();
    for (cell, results) in run.cells.iter().map(|it| &it.probes).enumerate() {
        for result in results {
            let row = Row {
                group: result.group,
                must_drop: result.expect == Expect::Drop,
            };
            let key = (result.id.as_str(), row);
            let place = *places.entry(key).or_insert_with(|| {
                all.push((key, Vec::new()));
                all.len() - 1
            });
            let views = &mut all[place].1;
            let at = *known.entry((place, Shown::of(result))).or_insert_with(|| {
                views.push(ResultView {
                    result,
                    cells: Vec::new(),
                    ways: Vec::new(),
                });
                views.len() - 1
            });
            views[at].add(cell, result);
        }
    }
    for (_, results) in &mut all {
        for result in &mut *results {
            result.ways.sort_by_key(|way| Reverse(way.cells.len()));
        }
        results.sort_by_key(|it| (gravity(it.result.verdict), it.cells[0]));
    }
    all.sort_by_key(|((_, row), _)| *row);
    all
}
