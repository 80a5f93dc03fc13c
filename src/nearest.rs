//! The known name that a wrong one was probably meant to be.

/// The nearest of the known names by edit distance; none when all are far off.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .min()?;
    // A third of the name may be wrong: more is another word.
    (best.0 * 3 <= wrong.chars().count().max(3)).then_some(best.1)
}

/// Levenshtein distance over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_letter_missing("dstipadr", Some("dstipaddr"))]
    #[case::the_plural("prefixs", None)]
    #[case::another_word("banana", None)]
    #[case::nothing("", None)]
    fn suggestions(#[case] wrong: &str, #[case] expected: Option<&str>) {
        assert_eq!(
            nearest(wrong, ["dstipaddr", "srcipaddr", "dstmacaddr"]),
            expected
        );
    }
}
