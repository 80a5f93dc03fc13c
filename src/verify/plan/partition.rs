//! A part of the matrix, for jobs that run on different machines.

use std::fmt;
use std::str::FromStr;

/// Namespace of the hashes that deal cells out; it never changes, so that a
/// cell stays in its partition while others come and go.
const HASHES: uuid::Uuid = uuid::uuid!("6f0b9c9e-0c0b-5c9a-9d6e-3a6d1d1f2b77");

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
    pub(super) fn holds(self, place: usize, name: &str) -> bool {
        let number = match self.deal {
            Deal::Slice => u128::try_from(place).unwrap_or(u128::MAX),
            Deal::Hash => uuid::Uuid::new_v5(&HASHES, name.as_bytes()).as_u128(),
        };
        number % u128::from(self.of) == u128::from(self.part - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
}
