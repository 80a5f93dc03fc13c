//! Verdicts that a reader must know of, the same probe of several cells merged into one.

use crate::probe::Point;
use crate::report::model::{Cell, FilterInfo, Outcome, ProbeResult, Run, Verdict};
use crate::report::{text, titles};

/// One probe that came out the same way in one or more cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The probe's stable name.
    pub id: String,
    /// In words.
    pub summary: String,
    /// Labels of the cells, in the order of the matrix.
    pub cells: Vec<String>,
    /// Reason or remedy; an inconclusive finding always has one.
    pub note: Option<String>,
    /// Where the frame was last seen, where all cells agree.
    pub last_seen: Option<Point>,
    /// Whether the verdict is inconclusive.
    pub unproven: bool,
    /// Labels of the cells in which the same probe passes.
    pub passing: Vec<String>,
}

/// Short names of the cells: the NIC model where that is unique, else guest and NIC.
pub fn labels(run: &Run) -> Vec<String> {
    let unique = |cell: &Cell| {
        run.cells
            .iter()
            .filter(|other| other.nic == cell.nic)
            .count()
            == 1
    };
    let one_guest = run
        .cells
        .windows(2)
        .all(|pair| pair[0].guest == pair[1].guest);
    let short = one_guest && run.cells.iter().all(unique);
    run.cells
        .iter()
        .map(|cell| text::clean(if short { &cell.nic } else { &cell.name }))
        .collect()
}

/// All probes with this verdict, in catalogue order, merged over cells.
/// Inconclusive ones are merged only where the reason is the same too.
pub fn findings(run: &Run, verdict: Verdict) -> Vec<Finding> {
    let mut found: Vec<(usize, Finding)> = Vec::new();
    for (cell, label) in run.cells.iter().zip(labels(run)) {
        for (at, probe) in cell.probes.iter().enumerate() {
            if probe.verdict == verdict {
                merge(&mut found, at, finding(probe, &label));
            }
        }
    }
    // All cells run the same catalogue, so a position means the same in each.
    found.sort_by_key(|(at, _)| *at);
    let complete = |(_, finding): (usize, Finding)| Finding {
        passing: passing(run, &finding.id),
        ..finding
    };
    found.into_iter().map(complete).collect()
}

/// Labels of the cells in which a probe passes.
fn passing(run: &Run, id: &str) -> Vec<String> {
    let passes = |cell: &Cell| {
        let mut probes = cell.probes.iter();
        probes.any(|probe| text::clean(&probe.id) == id && probe.verdict == Verdict::Pass)
    };
    let cells = run.cells.iter().zip(labels(run));
    let passing = cells.filter(|(cell, _)| passes(cell));
    passing.map(|(_, label)| label).collect()
}

fn merge(found: &mut Vec<(usize, Finding)>, at: usize, new: Finding) {
    let same = |old: &Finding| old.id == new.id && (!new.unproven || old.note == new.note);
    match found.iter_mut().find(|(_, old)| same(old)) {
        Some((first, old)) => {
            *first = at.min(*first);
            old.last_seen = old.last_seen.filter(|point| Some(*point) == new.last_seen);
            old.cells.extend(new.cells);
        }
        None => found.push((at, new)),
    }
}

fn finding(probe: &ProbeResult, label: &str) -> Finding {
    let note = probe
        .note
        .as_deref()
        .map(text::clean)
        .filter(|note| !note.is_empty());
    let unproven = probe.verdict == Verdict::Inconclusive;
    Finding {
        id: text::clean(&probe.id),
        summary: text::clean(&probe.summary),
        cells: vec![label.to_owned()],
        note: note.or_else(|| unproven.then(|| reason(probe))),
        last_seen: probe.last_seen,
        unproven,
        passing: Vec::new(),
    }
}

/// Why a probe is inconclusive, read from its outcomes where the judge left no note.
pub(super) fn reason(probe: &ProbeResult) -> String {
    let without = titles::unproven(probe.control).map(|why| format!("{why}, without the filter"));
    let stopped = (probe.control == Outcome::Dropped)
        .then(|| "it was dropped without the filter too: something else stops it".to_owned());
    let with = (probe.filtered != Outcome::Dropped)
        .then(|| titles::unproven(probe.filtered))
        .flatten()
        .map(|why| format!("{why}, with the filter"));
    let none = || "no reason was recorded".to_owned();
    stopped.or(without).or(with).unwrap_or_else(none)
}

/// `pcnet, virtio`, or `all 15 cells` and `all 15 linux cells` where a list would
/// only be long.
pub fn list(cells: &[String], run: &Run) -> String {
    if cells.len() <= 3 {
        return cells.join(", ");
    }
    if cells.len() == run.cells.len() {
        return format!("all {} cells", cells.len());
    }
    let guest = |label: &str| label.split_once('/').map(|(guest, _)| guest.to_owned());
    let Some(first) = guest(&cells[0]) else {
        return cells.join(", ");
    };
    let alike = run.cells.iter().filter(|cell| cell.guest == first).count();
    let mine = |label: &String| guest(label).as_ref() == Some(&first);
    if alike == cells.len() && cells.iter().all(mine) {
        return format!("all {alike} {first} cells");
    }
    cells.join(", ")
}

