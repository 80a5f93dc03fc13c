//! Random filters and frames: the evaluator says what the kernel does.
#![cfg(feature = "lab")]

mod common;

use common::lanfence;

struct Done {
    code: Option<i32>,
    stdout: String,
}

fn crosscheck(arguments: &[&str]) -> Done {
    let output = lanfence()
        .arg("crosscheck")
        .args(arguments)
        .output()
        .expect("lanfence can be started");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stdout.is_empty(), "{:?}: {stderr}", output.status.code());
    Done {
        code: output.status.code(),
        stdout,
    }
}

/// A short run; the long one is `lanfence crosscheck --filters 2000`.
#[test]
fn the_evaluator_agrees_with_the_kernel_over_random_filters() {
    let done = crosscheck(&["--filters", "16", "--frames", "200", "--seed", "1"]);
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stdout.ends_with("0 mismatches\n"), "{}", done.stdout);
    assert!(
        !done.stdout.contains(" 0 verdicts compared"),
        "{}",
        done.stdout
    );
}

/// An evaluator that takes `reject` for `accept` is found out, and the filter
/// that shows it has nothing in it but what shows it.
#[test]
fn a_wrong_evaluator_is_found_out_with_a_small_filter() {
    let done = crosscheck(&[
        "--filters",
        "60",
        "--frames",
        "100",
        "--break",
        "--most",
        "1",
    ]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stdout.contains("action='reject'"), "{}", done.stdout);
    assert!(done.stdout.matches("<rule").count() <= 3, "{}", done.stdout);
}
