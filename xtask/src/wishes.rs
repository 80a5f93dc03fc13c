//! What a run's cells need beyond what every run needs, told by the arguments of lanfence.

use crate::needs::{MIPS, Need};
use std::ffi::OsString;

/// Cells that need more, and what.
const WISHES: [(&str, &Need); 1] = [("uboot/pcnet", &MIPS)];

/// The needs of the cells that the arguments of `lanfence verify` or `lanfence matrix` choose.
pub fn of(arguments: &[OsString]) -> Vec<&'static Need> {
    let chosen = Chosen::of(arguments);
    let wanted = WISHES.into_iter().filter(|(cell, _)| chosen.has(cell));
    wanted.map(|(_, need)| need).collect()
}

/// The needs of all cells.
pub fn all() -> Vec<&'static Need> {
    WISHES.into_iter().map(|(_, need)| need).collect()
}

/// The cells that are chosen.
#[derive(Debug, Default)]
struct Chosen {
    /// `--matrix full`.
    full: bool,
    /// `--list`: nothing is run.
    only_listed: bool,
    /// `--cell`.
    globs: Vec<String>,
}

impl Chosen {
    fn of(arguments: &[OsString]) -> Self {
        let mut chosen = Self::default();
        let mut words = arguments.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_string(), None),
            };
            let mut value = || value.clone().or_else(|| Some(words.next()?.into_owned()));
            match name.as_str() {
                "--" => break,
                "--list" => chosen.only_listed = true,
                "--matrix" => chosen.full |= value().is_some_and(|matrix| matrix == "full"),
                "--cell" => chosen.globs.extend(value()),
                _ => {}
            }
        }
        chosen
    }

    /// Cells that are chosen by name are chosen of the full matrix.
    fn has(&self, cell: &str) -> bool {
        let named = self
            .globs
            .iter()
            .any(|glob| matches(glob.as_bytes(), cell.as_bytes()));
        !self.only_listed && (named || (self.full && self.globs.is_empty()))
    }
}

/// Whether the glob matches. A set in brackets is taken for any character: better one package too
/// many than a cell that is left out.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    match (glob.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            matches(&glob[1..], text) || (!text.is_empty() && matches(glob, &text[1..]))
        }
        (Some(b'['), Some(_)) => {
            let end = glob.iter().position(|byte| *byte == b']');
            end.is_some_and(|end| matches(&glob[end + 1..], &text[1..]))
        }
        (Some(b'?'), Some(_)) => matches(&glob[1..], &text[1..]),
        (Some(a), Some(b)) => a == b && matches(&glob[1..], &text[1..]),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_usual_run("", false)]
    #[case::all("--matrix full", true)]
    #[case::all_in_one_word("--matrix=full --json x", true)]
    #[case::the_usual_matrix("--matrix usual", false)]
    #[case::the_cell("--cell uboot/pcnet", true)]
    #[case::its_kind("--cell uboot/*", true)]
    #[case::its_model("--cell=*/pcnet", true)]
    #[case::one_character("--cell uboot/pcne?", true)]
    #[case::a_set("--cell uboot/[px]cnet", true)]
    #[case::others_of_all("--matrix full --cell linux/*", false)]
    #[case::another_cell("--cell grub/pcnet", false)]
    #[case::longer("--cell uboot/pcnet2", false)]
    #[case::a_list("--matrix full --list", false)]
    #[case::no_value("--cell", false)]
    #[case::a_file_of_that_name("-- --matrix full", false)]
    fn cells_on_mips_need_their_emulator(#[case] line: &str, #[case] wanted: bool) {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let named: Vec<_> = of(&arguments).iter().map(|need| need.subject()).collect();
        assert_eq!(named == ["qemu-system-mipsel"], wanted, "{named:?}");
    }
}
