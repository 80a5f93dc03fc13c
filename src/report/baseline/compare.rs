//! What differs between what was known and what is observed.

use super::facts::Suspect;
use super::known::{Known, KnownProbe};
use super::observed::{CELL, LEAK_CHECK, Observed, Probe};
use super::standing::Standing;
use super::verb::Verb;
use super::within::within;
use crate::probe::Expect;
use crate::verdict::Conclusion;
use std::collections::BTreeMap;

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It leaks, and did not or is not accepted.
    NewLeak,
    /// It is blocked, and was not or is not accepted.
    NewBlock,
    /// What no nwfilter can be asked for happened before and happens no more.
    NewGap,
    /// A mutant survives that did not.
    NewSurvivor,
    /// A scenario does not end as it must, and did.
    NewFailure,
    /// It is as it was, and the time for which that was accepted is over.
    Expired,
    /// It is not proven, and it was or is not accepted to be so.
    NewlyInconclusive,
    /// A cell that was judged before was not now.
    NotRun,
    /// A probe that was judged before is not there now.
    Gone,
    /// The policy wants the opposite of what it wanted.
    OtherWish,
    /// A probe or a cell that was not there before, and nothing is wrong with it.
    Added,
    /// What was wrong is as the policy wants it.
    Fixed,
    /// What was not proven is.
    NowProven,
}

/// What a change counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Better, or only other.
    Better,
    /// Something that was known is not now.
    Unproven,
    /// Worse than before.
    Worse,
}

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 13] = [
        Self::NewLeak,
        Self::NewBlock,
        Self::NewGap,
        Self::NewSurvivor,
        Self::NewFailure,
        Self::Expired,
        Self::NewlyInconclusive,
        Self::NotRun,
        Self::Gone,
        Self::OtherWish,
        Self::Added,
        Self::Fixed,
        Self::NowProven,
    ];

    /// What it counts for.
    pub fn weight(self) -> Weight {
        match self {
            Self::NewLeak
            | Self::NewBlock
            | Self::NewGap
            | Self::NewSurvivor
            | Self::NewFailure
            | Self::Expired => Weight::Worse,
            Self::NewlyInconclusive | Self::NotRun | Self::Gone => Weight::Unproven,
            Self::OtherWish | Self::Added | Self::Fixed | Self::NowProven => Weight::Better,
        }
    }

    /// Whether it is no change for the better.
    pub fn is_bad(self) -> bool {
        self.weight() != Weight::Better
    }

    /// One of them and many, in words.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NewLeak => ("new leak", "new leaks"),
            Self::NewBlock => ("new block", "new blocks"),
            Self::NewGap => ("known gap newly open", "known gaps newly open"),
            Self::NewSurvivor => ("new survivor", "new survivors"),
            Self::NewFailure => ("new failure", "new failures"),
            Self::Expired => ("expired entry", "expired entries"),
            Self::NewlyInconclusive => ("newly inconclusive", "newly inconclusive"),
            Self::NotRun => ("cell not run", "cells not run"),
            Self::Gone => ("probe gone", "probes gone"),
            Self::OtherWish => ("probe with another wish", "probes with another wish"),
            Self::Added => ("added", "added"),
            Self::Fixed => ("fixed", "fixed"),
            Self::NowProven => ("now proven", "now proven"),
        }
    }
}

/// Something that is not as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What kind of change.
    pub kind: Kind,
    /// The cell.
    pub cell: String,
    /// The probe; [`CELL`] where it is about the whole cell.
    pub probe: String,
    /// What it was; none where it was not there.
    pub before: Option<Standing>,
    /// The probe in words.
    pub summary: String,
    /// Why it is not proven, why it was accepted, or the like.
    pub note: Option<String>,
}

/// What differs, and how much does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The changes in the order of [`Kind`], then of cells and probes.
    pub changes: Vec<Change>,
    /// What may explain them.
    pub suspects: Vec<Suspect>,
    /// How many probes are as the policy wants them now.
    pub passing: usize,
    /// How many probes are as before.
    pub as_before: usize,
    /// How many of those leak or are blocked.
    pub failing_as_before: usize,
    /// How many of those are not proven.
    pub unproven_as_before: usize,
    /// How many cells are for other partitions to run.
    pub elsewhere: usize,
    /// Whether what was known had been accepted by people, or comes from another run.
    pub is_blessed: bool,
    verb: Verb,
    error: Option<Conclusion>,
    is_empty: bool,
}

