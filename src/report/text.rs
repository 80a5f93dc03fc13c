//! Small text work that the renderers share: cleaning, wrapping, time.

use std::time::Duration;

/// The text on one line with nothing that a terminal would act on.
///
/// Notes and messages hold what guests and libvirt said; an escape sequence in
/// them must not reach the user's terminal, nor a line break tear a table.
pub fn clean(text: &str) -> String {
    let spaced: String = text.chars().map(printable).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text with its lines, and nothing else that a terminal would act on.
pub fn harmless(text: &str) -> String {
    let kept = |c| if c == '\n' { c } else { printable(c) };
    text.chars().map(kept).collect()
}

/// The character, or a space for what a terminal would act on.
fn printable(c: char) -> char {
    if c.is_control() || is_bidi(c) || matches!(c, '\u{fffe}' | '\u{ffff}') {
        ' '
    } else {
        c
    }
}

/// Characters that make a terminal show text in another order than it is written.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Breaks cleaned text into lines of at most `width` characters.
///
/// The first line starts with `first`, the others with `indent` spaces. A word
/// that is longer than a line is cut, so that the width holds whatever comes.
pub fn wrap(first: &str, text: &str, width: usize, indent: usize) -> Vec<String> {
    let indent = indent.min(width / 2);
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut fresh = true;
    let mut used = line.chars().count();
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if used + usize::from(!fresh) + rest.len() > width && used > indent {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            (used, fresh) = (indent, true);
        }
        if !fresh {
            line.push(' ');
            used += 1;
        }
        while used + rest.len() > width && rest.len() > 1 && used < width {
            let tail = rest.split_off(width - used);
            line.extend(&rest);
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            used = indent;
            rest = tail;
        }
        used += rest.len();
        line.extend(&rest);
        fresh = false;
    }
    lines.push(line);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// The first `width` characters, the last of them `…` when something was cut.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(std::iter::once('…')).take(width).collect()
}

/// Milliseconds as seconds with one digit: `2.1 s`.
pub fn seconds(ms: u64) -> String {
    let tenths = ms.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// `1 leak`, `2 leaks`.
pub fn plural(count: usize, one: &str) -> String {
    plurals(count, one, &format!("{one}s"))
}

/// The same for words whose plural is not made with an `s` at the end.
pub fn plurals(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}

/// A time since 1970 as RFC 3339 in UTC with milliseconds: `2025-11-23T22:12:05.250Z`.
pub fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let ms = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01.
///
/// Years are counted from 1 March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    /// Days from 0000-03-01 to 1970-01-01.
    const TO_EPOCH: u64 = 719_468;
    /// Days in 400 years, after which the calendar repeats.
    const ERA: u64 = 146_097;
    let day = days.saturating_add(TO_EPOCH);
    let (era, day_of_era) = (day / ERA, day % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::escape("a\u{1b}[31mb", "a [31mb")]
    #[case::lines(" two\r\n lines\t", "two lines")]
    #[case::right_to_left("x\u{202e}y", "x y")]
    fn cleans(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text), expected);
    }

    #[rstest]
    #[case::epoch(0, "1970-01-01T00:00:00.000Z")]
    #[case::leap_day(1_709_210_096_789, "2024-02-29T12:34:56.789Z")]
    #[case::end_of_century(4_107_542_399_999, "2100-02-28T23:59:59.999Z")]
    #[case::no_leap_day_in_2100(4_107_542_400_000, "2100-03-01T00:00:00.000Z")]
    fn prints_a_date(#[case] ms: u64, #[case] expected: &str) {
        assert_eq!(rfc3339(Duration::from_millis(ms)), expected);
    }

    #[rstest]
    #[case::rounds(2_149, "2.1 s")]
    #[case::rounds_up(50, "0.1 s")]
    #[case::greatest(u64::MAX, "18446744073709551.6 s")]
    fn prints_seconds(#[case] ms: u64, #[case] expected: &str) {
        assert_eq!(seconds(ms), expected);
    }

    #[test]
    fn cuts_long_words() {
        assert_eq!(
            wrap("- ", "ab abcdefghijkl m", 8, 2),
            ["- ab", "  abcdef", "  ghijkl", "  m"]
        );
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_character_and_the_width(text in "[a-z ]{0,200}", width in 4usize..60, indent in 0usize..10) {
            let lines = wrap("", &text, width, indent);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let kept: String = lines.concat().split_whitespace().collect();
            prop_assert_eq!(kept, text.split_whitespace().collect::<String>());
        }
    }
}
