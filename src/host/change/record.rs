//! What `apply` has put there and what it found in its place, so that `remove` takes away that
//! and only that.

use super::step::{Change, Step, Target};
use crate::frame::{Mac, mac_text};
use crate::host::error::HostError;
use crate::host::state_directory;
use crate::nwfilter::FilterRef;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The record.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Filters that were not there before.
    #[serde(default)]
    filters: BTreeSet<String>,
    /// By the guest's UUID and the interface's MAC.
    #[serde(default)]
    interfaces: BTreeMap<String, Before>,
}

/// What an interface had before.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// In the persistent definition.
    pub config: Option<Reference>,
    /// In the running guest.
    pub live: Option<Reference>,
}

/// A reference as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    filter: String,
    #[serde(default)]
    parameters: Vec<(String, String)>,
}

/// What an interface had before, as references.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// In the persistent definition.
    pub config: Option<FilterRef>,
    /// In the running guest.
    pub live: Option<FilterRef>,
}

impl Reference {
    fn of(reference: &FilterRef) -> Self {
        Self {
            filter: reference.filter.clone(),
            parameters: reference.parameters.clone(),
        }
    }

    fn whole(&self) -> FilterRef {
        FilterRef {
            filter: self.filter.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

fn key(uuid: &str, mac: Mac) -> String {
    format!("{uuid} {}", mac_text(mac))
}

/// The record's file.
pub fn file() -> PathBuf {
    state_directory::file("applied.json")
}

impl Record {
    /// Reads it; empty where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is no record.
    pub fn read(path: &Path) -> Result<Self, HostError> {
        state_directory::read(path)
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), HostError> {
        state_directory::write(path, self)
    }

    /// What an interface had before.
    pub fn before(&self, uuid: &str, mac: Mac) -> Found {
        let known = self.interfaces.get(&key(uuid, mac));
        known.map_or_else(Found::default, |before| Found {
            config: before.config.as_ref().map(Reference::whole),
            live: before.live.as_ref().map(Reference::whole),
        })
    }

    /// Whether `apply` has defined the filter.
    pub fn defined(&self, filter: &str) -> bool {
        self.filters.contains(filter)
    }

    /// Notes what a step is about to do.
    pub fn note(&mut self, step: &Step) {
        match step {
            Step::Define {
                name, before: None, ..
            } => {
                self.filters.insert(name.clone());
            }
            Step::Undefine { name, .. } => {
                self.filters.remove(name);
            }
            Step::Config(change) => self.change(change, false),
            Step::Live(change) => self.change(change, true),
            _ => {}
        }
    }

    fn change(&mut self, change: &Change, live: bool) {
        let Target { uuid, mac, .. } = &change.target;
        if change.to.is_some() && !Self::is_again(change) {
            self.replaced(uuid, *mac, live, change.from.as_ref());
        }
    }

    /// Whether a change only puts the policy's own filter in again: what the user had before
    /// is another one.
    fn is_again(change: &Change) -> bool {
        let same = change.from.as_ref().zip(change.to.as_ref());
        same.is_some_and(|(from, to)| from.filter == to.filter)
    }

    /// Notes what an interface had in its persistent definition or running guest. What is
    /// known already stays: the first is what the user had.
    fn replaced(&mut self, uuid: &str, mac: Mac, live: bool, from: Option<&FilterRef>) {
        let Some(from) = from else {
            return;
        };
        let before = self.interfaces.entry(key(uuid, mac)).or_default();
        let place = if live {
            &mut before.live
        } else {
            &mut before.config
        };
        place.get_or_insert_with(|| Reference::of(from));
    }

    /// Forgets an interface.
    pub fn forget(&mut self, uuid: &str, mac: Mac) {
        self.interfaces.remove(&key(uuid, mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn reference(filter: &str) -> FilterRef {
        FilterRef {
            filter: filter.into(),
            parameters: vec![("IP".into(), "192.168.1.2".into())],
        }
    }

    #[test]
    fn the_first_filter_is_what_the_user_had() {
        let mut record = Record::default();
        record.replaced("u", MAC, true, Some(&reference("old")));
        record.replaced("u", MAC, true, Some(&reference("newer")));
        record.replaced("u", MAC, false, None);
        let found = record.before("u", MAC);
        assert_eq!(found.live, Some(reference("old")));
        assert_eq!(found.config, None);
        record.forget("u", MAC);
        assert_eq!(record.before("u", MAC), Found::default());
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/applied.json");
        assert_eq!(Record::read(&path).unwrap(), Record::default());
        let mut record = Record::default();
        record.note(&Step::Define {
            name: "lan-only".into(),
            xml: String::new(),
            before: None,
        });
        record.replaced("u", MAC, false, Some(&reference("old")));
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
        assert!(record.defined("lan-only") && !record.defined("other"));
        std::fs::write(&path, "{").unwrap();
        assert!(Record::read(&path).is_err());
    }
}