/// What differs between what was known and what is observed.
pub fn compare(known: &Known, observed: &Observed) -> Comparison {
    let observed = &within(observed, known);
    let mut out = Comparison {
        changes: Vec::new(),
        suspects: known.facts.suspects(&observed.facts),
        passing: passing(observed),
        as_before: 0,
        failing_as_before: 0,
        unproven_as_before: 0,
        elsewhere: 0,
        is_blessed: known.is_blessed,
        verb: observed.subject.verb,
        error: observed.error,
        is_empty: observed.is_empty(),
    };
    for (cell, probes) in &observed.cells {
        match known.cells.get(cell) {
            Some(known) => out.cell(cell, known, probes),
            None => out.new_cell(cell, probes),
        }
    }
    let gone = known.cells.keys();
    for cell in gone.filter(|cell| !observed.cells.contains_key(*cell)) {
        if observed.elsewhere.contains(cell) {
            out.elsewhere += 1;
            continue;
        }
        let why = match observed.skipped.get(cell) {
            Some(reason) => format!("it cannot run here: {reason}"),
            None => "this run did not select it".to_owned(),
        };
        out.not_run(cell, why);
    }
    out.changes.sort_by(|a, b| {
        let key = |change: &Change| (change.kind, change.cell.clone(), change.probe.clone());
        key(a).cmp(&key(b))
    });
    out
}

impl Comparison {
    /// What it comes to: worse than before is [`Conclusion::Fail`], what was proven and is not
    /// is [`Conclusion::Inconclusive`]. With `strict` also a change for the better fails: the
    /// baseline is to say what is.
    pub fn conclusion(&self, strict: bool) -> Conclusion {
        let of = |change: &Change| match change.kind.weight() {
            Weight::Worse => Conclusion::Fail,
            Weight::Unproven => Conclusion::Inconclusive,
            Weight::Better if strict => Conclusion::Fail,
            Weight::Better => Conclusion::Pass,
        };
        let changes = self.changes.iter().map(of).max();
        let empty = self.is_empty.then_some(Conclusion::Empty);
        let all = [changes, empty, self.error];
        let worst = all.into_iter().flatten().max();
        worst.unwrap_or(Conclusion::Pass)
    }

    /// Whether what is wrong with a probe, or with the cell as a whole, was known and is accepted.
    pub fn is_as_before(&self, cell: &str, probe: &str) -> bool {
        let same = |change: &Change| {
            change.cell == cell && (change.probe == probe || change.probe == CELL)
        };
        !self.changes.iter().any(same)
    }

