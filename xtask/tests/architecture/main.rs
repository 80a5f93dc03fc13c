//! The tree is built as ARCHITECTURE.md says: no two files need each other, no room
//! needs one that stands above it, and files and functions stay short.

mod source;

use rstest::rstest;
use source::{Crate, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms from the ground up; each may need those of the lines before its own.
const FLOORS: &[&[&str]] = &[
    &["nearest", "place", "pool", "shell"],
    &["policy"],
    &["layout", "nwfilter"],
    &["probe", "random"],
    &["verdict"],
    &["domain"],
    &["check", "hook"],
    &["diagnosis", "mutate"],
    &["fix", "report"],
    &["lab"],
    &["guest", "host"],
    &["verify"],
    &["crosscheck", "doctor"],
    &["bench"],
    &["cli"],
];

/// The crates of the workspace: their root directories, and those of other crates within.
const CRATES: &[(&str, &[&str])] = &[
    ("src", &["src/frame", "src/testdata"]),
    ("src/frame", &[]),
    ("images/agent/src", &[]),
    ("xtask/src", &[]),
];

/// Files whose functions list claims, with a name for a part of them first.
const TABLES: &[&str] = &["tests/lint_claims/trees.rs"];

fn repository() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the repository")
}

/// Files that need each other, directly or through others: the strongly connected parts.
fn circles<'a>(edges: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> Vec<Vec<&'a Path>> {
    let reachable = |from: &'a Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            for next in edges.get(file).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        edges.keys().map(|file| (*file, reachable(file))).collect();
    let mut circles: Vec<Vec<&Path>> = Vec::new();
    for (file, seen) in &reach {
        if seen.contains(file) && !circles.iter().flatten().any(|other| other == file) {
            let back = |other: &&&Path| reach[**other].contains(file);
            circles.push(seen.iter().filter(back).copied().collect());
        }
    }
    circles
}

#[rstest]
fn no_two_files_need_each_other(#[values(0, 1, 2, 3)] number: usize) {
    let (root, others) = CRATES[number];
    let read = Crate::read(repository(), root, others);
    assert!(read.modules.len() > 5, "{root} was not read");
    let edges = read.edges();
    let circles = circles(&edges);
    let told: Vec<String> = circles
        .iter()
        .map(|files| {
            let within = |file: &&Path| {
                let needs = edges[*file].iter().filter(|other| files.contains(other));
                let needs: Vec<String> = needs.map(|other| other.display().to_string()).collect();
                format!("{} needs {}", file.display(), needs.join(", "))
            };
            files.iter().map(within).collect::<Vec<_>>().join("\n  ")
        })
        .collect();
    assert!(told.is_empty(), "circles:\n  {}", told.join("\n\n  "));
}

/// The room that a file of the main crate belongs to.
fn room(file: &Path) -> String {
    let below = file.strip_prefix("src").expect("a file of the main crate");
    let first = below.components().next().expect("a name").as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

#[test]
fn no_room_needs_one_that_stands_above_it() {
    let read = Crate::read(repository(), CRATES[0].0, CRATES[0].1);
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    let mut wrong = BTreeSet::new();
    for (file, needed) in read.edges() {
        let from = room(file);
        if from == "lib" {
            continue;
        }
        assert!(floor(&from).is_some(), "room {from} has no floor here");
        for other in needed {
            let to = room(other);
            let below = floor(&to).is_some_and(|to| Some(to) < floor(&from));
            if from != to && !below {
                wrong.insert(format!("{} needs {}", file.display(), other.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "upwards:\n{wrong:#?}");
}

/// Every Rust file of the repository.
fn all_files() -> Vec<PathBuf> {
    let roots = ["src", "images", "xtask", "tests", "examples"];
    let files = roots
        .iter()
        .flat_map(|root| rust_files(&repository().join(root)));
    files.collect()
}

/// Where a number may come from elsewhere than the seed of the run: the seed itself and the number
/// that tells the messages of a run's workers apart, and the source of a foreign guest's kernel.
const DRAWN: &[&str] = &[
    "src/verify/random.rs",
    "src/verify/job.rs",
    "src/verify/pool/coordinator.rs",
    "src/guest/domain.rs",
];

/// A replay sends the same frames: whatever is random in a cell is made from the seed.
#[test]
fn what_is_random_in_a_cell_comes_from_the_seed() {
    let rooms = ["verify", "guest", "lab", "probe", "frame", "layout"];
    let sources = ["random::fresh", "/dev/urandom", "getrandom", "RandomState"];
    let mut draws = BTreeSet::new();
    for file in rooms
        .iter()
        .flat_map(|room| rust_files(&repository().join("src").join(room)))
    {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        if sources.iter().any(|source| text.contains(source)) {
            let name = file.strip_prefix(repository()).expect("below");
            draws.insert(name.display().to_string());
        }
    }
    let allowed: BTreeSet<String> = DRAWN.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(draws, allowed);
}

#[test]
fn files_stay_under_500_lines_and_functions_under_60() {
    let mut long = Vec::new();
    for file in all_files() {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let name = file.strip_prefix(repository()).expect("below").display();
        let lines = text.lines().count();
        if lines > 500 {
            long.push(format!("{name}: {lines} lines"));
        }
        let parsed = syn::parse_file(&text).expect("Rust");
        for function in source::functions(&parsed) {
            let lines = function.lines;
            // A table may be as long as what it lists.
            let is_table = function.is_table || TABLES.iter().any(|table| file.ends_with(table));
            if lines > 60 && !is_table {
                long.push(format!("{name}: fn {} has {lines} lines", function.name));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}
