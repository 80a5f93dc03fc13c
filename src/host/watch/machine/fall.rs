//! A fence falls.

use super::{Action, Device, Fall, Machine, Millis, Phase, REBUILD};
use crate::host::watch::look::Look;
use crate::host::watch::rule_events::Culprit;
use std::collections::{BTreeMap, BTreeSet};

impl Machine {
    /// The kernel's rules were changed.
    pub(super) fn looked(
        &mut self,
        now: Millis,
        looks: &BTreeMap<String, Look>,
        culprits: &BTreeSet<Culprit>,
        out: &mut Vec<Action>,
    ) {
        let (mut falls, mut again, mut judge) = (Vec::new(), Vec::new(), false);
        for (name, look) in looks {
            let Some(device) = self.devices.get_mut(name) else {
                continue;
            };
            let has_changed = device.seen.replace(*look) != Some(*look);
            if has_changed {
                device.changed = Some(now);
            }
            let Some(next) = device.after(now, look) else {
                judge |= has_changed && device.wanted;
                let is_open = device.phase == Phase::Fallen && !self.closed.contains(name);
                if is_open && has_changed && device.wanted && !self.orders.alert_only {
                    // A repair has opened it, and what it has proven is changed again.
                    again.push(name.clone());
                }
                continue;
            };
            judge |= !matches!(next, Phase::Fenced(_));
            if next == Phase::Fallen {
                falls.push(name.clone());
            } else {
                device.phase = next;
            }
        }
        if !again.is_empty() {
            self.closed.extend(again.iter().cloned());
            out.push(Action::CloseAgain(again));
        }
        let why = "the kernel's rules are not those that were proven";
        self.fall(&falls, why, culprits, out);
        if judge {
            self.changed(now);
        }
    }

    /// A rebuild takes long; that libvirt is at it is no proof any more.
    pub(super) fn rebuilds_that_do_not_end(&mut self, now: Millis, out: &mut Vec<Action>) {
        let too_long = |device: &Device| match device.phase {
            Phase::Rebuilding(_, since) => now >= since + REBUILD,
            _ => false,
        };
        let late = self.devices.iter().filter(|(_, device)| too_long(device));
        let late: Vec<String> = late.map(|(name, _)| name.clone()).collect();
        let why = "libvirt began to make its rules anew and did not come to an end";
        self.fall(&late, why, &BTreeSet::new(), out);
    }

    /// The fences of these devices are gone: close first, mend then.
    pub(super) fn fall(
        &mut self,
        names: &[String],
        why: &str,
        culprits: &BTreeSet<Culprit>,
        out: &mut Vec<Action>,
    ) {
        let mut falls = Vec::new();
        for name in names {
            let Some(device) = self.devices.get_mut(name) else {
                continue;
            };
            let was_fenced = matches!(device.phase, Phase::Fenced(_) | Phase::Rebuilding(..));
            device.phase = Phase::Fallen;
            (device.tries, device.retry) = (0, 0);
            falls.push(Fall {
                device: name.clone(),
                nic: device.nic.clone(),
                why: why.to_owned(),
                culprits: culprits.iter().cloned().collect(),
                was_fenced,
            });
        }
        self.close(falls, out);
    }

    /// Closes the gate, or only tells.
    pub(super) fn close(&mut self, falls: Vec<Fall>, out: &mut Vec<Action>) {
        if falls.is_empty() {
            return;
        }
        if self.orders.alert_only {
            out.push(Action::Tell(falls));
            return;
        }
        self.closed
            .extend(falls.iter().map(|fall| fall.device.clone()));
        out.push(Action::Close(falls));
    }

    /// Opens the gate for devices that this watcher has closed.
    pub(super) fn open(&mut self, names: impl IntoIterator<Item = String>, out: &mut Vec<Action>) {
        let open: Vec<String> = names
            .into_iter()
            .filter(|name| self.closed.remove(name))
            .collect();
        if !open.is_empty() {
            self.others.retain(|name, _| !open.contains(name));
            out.push(Action::Open(open));
        }
    }
}

impl Device {
    /// The phase after a look; none where the look says nothing about it.
    fn after(&self, now: Millis, look: &Look) -> Option<Phase> {
        let (proven, since) = match self.phase {
            Phase::Fenced(proven) => (proven, now),
            Phase::Rebuilding(proven, since) => (proven, since),
            _ => return None,
        };
        if look.print == proven.print && !look.rebuilding {
            return Some(Phase::Fenced(proven));
        }
        let was_rebuilding = matches!(self.phase, Phase::Rebuilding(..));
        let is_led = look.ways.cover(proven.ways);
        Some(if is_led && (look.rebuilding || was_rebuilding) {
            Phase::Rebuilding(proven, since)
        } else {
            Phase::Fallen
        })
    }
}
