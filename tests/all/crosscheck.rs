//! Random filters and frames: the evaluator says what the kernel does.

use crate::common::lanfence;
use rstest::rstest;
use std::process::Command;

struct Done {
    code: Option<i32>,
    stdout: String,
}

/// What came of it, which is said on standard output.
fn done(command: &mut Command) -> Done {
    let output = command.output().expect("lanfence can be started");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stdout.is_empty(), "{:?}: {stderr}", output.status.code());
    Done {
        code: output.status.code(),
        stdout,
    }
}

fn crosscheck(arguments: &[&str]) -> Done {
    done(lanfence().arg("crosscheck").args(arguments))
}

/// A short run; the long one is `lanfence crosscheck --filters 2000`.
#[test]
fn the_evaluator_agrees_with_the_kernel_over_random_filters() {
    let done = crosscheck(&["--filters", "16", "--frames", "200", "--seed", "1"]);
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stdout.ends_with("; 0 mismatches\n"), "{}", done.stdout);
    assert!(
        !done.stdout.contains(" 0 decisions compared"),
        "{}",
        done.stdout
    );
}

/// The summary up to the time that the run took.
#[test]
fn decisions_are_the_same_without_shortcuts() {
    let mut run = vec!["--filters", "4", "--frames", "50", "--seed", "1"];
    let quick = crosscheck(&run);
    run.push("--no-shortcuts");
    let thorough = crosscheck(&run);
    let compared = [quick, thorough].map(|done| {
        assert_eq!(done.code, Some(0), "{}", done.stdout);
        let end = done.stdout.find(" not modelled;").expect("a summary");
        done.stdout[..end].to_owned()
    });
    assert_eq!(compared[0], compared[1], "with shortcuts and without");
}

/// libvirt leaves chains of filter 336 behind when it refuses it, with which it
/// would bind filter 338, and lose one of its rules.
#[test]
fn what_is_left_of_a_refused_filter_decides_nothing() {
    let run = "--filters 3 --first 336 --frames 5 --seed 1 --jobs 1";
    let done = crosscheck(&run.split(' ').collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let refused = "1 bound, and 2 refused by libvirt and evaluator alike";
    assert!(done.stdout.contains(refused), "{}", done.stdout);
}

/// An evaluator that gets one thing wrong is found out, and the filter that
/// shows it has little in it but what shows it.
#[rstest]
#[case::reject("reject", "action='reject'")]
#[case::return_from_a_chain("return", "action='return'")]
#[case::end_of_a_chain("chain-end", "chain='")]
fn a_wrong_evaluator_is_found_out_with_a_small_filter(#[case] mutation: &str, #[case] shows: &str) {
    let done = crosscheck(&[
        "--filters",
        "60",
        "--frames",
        "100",
        "--mutation",
        mutation,
        "--max-mismatches",
        "1",
    ]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stdout.contains(shows), "{}", done.stdout);
    assert!(done.stdout.matches("<rule").count() <= 3, "{}", done.stdout);
}

/// A filter in which a return decides.
const RETURNS: &str = "<filter name='returns' chain='root'>
  <filterref filter='returns-ip'/>
  <rule action='drop' direction='out' priority='900'><ip dstipaddr='203.0.113.0' dstipmask='24'/></rule>
</filter>";
const RETURNS_IP: &str = "<filter name='returns-ip' chain='ipv4'>
  <rule action='return' direction='out' priority='100'><ip dstipaddr='203.0.113.0' dstipmask='24'/></rule>
</filter>";

fn mutate(arguments: &[&str]) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("returns", RETURNS), ("returns-ip", RETURNS_IP)] {
        std::fs::write(folder.path().join(format!("{name}.xml")), text).expect("a file");
    }
    done(lanfence().arg("mutate").arg(folder.path()).args(arguments))
}

/// Mutants of a filter, bound for real. Some survive, since this filter stops little.
#[test]
fn the_evaluator_agrees_with_the_kernel_over_mutants() {
    let done = mutate(&["--kernel", "12", "--seed", "2"]);
    assert!(
        done.stdout.ends_with("PASS: 0 mismatches, exit code 0\n"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("kernel: 12 mutants"),
        "{}",
        done.stdout
    );
    assert!(
        !done.stdout.contains(" 0 decisions compared"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_wrong_evaluator_is_found_out_by_a_mutant() {
    let done = mutate(&["--kernel", "12", "--mutation", "return"]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(
        done.stdout.contains("mismatch in the mutant"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("exit code 1\n"), "{}", done.stdout);
}

/// Two filters that treat some frames differently, and what the kernel says to both.
fn diff(arguments: &[&str]) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let wider = RETURNS_IP
        .replace("returns-ip", "wider")
        .replace("return", "reject");
    let files = [file("ip.xml", RETURNS_IP), file("wider.xml", &wider)];
    done(lanfence().arg("diff").args(files).args(arguments))
}

#[test]
fn a_difference_is_as_the_kernel_says() {
    let done = diff(&["--kernel"]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    for side in ["A", "B"] {
        let said = format!("kernel: {side} as it says here, ");
        assert!(done.stdout.contains(&said), "{}", done.stdout);
    }
    let done = diff(&["--kernel", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    let [a, b] = document["kernel"].as_array().expect("both").as_slice() else {
        panic!("of two filters: {}", done.stdout);
    };
    for side in [a, b] {
        assert!(side["compared"].as_u64() > Some(100), "{}", done.stdout);
    }
    // What only B stops.
    assert_eq!(a["dropped"], 0, "{}", done.stdout);
    assert!(b["dropped"].as_u64() > Some(0), "{}", done.stdout);
}

#[test]
fn a_wrong_evaluator_is_found_out_by_a_difference() {
    let done = diff(&["--kernel", "--mutation", "reject"]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(
        done.stdout.contains("kernel: B is not as it says here"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("kernel: A as it says here"));
}
