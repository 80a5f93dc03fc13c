//! Which domains ended before somebody ended them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Names of the domains whose QEMU had ended when their owner came to end it. What libvirt says
/// of such an end depends on which of its threads hears of it first, and once the owner has
/// ended the domain nothing tells the two ends apart.
#[derive(Debug, Clone, Default)]
pub struct EarlyEnds(Arc<Mutex<BTreeSet<String>>>);

impl EarlyEnds {
    /// A domain of this name begins: nothing is known of its end.
    pub fn forget(&self, name: &str) {
        self.names(|names| names.remove(name));
    }

    /// The domain had ended already.
    pub fn note(&self, name: &str) {
        self.names(|names| names.insert(name.to_owned()));
    }

    /// Whether the domain that had this name last ended early.
    pub fn has(&self, name: &str) -> bool {
        self.names(|names| names.contains(name))
    }

    fn names<T>(&self, with: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_domain_of_the_same_name_has_not_ended() {
        let ends = EarlyEnds::default();
        let owners = ends.clone();
        owners.note("a");
        assert!(ends.has("a") && !ends.has("b"));
        owners.forget("a");
        assert!(!ends.has("a"));
    }
}
