//! What was looked at without a guest: filter, policy, back end.

use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Backend;
use crate::report::text::plural;

/// The first lines of a text about a filter. `what` says what was done with it; `policy` is where
/// the policy came from.
pub fn heading(what: &str, tree: &FilterTree, policy: &str, backend: Backend) -> String {
    let paths = tree.paths();
    let source = if paths.is_empty() {
        "generated".to_owned()
    } else {
        paths.join(", ")
    };
    format!(
        "lanfence {}: {what}, without a guest\nfilter  {}, {source}, {}\npolicy  {policy}\nbackend {backend}, {}\n",
        env!("CARGO_PKG_VERSION"),
        tree.top,
        plural(tree.rule_count(), "rule"),
        backend.source()
    )
}
