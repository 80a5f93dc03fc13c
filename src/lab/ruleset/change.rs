//! Whether two dumps of the ruleset hold the same rules.

/// The first rule in which a later dump differs from an earlier one, counters and comments
/// aside; none where all are the same.
pub fn change(before: &str, after: &str) -> Option<String> {
    let (before, after) = (rules(before), rules(after));
    let pairs = before.iter().zip(&after);
    let same = pairs.take_while(|(before, after)| before == after).count();
    let line = |rules: &[String]| rules.get(same).cloned();
    match (line(&before), line(&after)) {
        (None, None) => None,
        (was, is) => {
            let said = |line: Option<String>| line.unwrap_or_else(|| "nothing".into());
            Some(format!(
                "the kernel's rules changed behind libvirt's back: `{}` became `{}`",
                said(was),
                said(is)
            ))
        }
    }
}

/// The lines without comments and counters, which change by themselves.
fn rules(dump: &str) -> Vec<String> {
    let lines = dump.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(without_counters).collect()
}

/// `[12:3456] -A FORWARD -j DROP`, `:INPUT ACCEPT [0:0]` and `counter packets 12 bytes 3456 drop`.
fn without_counters(line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if is_counter(word) {
            continue;
        }
        kept.push(word);
        if ["packets", "bytes"].contains(&word) {
            words.next();
        }
    }
    kept.join(" ")
}

/// `[12:3456]`.
fn is_counter(word: &str) -> bool {
    let inside = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let numbers = inside.and_then(|inside| inside.split_once(':'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(packets, bytes)| is_number(packets) && is_number(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DUMP: &str = "# ebtables-save -c\n*nat\n:PREROUTING ACCEPT [0:0]\n\
                        [3:156] -A PREROUTING -i tap1 -j I\n\
                        \tcounter packets 4 bytes 9 drop\n";

    #[rstest]
    #[case::itself(DUMP.to_owned(), None)]
    #[case::counters(DUMP.replace("156", "9999").replace("bytes 9", "bytes 10"), None)]
    #[case::comments(DUMP.replace("save -c", "save -c at noon"), None)]
    #[case::a_rule_less(DUMP.replace("[3:156] -A PREROUTING -i tap1 -j I\n", ""), Some("`counter packets bytes drop`"))]
    #[case::a_rule_more(format!("{DUMP}[0:0] -A X -j DROP\n"), Some("`nothing` became `-A X -j DROP`"))]
    #[case::another_target(DUMP.replace("drop", "accept"), Some("accept"))]
    fn changes(#[case] later: String, #[case] words: Option<&str>) {
        let change = change(DUMP, &later);
        assert_eq!(change.is_some(), words.is_some(), "{change:?}");
        if let (Some(change), Some(words)) = (change, words) {
            assert!(change.contains(words), "{change}");
        }
    }
}
