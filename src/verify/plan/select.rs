//! Selects cells by their names and deals them out to partitions.

use super::partition::Partition;
use crate::report::model::Skipped;
use crate::verify::job::{Attach, CellPlan};
use std::collections::BTreeSet;

/// A cell of the matrix, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The cell.
    pub plan: CellPlan,
    /// Why it cannot run here; none where it can.
    pub skip: Option<String>,
}

/// What is to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Cells to run, in the order of the matrix.
    pub cells: Vec<CellPlan>,
    /// Cells that cannot run, in the order of the matrix.
    pub skipped: Vec<Skipped>,
    /// Names of the whole matrix as the globs select it, of all partitions.
    pub matrix: Vec<String>,
}

impl Plan {
    /// Has the filter come to every guest in this way. A cell without a guest knows only one.
    pub fn attach_all(&mut self, attach: Attach) {
        let guests = self.cells.iter_mut();
        let guests = guests.filter(|cell| cell.guest.has_machine());
        guests.for_each(|cell| cell.attach = attach);
    }
}

/// Selects by globs over the cells' names (none select all), then by partition.
///
/// What runs and what is skipped is dealt out separately, so that a slice is a
/// fair share of the work.
///
/// Attaching the filter to a running guest tests libvirt and the kernel, not the NIC's
/// driver, so one cell per kind of guest is enough: the first one of its kind, in whichever
/// partition it is. Foreign guests differ from each other, so each goes through both.
pub fn select(entries: Vec<Entry>, globs: &[glob::Pattern], partition: Option<Partition>) -> Plan {
    let mut plan = Plan::default();
    let mut places = [0, 0];
    let mut kinds = BTreeSet::new();
    for mut entry in entries {
        let name = entry.plan.name.clone();
        if !globs.is_empty() && !globs.iter().any(|glob| glob.matches(&name)) {
            continue;
        }
        plan.matrix.push(name.clone());
        let kind = &entry.plan.guest;
        if kind.is_uniform() && entry.skip.is_none() && !kinds.insert(kind.clone()) {
            entry.plan.attach = Attach::BeforeFirstFrame;
        }
        let place = &mut places[usize::from(entry.skip.is_some())];
        let mine = partition.is_none_or(|partition| partition.holds(*place, &name));
        *place += 1;
        match entry.skip {
            _ if !mine => {}
            Some(reason) => plan.skipped.push(Skipped { name, reason }),
            None => plan.cells.push(entry.plan),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::GuestKind;
    use proptest::prelude::*;
    use rstest::rstest;

    fn entry(nic: &str, skip: Option<&str>) -> Entry {
        Entry {
            plan: CellPlan::linux(nic),
            skip: skip.map(str::to_owned),
        }
    }

    fn matrix() -> Vec<Entry> {
        vec![
            entry("pcnet", None),
            entry("rocker", Some("a switch")),
            entry("e1000", None),
            entry("e1000e", None),
            entry("virtio", None),
        ]
    }

    fn globs(texts: &[&str]) -> Vec<glob::Pattern> {
        let pattern = |text: &&str| glob::Pattern::new(text).expect("a good glob");
        texts.iter().map(pattern).collect()
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.cells.iter().map(|cell| cell.nic.as_str()).collect()
    }

    #[rstest]
    #[case::all(&[], None, &["pcnet", "e1000", "e1000e", "virtio"])]
    #[case::glob(&["linux/e1000*"], None, &["e1000", "e1000e"])]
    #[case::two_globs(&["linux/v*", "*/pcnet"], None, &["pcnet", "virtio"])]
    #[case::nothing(&["ipxe/*"], None, &[])]
    #[case::first_slice(&[], Some("slice:1/2"), &["pcnet", "e1000e"])]
    #[case::second_slice(&[], Some("slice:2/2"), &["e1000", "virtio"])]
    #[case::slice_of_the_glob(&["*e1000*"], Some("slice:2/2"), &["e1000e"])]
    #[case::more_parts_than_cells(&[], Some("slice:9/9"), &[])]
    fn selection(
        #[case] texts: &[&str],
        #[case] partition: Option<&str>,
        #[case] expected: &[&str],
    ) {
        let partition = partition.map(|text| text.parse().expect("a good partition"));
        let plan = select(matrix(), &globs(texts), partition);
        assert_eq!(names(&plan), expected);
    }

    #[rstest]
    #[case::of_all(&[], None, &[Attach::Both, Attach::BeforeFirstFrame, Attach::BeforeFirstFrame, Attach::BeforeFirstFrame])]
    #[case::of_the_selected(&["*e1000*"], None, &[Attach::Both, Attach::BeforeFirstFrame])]
    #[case::not_of_each_partition(&[], Some("slice:2/2"), &[Attach::BeforeFirstFrame, Attach::BeforeFirstFrame])]
    fn the_first_of_its_kind_also_has_the_filter_attached_while_it_runs(
        #[case] texts: &[&str],
        #[case] partition: Option<&str>,
        #[case] expected: &[Attach],
    ) {
        let partition = partition.map(|text| text.parse().expect("a good partition"));
        let plan = select(matrix(), &globs(texts), partition);
        let orders: Vec<Attach> = plan.cells.iter().map(|cell| cell.attach).collect();
        assert_eq!(orders, expected);
    }

    #[test]
    fn every_kind_has_its_first_and_foreign_guests_all_go_through_both() {
        let dos = GuestKind::Foreign("dos".into());
        let plans = [
            CellPlan::linux("pcnet"),
            CellPlan::new(GuestKind::Ipxe, "pcnet"),
            CellPlan::new(dos.clone(), "pcnet"),
            CellPlan::new(dos, "ne2k_pci"),
            CellPlan::tap(),
        ];
        let entries = plans.map(|plan| Entry { plan, skip: None });
        let cells = select(entries.to_vec(), &[], None).cells;
        let orders: Vec<Attach> = cells.iter().map(|cell| cell.attach).collect();
        let both = Attach::Both;
        assert_eq!(orders, [both, both, both, both, Attach::Running]);
    }

    #[test]
    fn what_is_skipped_is_kept_with_its_reason() {
        let plan = select(matrix(), &[], None);
        assert_eq!(plan.skipped.len(), 1);
        assert_eq!(plan.skipped[0].name, "linux/rocker");
        assert_eq!(plan.skipped[0].reason, "a switch");
        assert_eq!(plan.matrix.len(), 5);
    }

    proptest! {
        /// Every cell, run or skipped, is in exactly one part.
        #[test]
        fn partitions_are_disjoint_and_complete(
            nics in proptest::collection::hash_set(("[a-z0-9-]{1,12}", any::<bool>()), 0..40),
            of in 1_u64..12,
            deal in prop_oneof![Just("slice"), Just("hash")],
        ) {
            let entries: Vec<Entry> = nics
                .iter()
                .map(|(nic, skip)| entry(nic, skip.then_some("why")))
                .collect();
            let whole = select(entries.clone(), &[], None);
            let (mut cells, mut skipped) = (Vec::new(), Vec::new());
            for part in 1..=of {
                let partition = format!("{deal}:{part}/{of}").parse().expect("good");
                let plan = select(entries.clone(), &[], Some(partition));
                prop_assert_eq!(&plan.matrix, &whole.matrix);
                cells.extend(plan.cells.into_iter().map(|cell| cell.name));
                skipped.extend(plan.skipped.into_iter().map(|skipped| skipped.name));
            }
            let mut all: Vec<String> = whole.cells.into_iter().map(|cell| cell.name).collect();
            let mut none: Vec<String> = whole.skipped.into_iter().map(|skip| skip.name).collect();
            for list in [&mut cells, &mut skipped, &mut all, &mut none] {
                list.sort();
            }
            prop_assert_eq!(cells, all);
            prop_assert_eq!(skipped, none);
        }

        #[test]
        fn slices_are_even(count in 0_usize..60, of in 1_u64..12) {
            let entries: Vec<Entry> = (0..count).map(|nic| entry(&nic.to_string(), None)).collect();
            let sizes: Vec<usize> = (1..=of)
                .map(|part| {
                    let partition = format!("slice:{part}/{of}").parse().expect("good");
                    select(entries.clone(), &[], Some(partition)).cells.len()
                })
                .collect();
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        }
    }
}
