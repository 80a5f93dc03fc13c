//! Joins the reports of partitions into the report of the whole matrix.

use crate::diagnosis::join;
use crate::report::model::{Cell, CellError, ErrorKind, Host, Run, Skipped, Step};
use std::collections::BTreeSet;

/// Why reports do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to join.
    #[error("no report to merge; name the files that `lanfence verify --json` wrote")]
    Nothing,
    /// Not the same run.
    #[error(
        "{file} has another {what} than {first} ({theirs} instead of {ours}); only partitions of one run can be merged"
    )]
    Differs {
        /// The report.
        file: String,
        /// The one that it is compared with.
        first: String,
        /// Which part.
        what: &'static str,
        /// Its value.
        theirs: String,
        /// The value of the first.
        ours: String,
    },
    /// A cell that the matrix does not have.
    #[error("{cell} in {file} is not in the matrix of that run; was the report changed?")]
    Foreign {
        /// The cell.
        cell: String,
        /// The report.
        file: String,
    },
    /// The same cell twice.
    #[error("{cell} is in {file} and in an earlier report; name each partition once")]
    Twice {
        /// The cell.
        cell: String,
        /// The later report.
        file: String,
    },
}

/// Joins reports, each with its file's name for messages.
///
/// Cells come back in the order of the matrix. A cell of the matrix that no
/// report has is an error of its own: a lost partition must not look green.
///
/// # Errors
/// [`MergeError::Nothing`] without a report, [`MergeError::Differs`] for reports of
/// different runs, [`MergeError::Twice`] for a cell that two reports have.
pub fn merge(reports: Vec<(String, Run)>) -> Result<Run, MergeError> {
    let mut reports = reports.into_iter();
    let (first, mut run) = reports.next().ok_or(MergeError::Nothing)?;
    own(&first, &run)?;
    for (file, other) in reports {
        same(&first, &run, &file, &other)?;
        own(&file, &other)?;
        distinct(&run, &file, &other)?;
        run.cells.extend(other.cells);
        run.skipped.extend(other.skipped);
        join(&mut run.causes, other.causes);
        // Partitions with different kinds of guests have different probes.
        for facts in other.probes {
            if run.probes.iter().all(|known| known.id != facts.id) {
                run.probes.push(facts);
            }
        }
        run.wall_ms = run.wall_ms.max(other.wall_ms);
        run.started = match (run.started.take(), other.started) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        run.host = hosts(&run.host, &other.host);
    }
    complete(&mut run);
    Ok(run)
}

fn same(first: &str, ours: &Run, file: &str, theirs: &Run) -> Result<(), MergeError> {
    let filter = |run: &Run| {
        let name = run.filter.name.as_deref().unwrap_or("no filter");
        format!("{name}, {}, {} rules", run.filter.source, run.filter.rules)
    };
    let matrix = |run: &Run| run.matrix.join(" ");
    // The names of files can be the same where what is in them differs.
    let inputs = |run: &Run| run.inputs.clone().unwrap_or_else(|| "none".into());
    let facts = [
        (
            "version of lanfence",
            ours.version.clone(),
            theirs.version.clone(),
        ),
        ("policy", ours.policy.clone(), theirs.policy.clone()),
        ("filter", filter(ours), filter(theirs)),
        ("matrix", matrix(ours), matrix(theirs)),
        (
            "content of policy, filter or parameters",
            inputs(ours),
            inputs(theirs),
        ),
    ];
    for (what, ours, theirs) in facts {
        if ours != theirs {
            return Err(MergeError::Differs {
                file: file.into(),
                first: first.into(),
                what,
                theirs,
                ours,
            });
        }
    }
    Ok(())
}