/// Most cells that are named where a probe comes out differently in them.
const NAMED: usize = 3;

/// The cells in which it was found, and some in which the same probe passed:
/// `[pcnet], not with virtio`.
pub fn place(finding: &Finding, run: &Run) -> String {
    let found = format!("[{}]", list(&finding.cells, run));
    match finding.passing.as_slice() {
        [] => found,
        few if few.len() <= NAMED => format!("{found}, not with {}", few.join(", ")),
        many => format!("{found}, not in {} other cells", many.len()),
    }
}

/// What the run shows by its leak check, one line per outcome, and whether it is good.
pub fn leak_check(run: &Run) -> Vec<(bool, String)> {
    let mut merged: Vec<(bool, String, Vec<String>)> = Vec::new();
    for (cell, label) in run.cells.iter().zip(labels(run)) {
        let (good, line) = leak_check_of(cell, &run.filter);
        match merged.iter_mut().find(|old| old.1 == line) {
            Some(old) => old.2.push(label),
            None => merged.push((good, line, vec![label])),
        }
    }
    let print = |(good, line, cells): (bool, String, Vec<String>)| {
        (good, format!("leak check: {line} ({})", list(&cells, run)))
    };
    merged.into_iter().map(print).collect()
}

/// What one cell shows by its leak check, and whether it is good.
pub(super) fn leak_check_of(cell: &Cell, filter: &FilterInfo) -> (bool, String) {
    let (arrived, sent) = cell.leak_check_counts();
    match cell.leak_check {
        _ if filter.name.is_none() => (
            false,
            "no filter was bound, so none could be removed".to_owned(),
        ),
        Some(true) => (
            true,
            format!("with the filter removed, {arrived} of {sent} WAN probes arrived"),
        ),
        Some(false) => (
            false,
            format!(
                "with the filter removed, only {arrived} of {sent} WAN probes arrived: it is \
                 not proven that the filter stopped them"
            ),
        ),
        None => (
            false,
            "not reached, so it is not proven that the filter stopped the WAN probes".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use crate::report::model::Failure;
    use rstest::rstest;

    #[test]
    fn leaks_are_merged_in_catalogue_order() {
        let found = findings(&examples::red(), Verdict::Fail(Failure::Leak));
        let lines: Vec<String> = found
            .iter()
            .map(|finding| format!("{} {}", finding.id, finding.cells.join("+")))
            .collect();
        let expected = [
            "multicast/router-mac pcnet+virtio",
            "wan-ipv4/udp-53 virtio",
            "wan-ipv6/udp-53 pcnet+virtio",
            "wan-edges/class-e pcnet+virtio",
            "reflection/icmp pcnet+virtio",
            "encapsulation/vlan-0 pcnet+virtio",
            "rogue/ra pcnet+virtio",
            "wan-inbound/udp pcnet+virtio",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn another_guest_with_the_same_nic_gets_its_full_name() {
        let mut run = examples::green();
        assert_eq!(labels(&run), ["pcnet", "virtio"]);
        (run.cells[1].guest, run.cells[1].name) = ("ipxe".into(), "ipxe/pcnet".into());
        assert_eq!(labels(&run), ["linux/pcnet", "ipxe/pcnet"]);
    }

    #[test]
    fn all_cells_of_one_guest_are_named_by_it() {
        let mut run = examples::green();
        let cell = |guest: &str, nic: usize| {
            let mut cell = examples::green().cells.remove(0);
            (cell.guest, cell.nic) = (guest.to_owned(), nic.to_string());
            cell.name = format!("{guest}/{nic}");
            cell
        };
        let linux = (0..4).map(|nic| cell("linux", nic));
        run.cells = linux.chain([cell("ipxe", 0)]).collect();
        let labels = labels(&run);
        assert_eq!(list(&labels, &run), "all 5 cells");
        assert_eq!(list(&labels[..4], &run), "all 4 linux cells");
        assert_eq!(list(&labels[..3], &run), "linux/0, linux/1, linux/2");
        assert_eq!(
            list(&labels[1..], &run),
            "linux/1, linux/2, linux/3, ipxe/0"
        );
    }

    #[rstest]
    #[case::never_sent(
        Outcome::NeverSent,
        Outcome::Dropped,
        "it was not seen leaving its sender, without the filter"
    )]
    #[case::no_control(
        Outcome::Dropped,
        Outcome::Dropped,
        "it was dropped without the filter too: something else stops it"
    )]
    #[case::lost(
        Outcome::Delivered,
        Outcome::Lost,
        "it left and did not arrive, and neither did the sentinel sent after it, with the filter"
    )]
    #[case::blind(
        Outcome::Delivered,
        Outcome::Unknown,
        "no sensor watched it, with the filter"
    )]
    #[case::unsaid(Outcome::Delivered, Outcome::Dropped, "no reason was recorded")]
    fn says_why(#[case] control: Outcome, #[case] filtered: Outcome, #[case] expected: &str) {
        let mut probe = examples::green().cells.remove(0).probes.remove(0);
        (probe.control, probe.filtered) = (control, filtered);
        assert_eq!(reason(&probe), expected);
    }
}
