//! A plan as it is listed: what would run, and what cannot and why.

use super::select::Plan;
use crate::report::model::Skipped;
use crate::verify::job::CellPlan;
use serde::Serialize;

#[derive(Serialize)]
struct Listing<'a> {
    cells: &'a [CellPlan],
    skipped: &'a [Skipped],
}

impl Plan {
    /// A name a line; what is skipped has its reason behind a colon.
    pub fn to_text(&self) -> String {
        let cells = self.cells.iter().map(|cell| format!("{}\n", cell.name));
        let skipped = self
            .skipped
            .iter()
            .map(|cell| format!("{} skipped: {}\n", cell.name, cell.reason));
        cells.chain(skipped).collect()
    }

    /// A JSON object of `cells` and `skipped`, and a line break.
    pub fn to_json(&self) -> String {
        let listing = Listing {
            cells: &self.cells,
            skipped: &self.skipped,
        };
        let text = serde_json::to_string_pretty(&listing);
        text.expect("names and reasons are strings") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            cells: vec![CellPlan::linux("pcnet")],
            skipped: vec![Skipped {
                name: "linux/rocker".into(),
                reason: "it is a switch".into(),
            }],
            matrix: vec!["linux/pcnet".into(), "linux/rocker".into()],
        }
    }

    #[test]
    fn listed_as_text() {
        insta::assert_snapshot!(plan().to_text(), @r"
        linux/pcnet
        linux/rocker skipped: it is a switch
        ");
    }

    #[test]
    fn listed_as_json() {
        insta::assert_snapshot!(plan().to_json());
    }
}
