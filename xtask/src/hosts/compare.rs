//! `hosts compare`: one command in two hosts, and only what differs.

use super::host::{Host, Job, OUT, Output};
use super::machine::Ended;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;

/// Why it takes no baseline. Where the two hosts differ for good, each has its own verdicts, and one
/// entry cannot accept both.
pub const NO_BASELINE: &str = "compare has no --baseline: the first host is what the second is held \
     against. What people accept of a host is compared by `hosts run NAME -- verify --baseline FILE`, \
     with a file for each host, and what they accept of the scenarios by `hosts test --baseline FILE` \
     (docs/baselines.md)";

/// What the command came to in one host.
#[derive(Debug, Clone)]
pub struct Run {
    host: String,
    ended: Ended,
    /// Lines of the verdict file by what they judge; without one, lines of the output.
    lines: BTreeMap<String, String>,
}

/// Runs the command; `verify` leaves its verdicts, whose lines are the same in every run, and of
/// any other command the output is compared.
///
/// # Errors
///
/// As for [`Host::run`].
pub fn run(name: &str, host: &mut Host, mut words: Vec<OsString>) -> Result<Run> {
    let verify = words.get(1).is_some_and(|verb| verb == "verify");
    if verify {
        words.extend(["--verdicts".into(), format!("{OUT}/verdicts").into()]);
    }
    let job = Job {
        words,
        user: None,
        before: "",
    };
    let mut out = Vec::new();
    let ended = host.run(
        &job,
        &mut Output {
            out: &mut out,
            err: &mut io::stderr(),
        },
    )?;
    let lines = match host.file("verdicts") {
        Some(verdicts) if verify => by_subject(&String::from_utf8_lossy(&verdicts)),
        _ => by_number(&String::from_utf8_lossy(&out)),
    };
    Ok(Run {
        host: name.to_owned(),
        ended,
        lines,
    })
}

/// Each line's last word is the verdict; the words before it say of what.
fn by_subject(text: &str) -> BTreeMap<String, String> {
    let split = |line: &str| match line.split_once('\t').or_else(|| line.rsplit_once(' ')) {
        Some((subject, verdict)) => (subject.to_owned(), verdict.to_owned()),
        None => (line.to_owned(), String::new()),
    };
    text.lines().map(split).collect()
}

fn by_number(text: &str) -> BTreeMap<String, String> {
    let numbered = text.lines().enumerate();
    numbered
        .map(|(number, line)| (format!("line {:4}", number + 1), line.to_owned()))
        .collect()
}

/// What differs, and whether nothing does.
pub fn differences(a: &Run, b: &Run) -> (String, bool) {
    let mut text = String::new();
    if a.ended != b.ended {
        let _ = writeln!(text, "{}: {}\n{}: {}", a.host, a.ended, b.host, b.ended);
    }
    let none = "nothing".to_owned();
    let mut subjects: Vec<&String> = a.lines.keys().chain(b.lines.keys()).collect();
    subjects.sort();
    subjects.dedup();
    for subject in subjects {
        let (in_a, in_b) = (a.lines.get(subject), b.lines.get(subject));
        if in_a != in_b {
            let _ = writeln!(
                text,
                "{subject}\n  {}: {}\n  {}: {}",
                a.host,
                in_a.unwrap_or(&none),
                b.host,
                in_b.unwrap_or(&none)
            );
        }
    }
    let same = text.is_empty();
    if same {
        let _ = writeln!(
            text,
            "no difference: {} lines and {} in both",
            a.lines.len(),
            a.ended
        );
    }
    (text, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(host: &str, code: u8, verdicts: &str) -> Run {
        Run {
            host: host.into(),
            ended: Ended::Code(code),
            lines: by_subject(verdicts),
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let a = run("a", 0, "pcnet/dhcp pass\npcnet/wan pass\n");
        let b = run("b", 1, "pcnet/dhcp pass\npcnet/wan leak\npcnet/new pass\n");
        let (text, same) = differences(&a, &b);
        assert!(!same);
        assert_eq!(
            text,
            "a: exit code 0\nb: exit code 1\n\
             pcnet/new\n  a: nothing\n  b: pass\n\
             pcnet/wan\n  a: pass\n  b: leak\n"
        );
    }

    #[test]
    fn where_nothing_differs_that_is_said() {
        let a = run("a", 1, "pcnet/wan leak\n");
        let (text, same) = differences(
            &a,
            &Run {
                host: "b".into(),
                ..a.clone()
            },
        );
        assert!(same);
        assert_eq!(text, "no difference: 1 lines and exit code 1 in both\n");
    }
}
