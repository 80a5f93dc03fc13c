//! The help is read by strangers: its words, its examples, and what it looks like.

use super::command;
use super::help::EXAMPLES;
use clap::Command;
use std::path::Path;

#[test]
fn the_verbs_have_no_options_that_contradict_each_other() {
    command().debug_assert();
}

/// The visible verbs with their help in the short and in the long form.
fn pages() -> Vec<(String, String, String)> {
    let mut command = command().term_width(100);
    command.build();
    let mut pages = vec![page(&mut command)];
    pages.extend(
        command
            .get_subcommands_mut()
            .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
            .map(page),
    );
    pages
}

fn page(verb: &mut Command) -> (String, String, String) {
    let short = verb.render_help().to_string();
    (
        verb.get_name().to_owned(),
        short,
        verb.render_long_help().to_string(),
    )
}

#[test]
fn every_verb_has_the_help_that_it_had() {
    for (verb, short, long) in pages() {
        insta::assert_snapshot!(format!("{verb}_short"), short);
        insta::assert_snapshot!(format!("{verb}_long"), long);
    }
}

/// Words that mean something only to those who wrote lanfence, and what was once said instead
/// of the field's words.
const PRIVATE: [&str; 30] = [
    "aim",
    "belief",
    "bout",
    "deaf",
    "errands",
    "fate",
    "fates",
    "front",
    "graft",
    "holdings",
    "lane",
    "linger",
    "makings",
    "near",
    "far",
    "news",
    "openings",
    "pace",
    "pristine",
    "residual",
    "residuals",
    "sabotage",
    "scene",
    "shapes",
    "spare",
    "teeth",
    "toothless",
    "moods",
    "course",
    "hints",
];

#[test]
fn no_help_holds_a_private_word() {
    for (verb, short, long) in pages() {
        for word in format!("{short}\n{long}").split(|c: char| !c.is_alphanumeric()) {
            let word = word.to_lowercase();
            assert!(!PRIVATE.contains(&word.as_str()), "{verb}: {word}");
        }
    }
}

#[test]
fn every_example_is_a_good_command_line() {
    for (verb, examples) in EXAMPLES {
        for (line, _) in examples {
            let words = ["lanfence"].into_iter().chain(line.split_whitespace());
            let parsed = command().try_get_matches_from(words);
            let parsed = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(parsed.subcommand_name(), Some(verb), "{line}");
        }
    }
}

#[test]
fn every_verb_has_examples() {
    for (verb, ..) in pages().iter().skip(1) {
        let known = EXAMPLES.iter().any(|(name, _)| name == verb);
        assert!(known, "{verb}");
    }
}

/// Text files below a directory.
fn texts(dir: &Path, out: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("a directory of the tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            texts(&path, out);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            out.push((path.display().to_string(), text));
        }
    }
}

/// Messages and documents send the reader to a verb, so it must be there.
#[test]
fn every_verb_that_a_text_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    texts(&root.join("src"), &mut all);
    texts(&root.join("docs"), &mut all);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root.join(name)).expect("a document");
        all.push((name.to_owned(), text));
    }
    let command = command();
    for (path, text) in all {
        for rest in text.split("`lanfence ").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let verb = &rest[..end.unwrap_or(rest.len())];
            let known = verb.is_empty() || command.find_subcommand(verb).is_some();
            assert!(known, "{path} names `lanfence {verb}`");
        }
    }
}