    /// The changes of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Change> {
        let changes = self.changes.iter();
        changes.filter(move |change| change.kind == kind)
    }

    /// How many changes count for this.
    pub fn count(&self, weight: Weight) -> usize {
        let changes = self.changes.iter();
        changes.filter(|it| it.kind.weight() == weight).count()
    }

    fn not_run(&mut self, cell: &str, why: String) {
        self.changes.push(Change {
            kind: Kind::NotRun,
            cell: cell.to_owned(),
            probe: CELL.to_owned(),
            before: None,
            summary: "it was judged before".to_owned(),
            note: Some(why),
        });
    }

    fn new_cell(&mut self, cell: &str, probes: &BTreeMap<String, Probe>) {
        let before = self.changes.len();
        for (id, probe) in probes {
            if !matches!(probe.standing, Standing::Pass | Standing::KnownGap) {
                self.probe((cell, id), None, probe);
            }
        }
        let bad = self.changes.len() - before;
        self.changes.push(Change {
            kind: Kind::Added,
            cell: cell.to_owned(),
            probe: CELL.to_owned(),
            before: None,
            summary: format!(
                "a cell that was not judged before: {} of its probes are good",
                probes.len() - bad
            ),
            note: None,
        });
    }

    fn cell(
        &mut self,
        cell: &str,
        known: &BTreeMap<String, KnownProbe>,
        probes: &BTreeMap<String, Probe>,
    ) {
        let is_own = |id: &String| [CELL, LEAK_CHECK].contains(&id.as_str());
        let broken = probes.get(CELL).filter(|it| it.standing != Standing::Pass);
        let is_judged = probes.keys().any(|id| !is_own(id));
        let may_break = known
            .get(CELL)
            .is_some_and(|it| it.standing == Standing::Inconclusive && it.expired.is_none());
        if let Some(broken) = broken.filter(|_| !is_judged && !may_break) {
            let why = broken.note.clone().unwrap_or_default();
            return self.not_run(cell, why);
        }
        for (id, probe) in probes {
            let found = self.verb.is_found(id).then_some(&NOT_THERE);
            self.probe((cell, id), known.get(id).or(found), probe);
        }
        if !is_judged && may_break {
            return;
        }
        for (id, was) in known {
            if !is_own(id) && !probes.contains_key(id) && self.verb.is_found(id) {
                self.not_found(cell, id, was);
            } else if !is_own(id) && !probes.contains_key(id) {
                let unused = was.reason.as_ref();
                self.changes.push(Change {
                    kind: Kind::Gone,
                    cell: cell.to_owned(),
                    probe: id.clone(),
                    before: Some(was.standing),
                    summary: format!("it was {} and was not judged now", was.standing.word()),
                    note: unused.map(|reason| format!("its entry is unused: {reason}")),
                });
            }
        }
    }

    /// What is there only where it is wrong, and is not there now: looked for, and not found.
    fn not_found(&mut self, cell: &str, id: &str, was: &KnownProbe) {
        let Some(reason) = &was.reason else { return };
        self.changes.push(Change {
            kind: Kind::Fixed,
            cell: cell.to_owned(),
            probe: id.to_owned(),
            before: Some(was.standing),
            summary: "it was looked for, and is not there".to_owned(),
            note: Some(format!("its entry is unused: {reason}")),
        });
    }

    fn probe(&mut self, (cell, id): (&str, &str), known: Option<&KnownProbe>, probe: &Probe) {
        let was = known.map(|known| known.standing);
        let is_same = was == Some(probe.standing);
        let expired = known.and_then(|known| known.expired).filter(|_| is_same);
        let wished = known.and_then(|known| known.expect);
        let is_other_wish = wished.is_some_and(|wished| wished != probe.expect);
        let kind = match kind(was, probe.standing) {
            None if expired.is_some() => Kind::Expired,
            None if is_other_wish => Kind::OtherWish,
            None => return self.same(probe.standing),
            // That it passes now proves nothing of what was wrong with the other wish.
            Some(kind) if is_other_wish && kind.weight() == Weight::Better => Kind::OtherWish,
            Some(kind) => kind,
        };
        let reason = known.and_then(|known| known.reason.clone());
        let note = match (kind, expired) {
            (Kind::Expired, Some(day)) => Some(format!(
                "accepted until {day}: {}",
                reason.unwrap_or_default()
            )),
            (Kind::OtherWish, _) => Some(match probe.expect {
                Expect::Pass => "the policy wants it through now, and wanted it stopped".to_owned(),
                Expect::Drop => "the policy wants it stopped now, and wanted it through".to_owned(),
            }),
            (Kind::Fixed | Kind::NowProven, _) => {
                reason.map(|reason| format!("its entry is unused: {reason}"))
            }
            _ => probe.note.clone(),
        };
        self.changes.push(Change {
            kind,
            cell: cell.to_owned(),
            probe: id.to_owned(),
            before: was,
            summary: probe.summary.clone(),
            note,
        });
    }

    fn same(&mut self, standing: Standing) {
        self.as_before += 1;
        self.failing_as_before += usize::from(standing.is_failure());
        self.unproven_as_before += usize::from(standing == Standing::Inconclusive);
    }
}

/// What is there only where it is wrong, and was not.
const NOT_THERE: KnownProbe = KnownProbe {
    expect: None,
    standing: Standing::Pass,
    reason: None,
    expired: None,
};

/// How many probes pass.
fn passing(observed: &Observed) -> usize {
    let all = observed.cells.values().flatten();
    let passing = all.filter(|(id, probe)| {
        probe.standing == Standing::Pass && ![CELL, LEAK_CHECK].contains(&id.as_str())
    });
    passing.count()
}

/// What kind of change it is from one standing, none where there was none, to another; none
/// where it is none.
fn kind(was: Option<Standing>, now: Standing) -> Option<Kind> {
    if was == Some(now) {
        return None;
    }
    Some(match (was, now) {
        (_, Standing::Leak) => Kind::NewLeak,
        (_, Standing::Blocked) => Kind::NewBlock,
        (_, Standing::Survived) => Kind::NewSurvivor,
        (_, Standing::Failed) => Kind::NewFailure,
        (_, Standing::Inconclusive) => Kind::NewlyInconclusive,
        (Some(Standing::Pass), Standing::KnownGap) => Kind::NewGap,
        (None, Standing::Pass | Standing::KnownGap) => Kind::Added,
        (Some(Standing::Inconclusive), Standing::Pass | Standing::KnownGap) => Kind::NowProven,
        (Some(_), Standing::Pass | Standing::KnownGap) => Kind::Fixed,
    })
}
