//! The documents: every link leads somewhere, every file and type that they name exists,
//! every figure that the code calls measured has its section in docs/measurements.md, and
//! what `check` prints fits its JSON Schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Directories that hold no files of the project.
const FOREIGN: [&str; 3] = ["target", ".git", "node_modules"];

/// Every file of the tree with one of these extensions, relative to its root.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(Path::new(ROOT).join(&dir)).expect("a directory of the tree");
        for entry in entries {
            let entry = entry.expect("an entry of the directory");
            let path = dir.join(entry.file_name());
            let kind = entry.file_type().expect("the type of an entry");
            let extension = path.extension().and_then(|it| it.to_str());
            if kind.is_dir() && !FOREIGN.iter().any(|name| path.ends_with(name)) {
                open.push(path);
            } else if kind.is_file() && extension.is_some_and(|it| extensions.contains(&it)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect("a text file of the tree")
}

/// The lines of a Markdown text that are no code, with their numbers, without code spans.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2);
            out.push((at + 1, outside.collect::<Vec<_>>().join("`")));
        }
    }
    out
}

/// Targets of the inline links `[text](target)` of a line.
fn links(line: &str) -> Vec<&str> {
    let parts = line.split("](").skip(1);
    parts
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .collect()
}

/// The anchors of a document: of its headings as GitHub makes them, and explicit ones.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for id in line.split("<a id=\"").skip(1) {
            out.extend(id.split_once('"').map(|(id, _)| id.to_owned()));
        }
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title);
        let count = seen.entry(slug.clone()).or_default();
        out.insert(match *count {
            0 => slug,
            again => format!("{slug}-{again}"),
        });
        *count += 1;
    }
    out
}

/// A heading as GitHub puts it into a link.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|c| match c {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// A relative path without `.` and `..`; none where it leaves the tree.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}

