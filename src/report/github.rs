//! Workflow commands that mark a run on GitHub.

use crate::report::baseline::{Change, Comparison, Weight};
use crate::report::causes;
use crate::report::findings::{findings, leak_check, place};
use crate::report::model::{Cause, CausePlace, Failure, Run, Verdict};
use crate::report::text::clean;

/// GitHub shows ten error annotations a step and drops the rest unsaid.
const MOST: usize = 10;

/// At most ten `::error title=…::…` lines, leaks first. When there is more to
/// say, the tenth says how much.
pub fn annotations(run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    for (failure, word) in [
        (Failure::Leak, "leak"),
        (Failure::Blocked, "wrongly blocked"),
    ] {
        if causes::are_complete(run, failure) {
            let found = causes::of(run, failure).into_iter();
            all.extend(found.map(|cause| of_cause(run, cause, word)));
        } else {
            all.extend(of_verdict(run, Verdict::Fail(failure), word));
        }
    }
    for cell in &run.cells {
        if let Some(error) = &cell.error {
            let title = format!("{}: error in step {}", clean(&cell.name), error.step);
            all.push(command(&title, &error.message));
        }
    }
    let unchecked = run
        .cells
        .iter()
        .any(|cell| cell.error.is_none() && cell.leak_check != Some(true));
    if unchecked && run.filter.name.is_some() {
        let bad = leak_check(run).into_iter().filter(|(good, _)| !good);
        all.extend(bad.map(|(_, line)| command("leak check not passed", &line)));
    }
    all.extend(of_verdict(run, Verdict::Inconclusive, "inconclusive"));
    if all.len() > MOST {
        let left = all.len() - (MOST - 1);
        all.truncate(MOST - 1);
        all.push(command("more", &format!("the report has {left} more")));
    }
    all
}

/// What a run changed against a baseline: `::error` for what got worse or is not proven any more,
/// `::notice` for the rest, ten lines at most. What is accepted is not mentioned.
pub fn changes(run: &Run, found: &Comparison) -> Vec<String> {
    let line = |change: &Change| {
        let (one, _) = change.kind.words();
        let was = change
            .before
            .map(|before| format!("; it was: {}", before.word()));
        let note = change
            .note
            .as_ref()
            .map(|note| format!("; {}", clean(note)));
        let text = format!(
            "{} [{}]{}{}",
            clean(&change.summary),
            clean(&change.cell),
            was.unwrap_or_default(),
            note.unwrap_or_default()
        );
        let title = format!("{one}: {}", clean(&change.probe));
        let level = match change.kind.weight() {
            Weight::Worse | Weight::Unproven => "error",
            Weight::Better => "notice",
        };
        let cause = run
            .causes
            .iter()
            .find(|cause| cause.probes.contains(&change.probe));
        match cause.and_then(|cause| place_of(run, cause)) {
            Some(place) if level == "error" => at(&place, &title, &text),
            _ => annotation(level, &title, &text),
        }
    };
    let mut all: Vec<String> = found.changes.iter().map(line).collect();
    if all.len() > MOST {
        let left = all.len() - (MOST - 1);
        all.truncate(MOST - 1);
        all.push(command("more", &format!("the run changed {left} more")));
    }
    all
}

/// One cause, at its line of the filter.
fn of_cause(run: &Run, cause: &Cause, word: &str) -> String {
    let (title, text) = (word.to_owned(), causes::message(cause));
    let line = causes::place_line(cause).map(|line| format!(" ({line})"));
    let text = format!("{text}{}", line.unwrap_or_default());
    match place_of(run, cause) {
        None => command(&title, &text),
        Some(place) => at(&place, &title, &text),
    }
}

/// Where the rule stands; else the beginning of the filter's file, or of the policy's.
fn place_of(run: &Run, cause: &Cause) -> Option<CausePlace> {
    let beginning = |file: &str| CausePlace {
        file: file.to_owned(),
        line: 1,
        column: 1,
    };
    let home = causes::home(&run.filter, &run.policy);
    cause.place.clone().or_else(|| home.map(beginning))
}

/// An error at a place of the filter.
fn at(place: &CausePlace, title: &str, text: &str) -> String {
    format!(
        "::error file={},line={},col={},title={}::{}",
        escape_property(&clean(&place.file)),
        place.line,
        place.column,
        escape_property(&format!("lanfence {title}")),
        escape(text)
    )
}

fn of_verdict(run: &Run, verdict: Verdict, word: &str) -> Vec<String> {
    let annotate = |finding: crate::report::findings::Finding| {
        let note = finding
            .note
            .as_ref()
            .map(|note| format!(": {note}"))
            .unwrap_or_default();
        let text = format!("{} {}{note}", finding.summary, place(&finding, run));
        command(&format!("{word}: {}", finding.id), &text)
    };
    findings(run, verdict).into_iter().map(annotate).collect()
}

/// One command with its parts escaped as the runner unescapes them.
fn command(title: &str, message: &str) -> String {
    annotation("error", title, message)
}

/// The same of another level.
fn annotation(level: &str, title: &str, message: &str) -> String {
    format!(
        "::{level} title={}::{}",
        escape_property(&format!("lanfence {title}")),
        escape(message)
    )
}

fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn red() {
        insta::assert_snapshot!(annotations(&examples::red()).join("\n"));
    }

    #[test]
    fn cell_error() {
        insta::assert_snapshot!(annotations(&examples::cell_error()).join("\n"), @"::error title=lanfence linux/ne2000%3A error in step nic::QEMU 10.0.2 has no NIC model `ne2000`;%0A`lanfence verify --matrix full --list` shows all");
    }

    #[test]
    fn inconclusive() {
        insta::assert_snapshot!(annotations(&examples::inconclusive()).join("\n"), @"
        ::error title=lanfence leak check not passed::leak check: not reached, so it is not proven that the filter stopped the WAN probes (pcnet)
        ::error title=lanfence leak check not passed::leak check: with the filter removed, only 9 of 10 WAN probes arrived: it is not proven that the filter stopped them (virtio)
        ::error title=lanfence inconclusive%3A lan-unicast/udp::UDP to a LAN host [pcnet], not with virtio: it left and did not arrive, and neither did the sentinel sent after it, with the filter
        ::error title=lanfence inconclusive%3A wan-ipv4/udp-53::UDP to port 53 of a WAN host [pcnet], not with virtio: sensor wan died: read: network is down
        ::error title=lanfence inconclusive%3A wan-ipv4/tcp-443::TCP to port 443 of a WAN host [pcnet], not with virtio: sensor wan died: read: network is down
        ");
    }

    #[test]
    fn green_says_nothing() {
        assert_eq!(annotations(&examples::green()), Vec::<String>::new());
    }

    #[test]
    fn escapes() {
        assert_eq!(
            command("a:b,c%", "100%\r\nx: y, z"),
            "::error title=lanfence a%3Ab%2Cc%25::100%25%0D%0Ax: y, z"
        );
    }
}
