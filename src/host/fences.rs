//! Which interfaces lanfence has fenced: what no definition tells any more once an interface is
//! detached and attached again without its filterref.

use super::error::HostError;
use super::state_directory;
use crate::frame::{Mac, mac_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The interfaces that were fenced.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fences {
    #[serde(default)]
    interfaces: Vec<Fenced>,
}

/// One of them. Who attaches an interface anew gives it another MAC, unless he names the old one,
/// so its MACs may be several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fenced {
    filter: String,
    guest: String,
    uuid: String,
    place: String,
    /// The latest comes last.
    macs: Vec<String>,
    /// The guest's interfaces that stayed without the filter when this one was fenced.
    #[serde(default)]
    beside: BTreeSet<String>,
}

/// An interface of a guest, among the others that the guest has now.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// The guest's name.
    pub guest: &'a str,
    /// Its UUID.
    pub uuid: &'a str,
    /// The interface.
    pub mac: Mac,
    /// The bridge that it is on, else the network.
    pub place: &'a str,
    /// All interfaces of the definition that decides: of the running guest, else of the persistent
    /// definition.
    pub all: &'a BTreeSet<Mac>,
}

/// So many MACs of an interface are known at most: one that comes back with an older one is in the
/// place of the latest.
const MOST_MACS: usize = 16;

/// How an interface is one that was fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Was {
    /// It has the same MAC.
    Itself,
    /// It is in the place of one that the guest has no more, by that one's MAC.
    InPlaceOf(String),
}

impl Fences {
    fn file() -> PathBuf {
        state_directory::file("fenced.json")
    }

    /// Reads them; none where nothing was fenced.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what lanfence writes.
    pub fn read() -> Result<Self, HostError> {
        state_directory::read(&Self::file())
    }

    /// Writes them whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> Result<(), HostError> {
        state_directory::write(&Self::file(), self)
    }

    /// Whether an interface was fenced with this filter. `is_there` says of a UUID whether the host has
    /// such a guest: one that was made anew under its old name has another.
    pub fn was(
        &self,
        filter: &str,
        it: Present<'_>,
        is_there: impl Fn(&str) -> bool,
    ) -> Option<Was> {
        let own = |fenced: &&Fenced| fenced.is_of(filter, it.guest, it.uuid, &is_there);
        let mac = mac_text(it.mac);
        let mut all = self.interfaces.iter().filter(own);
        if all.clone().any(|fenced| fenced.macs.contains(&mac)) {
            return Some(Was::Itself);
        }
        let lost = all.find(|fenced| fenced.is_followed_by(it))?;
        lost.macs.last().cloned().map(Was::InPlaceOf)
    }

    /// Notes an interface that has the filter, or gets it. `beside` are those of the guest that stay
    /// without; what is known of them stays, unless the user has just said so (`anew`).
    pub fn keep(
        &mut self,
        filter: &str,
        it: Present<'_>,
        beside: &BTreeSet<Mac>,
        anew: bool,
        is_there: impl Fn(&str) -> bool,
    ) {
        let mac = mac_text(it.mac);
        let own: Vec<usize> = (0..self.interfaces.len())
            .filter(|at| self.interfaces[*at].is_of(filter, it.guest, it.uuid, &is_there))
            .collect();
        let known = own
            .iter()
            .find(|at| self.interfaces[**at].macs.contains(&mac));
        let lost = own
            .iter()
            .find(|at| self.interfaces[**at].is_followed_by(it));
        let beside: BTreeSet<String> = beside.iter().copied().map(mac_text).collect();
        let Some(at) = known.or(lost) else {
            self.interfaces.push(Fenced {
                filter: filter.to_owned(),
                guest: it.guest.to_owned(),
                uuid: it.uuid.to_owned(),
                place: it.place.to_owned(),
                macs: vec![mac],
                beside,
            });
            return;
        };
        let fenced = &mut self.interfaces[*at];
        it.guest.clone_into(&mut fenced.guest);
        it.uuid.clone_into(&mut fenced.uuid);
        it.place.clone_into(&mut fenced.place);
        if !fenced.macs.contains(&mac) {
            fenced.macs.push(mac);
        }
        let too_many = fenced.macs.len().saturating_sub(MOST_MACS);
        fenced.macs.drain(..too_many);
        if anew {
            fenced.beside = beside;
        }
    }

    /// Forgets an interface, and one that it is in the place of.
    pub fn forget(&mut self, filter: &str, it: Present<'_>, is_there: impl Fn(&str) -> bool) {
        let mac = mac_text(it.mac);
        self.interfaces.retain(|fenced| {
            let is_it = fenced.macs.contains(&mac) || fenced.is_followed_by(it);
            !(fenced.is_of(filter, it.guest, it.uuid, &is_there) && is_it)
        });
    }

    /// Forgets all interfaces of a guest.
    pub fn forget_guest(
        &mut self,
        filter: &str,
        guest: &str,
        uuid: &str,
        is_there: impl Fn(&str) -> bool,
    ) {
        self.interfaces
            .retain(|fenced| !fenced.is_of(filter, guest, uuid, &is_there));
    }
}

