//! What the kernel had to say to the two filters of a comparison.

use crate::report::text::plural;
use serde::Serialize;

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Whether libvirt took the filter; else it refused it, as the evaluator says too.
    pub bound: bool,
    /// Decisions of the kernel that were compared with the evaluator's.
    pub compared: usize,
    /// Of those, frames that it dropped.
    pub dropped: usize,
    /// What was otherwise than the evaluator says, in words.
    pub mismatch: Option<String>,
}

impl Measured {
    /// One line, or several with a mismatch.
    pub fn text(&self, name: &str) -> String {
        let frames = plural(self.compared, "decision");
        match &self.mismatch {
            Some(words) => format!("kernel: {name} is not as it says here\n{words}\n"),
            None if self.bound => format!(
                "kernel: {name} as it says here, {frames} of libvirt's rules compared, {} of them drops\n",
                self.dropped
            ),
            None => format!("kernel: libvirt refuses {name}, as it says here\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_said(true, None)]
    #[case::refused(false, None)]
    #[case::mismatch(true, Some("the frame x passes"))]
    fn measured_in_words(#[case] bound: bool, #[case] mismatch: Option<&str>) {
        let measured = Measured {
            bound,
            compared: if bound { 412 } else { 0 },
            dropped: if bound { 230 } else { 0 },
            mismatch: mismatch.map(str::to_owned),
        };
        let name = format!(
            "measured_{}",
            match (bound, mismatch) {
                (_, Some(_)) => "mismatch",
                (true, None) => "as_said",
                (false, None) => "refused",
            }
        );
        insta::assert_snapshot!(name, measured.text("A"));
    }
}
