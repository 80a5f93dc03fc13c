//! Words as a shell reads them back: for cures that can be pasted.

/// The word, between quotation marks where a shell would read it as something else.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The word as an argument that is no option.
pub fn argument(word: &str) -> String {
    let end = if word.starts_with('-') { "-- " } else { "" };
    format!("{end}{}", quoted(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("web-1", "web-1")]
    #[case::blank("my guest", "'my guest'")]
    #[case::quotation_mark("it's", "'it'\\''s'")]
    #[case::command("$(reboot)", "'$(reboot)'")]
    #[case::empty("", "''")]
    #[case::option("-x", "-- -x")]
    fn a_cure_can_be_pasted(#[case] word: &str, #[case] expected: &str) {
        assert_eq!(argument(word), expected);
    }
}
