//! Apt's sources: whether a suite is among them, and a source for another
//! suite of the same archive.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One source with the fields of deb822-style sources(5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Field names and values in their order; continuation lines are kept.
    fields: Vec<(String, String)>,
}

impl Source {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        self.field(name)
            .is_some_and(|value| value.split_whitespace().any(|listed| listed == word))
    }

    /// Whether binary packages of the suite's main component come from here.
    fn serves(&self, suite: &str) -> bool {
        let enabled = !self
            .field("Enabled")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("no"));
        enabled
            && self.lists("Types", "deb")
            && self.lists("Suites", suite)
            && self.lists("Components", "main")
    }

    /// The same archive with the same key, for another suite.
    fn for_suite(&self, suite: &str) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            let value = match name.to_ascii_lowercase().as_str() {
                "types" => "deb",
                "suites" => suite,
                "components" => "main",
                _ => value,
            };
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}

/// All sources of this machine.
pub fn read() -> Vec<Source> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => parse_lines(&text),
                Some("sources") => parse_deb822(&text),
                _ => Vec::new(),
            }
        })
        .collect()
}

/// Whether any source serves the suite.
pub fn serve(sources: &[Source], suite: &str) -> bool {
    sources.iter().any(|source| source.serves(suite))
}

/// The text of a source for `suite`, from the archive that serves `like`.
pub fn sibling(sources: &[Source], like: &str, suite: &str) -> Option<String> {
    sources
        .iter()
        .find(|source| source.serves(like))
        .map(|source| source.for_suite(suite))
}

fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = vec![Source::default()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let source = sources.last_mut().expect("never empty");
        if line.trim().is_empty() {
            sources.push(Source::default());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = source.fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let field = (name.trim().to_owned(), value.trim().to_owned());
            source.fields.push(field);
        }
    }
    sources.retain(|source| !source.fields.is_empty());
    sources
}

fn parse_lines(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

/// Understands `deb [options] uri suite component…`.
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let mut fields = vec![
        ("Types".to_owned(), "deb".to_owned()),
        ("URIs".to_owned(), words.next()?.to_owned()),
        ("Suites".to_owned(), words.next()?.to_owned()),
        ("Components".to_owned(), words.collect::<Vec<_>>().join(" ")),
    ];
    for option in options.split_whitespace() {
        let (name, value) = option.split_once('=')?;
        let name = match name {
            "signed-by" => "Signed-By",
            "arch" => "Architectures",
            "trusted" => "Trusted",
            "check-valid-until" => "Check-Valid-Until",
            // The others tune downloads; a new source does without them.
            _ => continue,
        };
        fields.push((name.to_owned(), value.replace(',', " ")));
    }
    Some(Source { fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DEB822: &str = "\
# comment
Types: deb deb-src
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
";

    #[test]
    fn a_sibling_keeps_archive_and_key() {
        let sources = parse_deb822(DEB822);
        assert_eq!(
            sibling(&sources, "bookworm", "bookworm-backports").expect("bookworm is served"),
            "Types: deb\n\
             URIs: http://archive.example/debian\n\
             Suites: bookworm-backports\n\
             Components: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn an_embedded_key_is_kept_whole() {
        let text = format!(
            "{}Signed-By:\n -----BEGIN\n .\n abc\n",
            &DEB822[..DEB822.find("Signed").expect("there")]
        );
        let sources = parse_deb822(&text);
        let sibling = sibling(&sources, "bookworm", "x").expect("served");
        assert!(
            sibling.ends_with("Signed-By: \n -----BEGIN\n .\n abc\n"),
            "{sibling}"
        );
    }

    #[test]
    fn a_one_line_source_becomes_deb822() {
        let sources = parse_lines(
            "deb [signed-by=/k.gpg lang=none] http://archive.example/debian bookworm main # x\n",
        );
        assert_eq!(
            sibling(&sources, "bookworm", "bookworm-backports").expect("served"),
            "Types: deb\nURIs: http://archive.example/debian\nSuites: bookworm-backports\n\
             Components: main\nSigned-By: /k.gpg\n"
        );
    }

    #[rstest]
    #[case::served(DEB822, "bookworm-updates", true)]
    #[case::absent(DEB822, "bookworm-backports", false)]
    #[case::disabled(
        "Enabled: no\nTypes: deb\nURIs: x\nSuites: s\nComponents: main\n",
        "s",
        false
    )]
    #[case::source_only("Types: deb-src\nURIs: x\nSuites: s\nComponents: main\n", "s", false)]
    #[case::other_component("Types: deb\nURIs: x\nSuites: s\nComponents: contrib\n", "s", false)]
    fn a_suite_is_recognised(#[case] text: &str, #[case] suite: &str, #[case] expected: bool) {
        assert_eq!(serve(&parse_deb822(text), suite), expected);
    }

    #[rstest]
    #[case::comment("# deb http://x s main")]
    #[case::source("deb-src http://x s main")]
    #[case::cut("deb http://x")]
    #[case::open_bracket("deb [arch=amd64 http://x s main")]
    fn other_lines_are_no_sources(#[case] line: &str) {
        assert_eq!(parse_line(line), None);
    }
}
