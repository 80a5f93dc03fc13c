//! What an audit found.

use super::reason::Reason;
use super::state::State;
use crate::frame::Mac;
use crate::verdict::Conclusion;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The interfaces, guest by guest.
    pub interfaces: Vec<InterfaceReport>,
}

/// One interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceReport {
    /// The guest.
    pub guest: String,
    /// Whether it runs.
    pub running: bool,
    /// The interface's MAC.
    pub mac: Option<Mac>,
    /// The host's device, where the guest runs.
    pub device: Option<String>,
    /// The bridge or network that it is on, or another way out in words.
    pub network: String,
    /// The filter that it has.
    pub filter: Option<String>,
    /// Whether one of its definitions refers to the policy's filter.
    pub known: bool,
    /// What it is in.
    pub state: State,
    /// Why, the worst first.
    pub reasons: Vec<Reason>,
}

impl InterfaceReport {
    /// Adds a reason; the worst of all decides.
    pub fn add(&mut self, reason: Reason) {
        self.reasons.push(reason);
        let running = self.running;
        self.reasons
            .sort_by_key(|reason| std::cmp::Reverse(reason.state(running)));
        let states = self.reasons.iter().map(|reason| reason.state(running));
        self.state = states.max().unwrap_or(State::Fenced);
    }
}

impl Audit {
    /// Whether libvirt was just making the rules of an interface.
    pub fn is_rebuilding(&self) -> bool {
        let mut reasons = self.interfaces.iter().flat_map(|one| &one.reasons);
        reasons.any(|reason| *reason == Reason::Rebuilding)
    }

    /// The interfaces in a state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &InterfaceReport> {
        self.interfaces.iter().filter(move |one| one.state == state)
    }

    /// What it comes to: something open, drifted or unfilterable is proven wrong, something
    /// unknown is not proven.
    pub fn conclusion(&self) -> Conclusion {
        let of = |state| match state {
            State::Fenced => Conclusion::Pass,
            State::Unknown => Conclusion::Inconclusive,
            State::Drifted | State::Open | State::Unfilterable => Conclusion::Fail,
        };
        let all = self.interfaces.iter().map(|one| of(one.state));
        all.max().unwrap_or(Conclusion::Pass)
    }
}
