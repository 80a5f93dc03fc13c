//! The files of the evidence: in the page itself where they are small, else as links.

use super::link;
use crate::report::model::{Cell, Run};
use crate::report::text::{clean, plural};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// The page has less than 1 MB; this much is for all of it, files included.
const PAGE: usize = 950_000;

/// What a file costs besides its content: its name, twice, and the tags around it.
const AROUND: usize = 200;

/// Bytes of a file that could still be part of a page; larger ones need not be read.
pub const LARGEST: u64 = 512 * 1024;

/// The evidence of a run.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The folder that the files lie in, as a path from the page; none where that is not known.
    pub folder: Option<String>,
    /// What is in them, by the path that the report names; those that could be read.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Evidence {
    /// Files that are linked and not part of the page.
    pub fn linked(folder: &str) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            files: BTreeMap::new(),
        }
    }

    /// All paths of a run that do not lead out of the folder.
    pub fn paths(run: &Run) -> BTreeSet<&str> {
        let paths = run.cells.iter().flat_map(|cell| &cell.evidence);
        let paths = paths.map(String::as_str);
        paths.filter(|path| link::is_within(path)).collect()
    }

    /// Those that fit into a page that has so many bytes without them, the smallest first.
    pub(super) fn fitting(&self, run: &Run, page: usize) -> BTreeSet<&str> {
        let mut left = PAGE.saturating_sub(page);
        let mut files: Vec<(usize, &str)> = self
            .files
            .iter()
            .map(|(path, content)| (content.len(), path.as_str()))
            .collect();
        files.sort_unstable();
        // A report may name one file for several cells.
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for path in run.cells.iter().flat_map(|cell| &cell.evidence) {
            *times.entry(path).or_default() += 1;
        }
        let mut out = BTreeSet::new();
        for (length, path) in files {
            let once = length.div_ceil(3) * 4 + path.len() * 2 + AROUND;
            let cost = once.saturating_mul(times.get(path).copied().unwrap_or_default());
            if cost > left {
                break;
            }
            left -= cost;
            out.insert(path);
        }
        out
    }
}

/// The files of a cell. A browser never shows one in the place of the page: it saves them.
pub fn of_cell(evidence: &Evidence, inside: &BTreeSet<&str>, cell: &Cell) -> Markup {
    let outside = cell.evidence.iter();
    let outside = outside
        .filter(|path| !inside.contains(path.as_str()))
        .count();
    html! {
        @if !cell.evidence.is_empty() {
            h4 { "Evidence" }
            ul class="files" {
                @for path in &cell.evidence { li { (file(evidence, inside, path)) } }
            }
            @if outside > 0 && evidence.folder.is_none() {
                p class="remark" { "The files lie in the folder that --out named." }
            } @else if outside > 0 && !inside.is_empty() {
                p class="remark" {
                    "Part of this page are the files with a size; " (plural(outside, "larger one"))
                    " must lie where the link leads: in the folder that --out named."
                }
            }
        }
    }
}

fn file(evidence: &Evidence, inside: &BTreeSet<&str>, path: &str) -> Markup {
    let content = evidence.files.get(path);
    let content = content.filter(|_| inside.contains(path));
    let folder = evidence.folder.as_deref();
    html! {
        @if let Some(content) = content {
            a href=(data(content)) download=(saved_as(path)) { (name(path)) } " " span class="cells" { (size(content.len())) }
        } @else if let Some(href) = folder.and_then(|folder| link::file(folder, path)) {
            a href=(href) download { (name(path)) }
            @if !inside.is_empty() { " " code { (clean(path)) } }
        } @else {
            (clean(path))
        }
    }
}

/// A file as a link that holds it, of a type that is saved and not shown.
fn data(content: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(content);
    format!("data:application/octet-stream;base64,{text}")
}

/// `linux-pcnet-rules.txt`: so that those of two cells are told apart in one folder.
fn saved_as(path: &str) -> String {
    let letters = path.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        '.' | '_' => letter,
        _ => '-',
    });
    letters.collect()
}

fn size(bytes: usize) -> String {
    if bytes < 1000 {
        format!("{bytes} B")
    } else {
        format!("{} kB", bytes.div_ceil(1000))
    }
}

/// The last part of a path.
fn name(path: &str) -> String {
    clean(path.rsplit('/').next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    fn evidence(files: &[(&str, usize)]) -> Evidence {
        let files = files.iter();
        let files = files.map(|(path, length)| ((*path).to_owned(), vec![b'x'; *length]));
        Evidence {
            folder: Some("out".into()),
            files: files.collect(),
        }
    }

    #[test]
    fn the_smallest_files_are_part_of_the_page_as_long_as_it_is_small() {
        let all = evidence(&[("a/frames.pcapng", 400_000), ("a/rules.txt", 1_500)]);
        let mut run = examples::red();
        run.cells.truncate(1);
        run.cells[0].evidence = ["a/frames.pcapng", "a/rules.txt"].map(str::to_owned).into();
        let names = |run: &Run, page| all.fitting(run, page).into_iter().collect::<Vec<_>>();
        assert_eq!(names(&run, 100_000), ["a/frames.pcapng", "a/rules.txt"]);
        assert_eq!(names(&run, 500_000), ["a/rules.txt"]);
        assert_eq!(names(&run, 949_000), Vec::<&str>::new());
        assert_eq!(names(&run, 2_000_000), Vec::<&str>::new());
        // Twice in the page it takes twice the room.
        run.cells.push(run.cells[0].clone());
        assert_eq!(names(&run, 100_000), ["a/rules.txt"]);
    }

    #[test]
    fn a_file_is_saved_under_a_tame_name() {
        assert_eq!(saved_as("linux-pcnet/rules.txt"), "linux-pcnet-rules.txt");
        assert_eq!(saved_as("a/../\u{202e}b\"<x>"), "a-..--b--x-");
    }
}