/// Each cell of a partition is one of its matrix.
fn own(file: &str, run: &Run) -> Result<(), MergeError> {
    let is_known = |name: &&str| run.matrix.is_empty() || run.matrix.iter().any(|it| it == name);
    let foreign = names(run).find(|name| !is_known(name));
    foreign.map_or(Ok(()), |cell| {
        Err(MergeError::Foreign {
            cell: cell.into(),
            file: file.into(),
        })
    })
}

fn distinct(ours: &Run, file: &str, theirs: &Run) -> Result<(), MergeError> {
    let have: BTreeSet<&str> = names(ours).collect();
    match names(theirs).find(|name| have.contains(name)) {
        None => Ok(()),
        Some(cell) => Err(MergeError::Twice {
            cell: cell.into(),
            file: file.into(),
        }),
    }
}

fn names(run: &Run) -> impl Iterator<Item = &str> {
    let cells = run.cells.iter().map(|cell| cell.name.as_str());
    cells.chain(run.skipped.iter().map(|cell| cell.name.as_str()))
}

/// Puts the cells in the order of the matrix and names those that are missing.
fn complete(run: &mut Run) {
    let have: BTreeSet<String> = names(run).map(str::to_owned).collect();
    let missing = run.matrix.iter().filter(|name| !have.contains(*name));
    let missing: Vec<Cell> = missing.map(|name| absent(name)).collect();
    run.cells.extend(missing);
    let place = |name: &str| run.matrix.iter().position(|known| known == name);
    run.cells.sort_by_key(|cell| place(&cell.name));
    run.skipped.sort_by_key(|cell: &Skipped| place(&cell.name));
}

fn absent(name: &str) -> Cell {
    let (guest, nic) = name.split_once('/').unwrap_or((name, ""));
    Cell {
        name: name.into(),
        guest: guest.into(),
        nic: nic.into(),
        driver: None,
        back_end: None,
        probes: Vec::new(),
        timings: Vec::new(),
        error: Some(CellError {
            step: Step::Merge,
            message: "no report has this cell; is a partition missing?".into(),
            kind: ErrorKind::Cell,
        }),
        leak_check: None,
        evidence: Vec::new(),
        dhcp: None,
        learning: Vec::new(),
        rules: Vec::new(),
        sent_again: Vec::new(),
        flaky: None,
    }
}