impl Fenced {
    fn is_of(
        &self,
        filter: &str,
        guest: &str,
        uuid: &str,
        is_there: impl Fn(&str) -> bool,
    ) -> bool {
        let same = self.uuid == uuid || (self.guest == guest && !is_there(&self.uuid));
        self.filter == filter && same
    }

    /// Whether the guest has it no more, and that one instead.
    fn is_followed_by(&self, it: Present<'_>) -> bool {
        let is_gone = it
            .all
            .iter()
            .all(|mac| !self.macs.contains(&mac_text(*mac)));
        is_gone && self.place == it.place && !self.beside.contains(&mac_text(it.mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FILTER: &str = "lan-only";

    fn mac(last: u8) -> Mac {
        [0x52, 0x54, 0, 0, 0, last]
    }

    fn all(last: &[u8]) -> BTreeSet<Mac> {
        last.iter().copied().map(mac).collect()
    }

    fn at<'a>(all: &'a BTreeSet<Mac>, place: &'a str, last: u8) -> Present<'a> {
        Present {
            guest: "web",
            uuid: "u",
            mac: mac(last),
            place,
            all,
        }
    }

    /// The guest's first interface was fenced in br0, its second was not.
    fn fences() -> Fences {
        let (mut fences, all, beside) = (Fences::default(), all(&[1, 2]), all(&[2]));
        fences.keep(FILTER, at(&all, "br0", 1), &beside, true, |_| true);
        fences
    }

    #[rstest]
    #[case::itself(&[1, 2], "br0", 1, Some(Was::Itself))]
    #[case::itself_elsewhere(&[1, 2], "br1", 1, Some(Was::Itself))]
    #[case::with_another_mac(&[2, 3], "br0", 3, Some(Was::InPlaceOf("52:54:00:00:00:01".into())))]
    #[case::one_that_stayed_open(&[2], "br0", 2, None)]
    #[case::a_new_one_elsewhere(&[2, 3], "br1", 3, None)]
    #[case::a_new_one_beside_it(&[1, 2, 3], "br0", 3, None)]
    fn an_interface_that_was_fenced_is_known(
        #[case] now: &[u8],
        #[case] place: &str,
        #[case] last: u8,
        #[case] expected: Option<Was>,
    ) {
        let now = all(now);
        assert_eq!(
            fences().was(FILTER, at(&now, place, last), |_| true),
            expected
        );
        assert_eq!(fences().was("other", at(&now, place, last), |_| true), None);
        let other = Present {
            uuid: "another guest of that name, beside it",
            ..at(&now, place, last)
        };
        assert_eq!(fences().was(FILTER, other, |_| true), None);
        assert_eq!(
            fences().was(FILTER, other, |_| false),
            expected,
            "made anew"
        );
    }

    #[test]
    fn each_is_followed_by_one() {
        let mut fences = fences();
        let now = all(&[2, 3]);
        fences.keep(FILTER, at(&now, "br0", 3), &all(&[]), false, |_| true);
        let later = all(&[2, 3, 4]);
        assert_eq!(fences.was(FILTER, at(&later, "br0", 4), |_| true), None);
        let back = all(&[1, 2]);
        let was = fences.was(FILTER, at(&back, "br0", 1), |_| true);
        assert_eq!(was, Some(Was::Itself));
        fences.forget(FILTER, at(&back, "br0", 2), |_| true);
        assert_ne!(fences, Fences::default(), "that is another one");
        let mut others = fences.clone();
        others.forget_guest(FILTER, "mail", "v", |_| true);
        assert_eq!(others, fences);
        others.forget_guest(FILTER, "web", "made anew", |_| false);
        assert_eq!(others, Fences::default());
        // Neither itself nor one that would be taken for it.
        let now = all(&[5]);
        fences.forget(FILTER, at(&now, "br0", 5), |_| true);
        assert_eq!(fences, Fences::default());
    }

    #[test]
    fn what_stays_open_is_what_the_user_left_open() {
        let mut fences = fences();
        let (now, gone) = (all(&[1, 3]), all(&[3]));
        // The watcher saw 3 before 1 went.
        fences.keep(FILTER, at(&now, "br0", 1), &all(&[3]), false, |_| true);
        assert!(fences.was(FILTER, at(&gone, "br0", 3), |_| true).is_some());
        fences.keep(FILTER, at(&now, "br0", 1), &all(&[3]), true, |_| true);
        assert!(fences.was(FILTER, at(&gone, "br0", 3), |_| true).is_none());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut fences = fences();
        for last in 3..200 {
            let now = all(&[last]);
            fences.keep(FILTER, at(&now, "br0", last), &all(&[]), false, |_| true);
        }
        assert_eq!(fences.interfaces.len(), 1);
        assert_eq!(fences.interfaces[0].macs.len(), MOST_MACS);
    }
}
