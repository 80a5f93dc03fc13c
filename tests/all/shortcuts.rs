//! The verdicts do not depend on what is done only to save time.

use crate::common::{Verified, example, verify};
use lanfence::report::verdict_lines::verdict_lines;
use rstest::rstest;

fn verdicts(arguments: &[&str], code: i32) -> Verified {
    let done = verify(arguments);
    assert_eq!(done.code, code, "{}", done.printed());
    done
}

/// What `--verdicts` writes, of a cell with both kinds of attachment and of one that has
/// the filter before its first frame only.
#[rstest]
#[case::green(None, 0)]
#[case::red(Some("no-out-traffic.xml"), 1)]
fn verdicts_are_the_same_without_shortcuts(#[case] filter: Option<&str>, #[case] code: i32) {
    let filter = filter.map(example);
    let mut arguments = vec!["--nic", "pcnet", "--nic", "virtio"];
    arguments.extend(filter.iter().flat_map(|file| ["--filter", file.as_str()]));
    let quick = verdicts(&arguments, code);
    arguments.push("--no-shortcuts");
    let thorough = verdicts(&arguments, code);
    assert!(quick.run().cells.iter().all(|cell| cell.probes.len() > 100));
    assert_eq!(
        verdict_lines(quick.run()),
        verdict_lines(thorough.run()),
        "with shortcuts and without"
    );
}
