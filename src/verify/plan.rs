//! Which cells of the matrix run, in what order, and which do not and why.

use super::job::{Attach, CellPlan};
use crate::report::model::Skipped;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Namespace of the hashes that deal cells out; it never changes, so that a
/// cell stays in its partition while others come and go.
const HASHES: uuid::Uuid = uuid::uuid!("6f0b9c9e-0c0b-5c9a-9d6e-3a6d1d1f2b77");

/// A cell of the matrix, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The cell.
    pub plan: CellPlan,
    /// Why it cannot run here; none where it can.
    pub skip: Option<String>,
}

/// How to deal the cells out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deal {
    /// Every n-th of the selected cells.
    Slice,
    /// By the cell's name alone.
    Hash,
}

/// A part of the matrix: `slice:m/n` or `hash:m/n`, m from 1, as nextest writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    deal: Deal,
    part: u64,
    of: u64,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let grammar = || format!("`{text}` is not slice:m/n or hash:m/n");
        let (deal, numbers) = text.split_once(':').ok_or_else(grammar)?;
        let deal = match deal {
            "slice" => Deal::Slice,
            "hash" => Deal::Hash,
            _ => return Err(grammar()),
        };
        let (part, of) = numbers.split_once('/').ok_or_else(grammar)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| grammar());
        let (part, of) = (number(part)?, number(of)?);
        if part == 0 || part > of {
            return Err(format!("part {part} of {of}: the parts go from 1 to {of}"));
        }
        Ok(Self { deal, part, of })
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deal = match self.deal {
            Deal::Slice => "slice",
            Deal::Hash => "hash",
        };
        write!(f, "{deal}:{}/{}", self.part, self.of)
    }
}

impl Partition {
    /// Part `part` of `of`, both from 1, of cells dealt out in turn.
    pub fn slice(part: u64, of: u64) -> Self {
        let deal = Deal::Slice;
        Self { deal, part, of }
    }

    /// Whether the cell with this place among its like and this name belongs to the part.
    fn holds(self, place: usize, name: &str) -> bool {
        let number = match self.deal {
            Deal::Slice => u128::try_from(place).unwrap_or(u128::MAX),
            Deal::Hash => uuid::Uuid::new_v5(&HASHES, name.as_bytes()).as_u128(),
        };
        number % u128::from(self.of) == u128::from(self.part - 1)
    }
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

/// Longest cell first, so that none is left over for one worker at the end. A
/// cell that was never timed may be the longest of all and goes first.
pub fn longest_first(cells: &mut [CellPlan], times: &BTreeMap<String, u64>) {
    cells.sort_by_key(|cell| std::cmp::Reverse(times.get(&cell.name).copied().unwrap_or(u64::MAX)));
}

#[cfg(test)]
mod tests {
    use super::super::kind::GuestKind;
    use super::*;
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

    #[rstest]
    #[case("slice:1/1")]
    #[case("hash:3/8")]
    fn partitions_read_back(#[case] text: &str) {
        assert_eq!(text.parse::<Partition>().expect("good").to_string(), text);
    }

    #[rstest]
    #[case::nothing("", "is not slice:m/n")]
    #[case::other_word("count:1/2", "is not slice:m/n")]
    #[case::no_total("slice:1", "is not slice:m/n")]
    #[case::from_zero("hash:0/2", "go from 1 to 2")]
    #[case::beyond("hash:3/2", "go from 1 to 2")]
    #[case::empty("slice:0/0", "go from 1 to 0")]
    #[case::negative("slice:-1/2", "is not slice:m/n")]
    fn bad_partitions_are_refused(#[case] text: &str, #[case] why: &str) {
        let error = text.parse::<Partition>().expect_err("bad");
        assert!(error.contains(why), "{error}");
    }

    /// Recorded once: were it to change, cells would move between CI runners.
    #[test]
    fn hashes_do_not_change() {
        let part = |name: &str| {
            (1..=8).find(|part| {
                let partition: Partition = format!("hash:{part}/8").parse().expect("good");
                partition.holds(0, name)
            })
        };
        let parts = ["linux/pcnet", "linux/virtio", "linux/e1000"].map(part);
        assert_eq!(parts, [Some(1), Some(4), Some(2)]);
    }

    #[test]
    fn longest_first_and_the_unknown_before_all() {
        let mut cells = select(matrix(), &[], None).cells;
        let times = [
            ("linux/pcnet", 10),
            ("linux/virtio", 30),
            ("linux/e1000", 20),
        ];
        let times = times.map(|(name, ms)| (name.to_owned(), ms)).into();
        longest_first(&mut cells, &times);
        let order: Vec<&str> = cells.iter().map(|cell| cell.nic.as_str()).collect();
        assert_eq!(order, ["e1000e", "virtio", "e1000", "pcnet"]);
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
