//! Anchors within the page, and links from it to the files of the evidence.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fmt::Write as _;

/// Anchors that were given away.
#[derive(Debug, Default)]
pub struct Slugs(HashSet<String>);

impl Slugs {
    /// An anchor for a name that no other has: letters, digits and dashes only.
    pub fn take(&mut self, kind: &str, name: &str) -> String {
        let plain = slug(kind, name);
        let mut anchor = plain.clone();
        let mut number = 2;
        while !self.0.insert(anchor.clone()) {
            anchor = format!("{plain}-{number}");
            number += 1;
        }
        anchor
    }
}

/// The anchor that a name has by itself.
pub fn slug(kind: &str, name: &str) -> String {
    let letters = name.chars().take(80).map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    format!("{kind}-{}", letters.collect::<String>())
}

/// The link to a file of the evidence in a folder; none for a path that leads out of it.
pub fn file(folder: &str, path: &str) -> Option<String> {
    is_within(path).then(|| format!("{}/{}", encoded(folder), encoded(path)))
}

/// Whether a path does not lead out of the folder that it starts from.
pub fn is_within(path: &str) -> bool {
    let within = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    path.split('/').all(within) && !path.contains(['\\', '\0'])
}

/// A path as a relative link; a scheme cannot begin in it, since colons are encoded.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What a Content-Security-Policy calls an inline text.
pub fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("out", "linux-pcnet/rules.txt", Some("out/linux-pcnet/rules.txt"))]
    #[case::odd_letters(".", "a b/ü\"?#.txt", Some("./a%20b/%C3%BC%22%3F%23.txt"))]
    #[case::a_scheme("out", "javascript:alert(1)", Some("out/javascript%3Aalert%281%29"))]
    #[case::out_of_the_folder("out", "../../etc/passwd", None)]
    #[case::from_the_root("out", "/etc/passwd", None)]
    #[case::another_host("out", "//example.com/x", None)]
    #[case::another_systems_separator("out", "..\\x", None)]
    #[case::nothing("out", "", None)]
    fn links(#[case] folder: &str, #[case] path: &str, #[case] link: Option<&str>) {
        assert_eq!(file(folder, path).as_deref(), link);
    }

    #[test]
    fn anchors_are_told_apart() {
        let mut slugs = Slugs::default();
        let taken = ["a/B c", "a-b-c", "</script>"].map(|name| slugs.take("p", name));
        assert_eq!(taken, ["p-a-b-c", "p-a-b-c-2", "p---script-"]);
    }

    /// The example of the specification "Content Security Policy Level 3", section 8.
    #[test]
    fn a_hash_is_written_as_browsers_read_it() {
        let hash = hash("alert('Hello, world.');");
        assert_eq!(
            hash,
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }
}