/// Partitions may run on different machines: what differs is named side by side.
fn hosts(ours: &Host, theirs: &Host) -> Host {
    let both = |ours: &str, theirs: &str| {
        let known = ours.split(" / ").any(|part| part == theirs);
        match (ours.is_empty(), known || theirs.is_empty()) {
            (_, true) => ours.to_owned(),
            (true, false) => theirs.to_owned(),
            (false, false) => format!("{ours} / {theirs}"),
        }
    };
    let mut sysctls = ours.sysctls.clone();
    let new = |sysctl: &&String| !ours.sysctls.contains(sysctl);
    sysctls.extend(theirs.sysctls.iter().filter(new).cloned());
    Host {
        accel: both(&ours.accel, &theirs.accel),
        accel_reason: both(&ours.accel_reason, &theirs.accel_reason),
        kernel: both(&ours.kernel, &theirs.kernel),
        libvirt: both(&ours.libvirt, &theirs.libvirt),
        backend: both(&ours.backend, &theirs.backend),
        segment: both(&ours.segment, &theirs.segment),
        iptables: both(&ours.iptables, &theirs.iptables),
        nft: both(&ours.nft, &theirs.nft),
        qemu: both(&ours.qemu, &theirs.qemu),
        guest_kernel: both(&ours.guest_kernel, &theirs.guest_kernel),
        privilege: both(&ours.privilege, &theirs.privilege),
        sysctls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{arbitrary, examples, table};
    use proptest::prelude::*;

    /// A run and its parts, dealt out as the numbers say.
    fn split(run: &Run, parts: usize, numbers: &[usize]) -> Vec<(String, Run)> {
        let part = |part: usize| {
            let mine = |at: usize| numbers.get(at).copied().unwrap_or(at) % parts == part;
            let mut own = run.clone();
            let mut at = 0;
            own.cells.retain(|_| (mine(at), at += 1).0);
            own.skipped.retain(|_| (mine(at), at += 1).0);
            (format!("{part}.json"), own)
        };
        (0..parts).map(part).collect()
    }

    fn whole() -> Run {
        let mut run = examples::green();
        run.skipped = vec![Skipped {
            name: "linux/rocker".into(),
            reason: "it is a switch".into(),
        }];
        run.matrix = names(&run).map(str::to_owned).collect();
        run
    }

    #[test]
    fn two_partitions_give_the_table_of_one_run() {
        let mut parts = split(&whole(), 2, &[0, 1, 0]);
        parts.reverse();
        let merged = merge(parts).expect("one run");
        let print = |run: &Run| table::table(run, None, false);
        assert_eq!(print(&merged), print(&whole()));
    }

    #[test]
    fn a_lost_partition_is_not_green() {
        let mut parts = split(&whole(), 2, &[0, 1, 0]);
        parts.pop();
        let merged = merge(parts).expect("one run");
        assert_eq!(merged.exit().code(), 5);
        let error = merged.cells[1].error.as_ref().expect("no such cell");
        assert!(error.message.contains("partition missing"), "{error:?}");
    }

    #[test]
    fn other_runs_and_doubles_are_refused() {
        let report = |name: &str, run: Run| (name.to_owned(), run);
        let other = Run {
            policy: "other.toml".into(),
            ..whole()
        };
        let differs = merge(vec![report("a", whole()), report("b", other)]);
        let twice = merge(vec![report("a", whole()), report("b", whole())]);
        let inputs = |digest: &str| Run {
            inputs: Some(digest.into()),
            ..whole()
        };
        let same_name = merge(vec![report("a", inputs("ab")), report("b", inputs("cd"))]);
        let mut foreign = whole();
        foreign.matrix.remove(0);
        let foreign = merge(vec![report("a", foreign)]);
        let errors = [differs, same_name, foreign, twice, merge(Vec::new())];
        let texts = errors.map(|merged| merged.expect_err("refused").to_string());
        insta::assert_snapshot!(texts.join("\n"), @"
        b has another policy than a (other.toml instead of lanfence.toml); only partitions of one run can be merged
        b has another content of policy, filter or parameters than a (cd instead of ab); only partitions of one run can be merged
        linux/pcnet in a is not in the matrix of that run; was the report changed?
        linux/pcnet is in b and in an earlier report; name each partition once
        no report to merge; name the files that `lanfence verify --json` wrote
        ");
    }

    #[test]
    fn different_machines_are_named_side_by_side() {
        let mut parts = split(&whole(), 2, &[0, 1, 0]);
        parts[1].1.host.kernel = "6.12".into();
        let merged = merge(parts).expect("one run");
        assert_eq!(merged.host.kernel, "6.1.0-41-amd64 / 6.12");
        assert_eq!(merged.host.qemu, "10.0.2");
    }

    proptest! {
        #[test]
        fn parts_of_any_run_give_it_back(
            run in arbitrary::run(),
            parts in 1_usize..5,
            numbers in proptest::collection::vec(0_usize..8, 0..8),
        ) {
            let mut run = run;
            for (at, cell) in run.cells.iter_mut().enumerate() {
                cell.name = format!("linux/c{at}");
            }
            for (at, cell) in run.skipped.iter_mut().enumerate() {
                cell.name = format!("linux/s{at}");
            }
            run.matrix = names(&run).map(str::to_owned).collect();
            run.host = Host { sysctls: Vec::new(), ..run.host };
            let merged = merge(split(&run, parts, &numbers)).expect("one run");
            prop_assert_eq!(merged.cells, run.cells);
            prop_assert_eq!(merged.skipped, run.skipped);
            prop_assert_eq!(merged.wall_ms, run.wall_ms);
        }
    }
}
