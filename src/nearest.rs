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

/// Edit distance over characters, where two neighbours exchanged are one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = row[j] + usize::from(x != y);
            let mut least = change.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_letter_missing("dstipadr", Some("dstipaddr"))]
    #[case::letters_exchanged("dtsipaddr", Some("dstipaddr"))]
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