/// Why a link of this document leads nowhere.
fn broken(document: &Path, target: &str) -> Option<String> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let to = if path.is_empty() {
        document.to_owned()
    } else {
        let dir = document.parent().expect("a file has a directory");
        let Some(to) = normal(&dir.join(path)) else {
            return Some("leaves the tree".into());
        };
        to
    };
    if !Path::new(ROOT).join(&to).exists() {
        return Some("no such file".into());
    }
    let anchor = anchor?;
    let known = anchors(&read(&to));
    (!known.contains(anchor)).then(|| "no such heading".into())
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in files(&["md"]) {
        for (number, line) in prose(&read(&document)) {
            for target in links(&line) {
                if target.contains("://") {
                    continue;
                }
                if let Some(why) = broken(&document, target) {
                    wrong.push(format!("{}:{number}: {target}: {why}", document.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn headings_become_anchors_as_on_github() {
    let text = "# What a verdict proves, and what not\n## `check`: no guest\n## `check`: no guest\n<a id=\"M7\"></a>\n```\n# no heading\n```\n";
    let expected = [
        "what-a-verdict-proves-and-what-not",
        "check-no-guest",
        "check-no-guest-1",
        "M7",
    ];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}

/// Pointers such as `docs/measurements.md#M7` in a text: the document and the anchor,
/// which is empty where the pointer is to the document alone.
fn pointers(line: &str) -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    for rest in line.split("docs/").skip(1) {
        let Some((name, rest)) = rest.split_once(".md") else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            continue;
        }
        let anchor = rest.strip_prefix('#').unwrap_or_default();
        let end = anchor.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let anchor = anchor[..end.unwrap_or(anchor.len())].to_owned();
        out.push((format!("docs/{name}.md").into(), anchor));
    }
    out
}

#[test]
fn every_pointer_from_the_code_leads_to_a_section() {
    let mut wrong = Vec::new();
    for path in files(&["rs", "toml", "txt"]) {
        for (at, line) in read(&path).lines().enumerate() {
            for (document, anchor) in pointers(line) {
                let exists = Path::new(ROOT).join(&document).exists();
                let known =
                    exists && (anchor.is_empty() || anchors(&read(&document)).contains(&anchor));
                if !known {
                    wrong.push(format!("{}:{}: {line}", path.display(), at + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nobody can repeat a measurement of which the code says no more than that it was made.
#[test]
fn every_measured_fact_points_to_its_measurement() {
    let bare = [
        "(measured)",
        ", measured)",
        "; measured)",
        "(measured on ",
        "(measured with ",
    ];
    let mut wrong = Vec::new();
    for path in files(&["rs"]) {
        let is_ours = path.ends_with("documents.rs");
        for (at, line) in read(&path).lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let is_bare = bare.iter().any(|words| line.contains(words));
            let to_all = pointers(line).iter().any(|(document, anchor)| {
                document.ends_with("measurements.md") && anchor.is_empty()
            });
            if !is_ours && is_comment && (is_bare || to_all) {
                wrong.push(format!("{}:{}: {line}", path.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The code spans of a Markdown text, with the numbers of their lines.
fn code_spans(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let spans = line.split('`').skip(1).step_by(2);
            out.extend(spans.map(|span| (at + 1, span.to_owned())));
        }
    }
    out
}

/// Where the files of the tree are that documents speak of.
const ROOMS: [&str; 6] = ["src/", "images/", "xtask/", "tests/", "docs/", "examples/"];

#[test]
fn every_file_that_a_document_names_exists() {
    let mut wrong = Vec::new();
    for document in files(&["md"]) {
        // History names what is no more.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        for (number, span) in code_spans(&read(&document)) {
            let is_path = ROOMS.iter().any(|room| span.starts_with(room))
                && !span.contains(|c: char| " *{}<>$…".contains(c));
            let path = span.split_once('#').map_or(span.as_str(), |(path, _)| path);
            if is_path && !Path::new(ROOT).join(path).exists() {
                wrong.push(format!("{}:{number}: {span}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that define something with a name in Rust.
const DEFINES: [&str; 6] = ["struct", "enum", "trait", "type", "fn", "mod"];

#[test]
fn every_type_of_the_glossary_exists() {
    let code: String = files(&["rs"]).iter().map(|path| read(path)).collect();
    let mut words = BTreeSet::new();
    for line in code.lines() {
        let parts: Vec<&str> = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        for pair in parts.windows(2) {
            if DEFINES.contains(&pair[0]) {
                words.insert(pair[1]);
            }
        }
    }
    let text = read(Path::new("ARCHITECTURE.md"));
    let (_, glossary) = text.split_once("## Glossary").expect("the glossary");
    let mut wrong = Vec::new();
    for row in glossary.lines().filter(|line| line.starts_with("| ")) {
        let last = row.trim_end_matches(" |").rsplit(" | ").next();
        for (_, span) in code_spans(last.expect("a cell of the table")) {
            if span.contains('/') || span.starts_with('-') {
                continue;
            }
            // `Verdict::KnownGap` and `Cell::flaky` are of a type; a lone field is looked for as such.
            let (owner, member) = span.split_once("::").unwrap_or((&span, ""));
            let is_defined = words.contains(owner) || code.contains(&format!("{owner}:"));
            if !is_defined || !code.contains(member) {
                wrong.push(span);
            }
        }
    }
    assert!(wrong.is_empty(), "the glossary names {wrong:?}");
}

/// What `lanfence check` prints of these filters as JSON.
fn checked(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
        .current_dir(ROOT)
        .args(["check", "--format", "json"])
        .args(arguments)
        .output()
        .expect("lanfence can be started");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn what_mutate_writes_fits_its_schema() {
    let schema = serde_json::from_str(&read(Path::new("docs/mutate.schema.json"))).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mutants.json");
    let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
        .args(["mutate", "examples/no-out-traffic.xml", "--json"])
        .arg(&file)
        .output()
        .expect("lanfence can be started");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let document: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it was written"))
            .expect("JSON");
    let errors = validator.iter_errors(&document);
    let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(
        document["mutants"]
            .as_array()
            .is_some_and(|mutants| mutants.len() > 60)
    );
}

#[test]
fn what_fix_writes_fits_its_schema() {
    let schema = serde_json::from_str(&read(Path::new("docs/fix.schema.json"))).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, fixed) = (folder.path().join("fix.json"), folder.path().join("f.xml"));
    let fix = |filter: &Path| -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
            .current_dir(ROOT)
            .arg("fix")
            .arg(filter)
            .arg("--json")
            .arg(&file)
            .arg("-o")
            .arg(&fixed)
            .output()
            .expect("lanfence can be started");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = std::fs::read_to_string(&file).expect("it was written");
        let document = serde_json::from_str(&text).expect("JSON");
        let errors = validator.iter_errors(&document);
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        document
    };
    let document = fix(Path::new("examples/no-out-traffic.xml"));
    let edits = document["edits"].as_array().expect("edits");
    let of = |word: &str| edits.iter().filter(|edit| edit["edit"] == word).count();
    assert_eq!(of("to-root"), 1, "{edits:#?}");
    assert!(of("insert") > 10, "{edits:#?}");
    let text = std::fs::read_to_string(&fixed).expect("the fixed filter");
    assert_eq!(document["after"], text.as_str());
    // One that is proven already has no edits and no difference.
    let again = fix(&fixed);
    assert_eq!(again["edits"], serde_json::json!([]));
    assert!(again["diff"].is_null());
}

#[test]
fn what_check_prints_fits_its_schema() {
    let schema = serde_json::from_str(&read(Path::new("docs/check.schema.json"))).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    for arguments in [
        &[][..],
        &["examples/no-out-traffic.xml"],
        &["examples/no-out-traffic.xml", "--backend", "nftables"],
    ] {
        let document = checked(arguments);
        let errors = validator.iter_errors(&document);
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{arguments:?}");
    }
}

/// With that setting a libvirtd that AppArmor confines, as on Debian and Ubuntu, starts no ebtables, and
/// the lab in which rules are judged is made by such a libvirtd (found in a host with AppArmor).
#[test]
fn the_units_leave_the_labs_libvirtd_its_tools() {
    for unit in ["watch", "audit"] {
        let path = format!(
            "{}/dist/systemd/lanfence-{unit}.service",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut lines = text.lines();
        assert!(
            !lines.any(|line| line.starts_with("NoNewPrivileges=")),
            "{path}"
        );
        assert!(
            text.contains("CAP_SYS_ADMIN"),
            "{path}: without it systemd sets it by itself"
        );
    }
}
