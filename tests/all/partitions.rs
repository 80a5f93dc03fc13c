//! A matrix that is dealt out to several runs, as a CI system does it.

use crate::common::{guest_image, lanfence, verify};
use std::path::PathBuf;
use std::process::Output;

/// The table without the sections that differ from run to run: times, and frames that a busy
/// machine lost.
fn table(output: Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let sections = text.split("\n\n").filter(|section| {
        let timed = ["Time:", "DHCP clients of other systems", "Sent once more"];
        !timed.iter().any(|title| section.starts_with(title))
    });
    sections.map(str::to_owned).collect()
}

/// What follows `verify` in each job.
fn jobs(arguments: &[&str]) -> Vec<Vec<String>> {
    let output = lanfence()
        .args(["matrix", "--format", "github"])
        .args(arguments)
        .env("LANFENCE_GUEST", guest_image())
        .output()
        .expect("lanfence can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let jobs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let jobs = jobs["include"].as_array().expect("a list").iter();
    let words = |job: &serde_json::Value| {
        let line = job["arguments"].as_str().expect("a line");
        line.split(' ').map(str::to_owned).collect()
    };
    jobs.map(words).collect()
}

fn merge(reports: &[PathBuf]) -> Output {
    let mut command = lanfence();
    command.args(["report", "merge"]).args(reports);
    command.output().expect("lanfence can be started")
}

#[test]
fn merged_parts_give_the_table_of_one_run() {
    let jobs = jobs(&[]);
    assert_eq!(jobs, self::jobs(&["--parts", "2"]), "there are two cells");
    let parts: Vec<_> = jobs
        .iter()
        .map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let done = verify(&words);
            assert_eq!(done.code, 0, "{}", done.printed());
            assert_eq!(done.run().cells.len(), 1);
            done
        })
        .collect();
    let whole = verify(&[]);
    let file = |done: &crate::common::Verified| done.dir.path().join("run.json");
    let reports: Vec<PathBuf> = parts.iter().map(file).collect();
    let merged = merge(&reports);
    assert_eq!(merged.status.code(), Some(whole.code));
    let merged = table(merged);
    assert_eq!(merged, table(merge(&[file(&whole)])));
    let leak_check = merged
        .iter()
        .any(|section| section.starts_with("leak check: "));
    assert!(leak_check, "{merged:#?}");
    // A part that is lost does not look green.
    assert_eq!(merge(&reports[..1]).status.code(), Some(5));
}
