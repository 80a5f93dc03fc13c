//! What an audit changes.

use super::{
    ABANDONED, Action, Device, Job, Level, Machine, Millis, Nic, Phase, RETRY, UNCLAIMED, backoff,
};
use crate::host::watch::judged::{Judged, Standing};
use crate::host::watch::look::{Look, Ways};
use std::collections::{BTreeMap, BTreeSet};

impl Machine {
    pub(super) fn judged(
        &mut self,
        now: Millis,
        judged: &[Judged],
        before: &BTreeMap<String, Look>,
        after: &BTreeMap<String, Look>,
        out: &mut Vec<Action>,
    ) {
        let began = match self.job.take() {
            Some(Job::Audit { began } | Job::Mend { began }) => began,
            None => now,
        };
        self.failures = 0;
        self.audit_at = self.audit_at.min(now + self.orders.interval);
        let mut sure = true;
        for one in judged {
            let look = after.get(&one.device).copied();
            let same = look.filter(|look| before.get(&one.device) == Some(look));
            sure &= self.judge(now, began, one, same, out);
        }
        self.unsure = if sure { 0 } else { self.unsure + 1 };
        if !sure {
            self.audit_at = self.audit_at.min(now + backoff(RETRY, self.unsure));
        }
        self.unclaimed(now, judged, out);
        self.abandoned(now, out);
    }

    /// One interface. The look is there where it was the same all the time that the audit
    /// took. False where it has to be judged again soon.
    fn judge(
        &mut self,
        now: Millis,
        began: Millis,
        judged: &Judged,
        look: Option<Look>,
        out: &mut Vec<Action>,
    ) -> bool {
        let mut sure = true;
        let name = &judged.device;
        let device = self.devices.entry(name.clone());
        let device = device.or_insert_with(|| Device::new(judged.nic.clone(), now));
        device.nic = judged.nic.clone();
        device.since = now;
        device.seen = look.or(device.seen);
        device.wanted = judged.is_wanted.unwrap_or(device.wanted);
        let is_news = device.told.as_ref() != Some(&judged.reasons.join("; "));
        let proven = look.filter(|look| {
            !look.rebuilding && device.changed.is_none_or(|changed| changed < began)
        });
        match (judged.standing, proven) {
            _ if !device.wanted => device.phase = Phase::Unwanted,
            (Standing::Holds | Standing::HoldsForNow, Some(look)) => {
                let mended = device.phase == Phase::Fallen;
                let is_blind = look.ways == Ways::default();
                let is_new = !matches!(device.phase, Phase::Fenced(_));
                device.phase = Phase::Fenced(look);
                device.blemish = judged.standing == Standing::HoldsForNow;
                if !device.blemish {
                    (device.tries, device.retry, device.told) = (0, 0, None);
                } else if mended {
                    (device.tries, device.retry) = (0, now);
                }
                if mended {
                    let message = "its rules are proven again";
                    out.push(self.note(Level::Info, "fenced", name, message));
                }
                if is_blind && is_new {
                    let message = "its rules are proven, but nothing is seen that leads to them: only an audit, which comes at intervals, will notice when they are lost";
                    out.push(self.note(Level::Warning, "blind", name, message));
                }
                self.open([name.clone()], out);
            }
            // What has no look is judged again when it is quiet.
            (Standing::Holds | Standing::HoldsForNow | Standing::Unsure, _) => sure = false,
            (Standing::OtherContent, _) if !device.was_proven() => device.blemish = true,
            (Standing::OtherContent | Standing::Open, _) if device.phase != Phase::Fallen => {
                let why = judged.reasons.join("; ");
                self.fall(std::slice::from_ref(name), &why, &BTreeSet::new(), out);
            }
            (Standing::OtherContent | Standing::Open, _) => self.close_again(name, out),
            (Standing::Unfilterable, _) => device.phase = Phase::Unfilterable,
        }
        self.tell_of(judged, is_news, out);
        if !self.devices[name].wanted {
            self.open([name.clone()], out);
        }
        sure
    }

    /// Closes what has fallen before, and what something else than this watcher has opened since.
    fn close_again(&mut self, name: &String, out: &mut Vec<Action>) {
        let is_closed = self.closed.contains(name) || self.others.contains_key(name);
        if !is_closed && !self.orders.alert_only {
            self.closed.insert(name.clone());
            out.push(Action::CloseAgain(vec![name.clone()]));
        }
    }

    /// Tells once what is not as it must be.
    fn tell_of(&mut self, judged: &Judged, is_news: bool, out: &mut Vec<Action>) {
        // An open one is told of as a fall.
        let worth = matches!(
            judged.standing,
            Standing::HoldsForNow | Standing::OtherContent | Standing::Unfilterable
        );
        let wanted = self.devices.get(&judged.device).is_some_and(|it| it.wanted);
        if !(worth && wanted && is_news) {
            return;
        }
        let why = judged.reasons.join("; ");
        out.push(self.note(Level::Warning, "found", &judged.device, &why));
        if let Some(device) = self.devices.get_mut(&judged.device) {
            device.told = Some(why);
        }
    }

    /// Devices that no guest has. A guest that is just starting has its tap before libvirt
    /// tells of it, so they are waited for.
    fn unclaimed(&mut self, now: Millis, judged: &[Judged], out: &mut Vec<Action>) {
        let claimed: BTreeSet<&str> = judged.iter().map(|one| one.device.as_str()).collect();
        for device in self.closed.clone() {
            self.devices
                .entry(device)
                .or_insert_with(|| Device::new(Nic::default(), now));
        }
        let late = self.devices.iter().filter(|(name, device)| {
            !claimed.contains(name.as_str()) && now >= device.since + UNCLAIMED
        });
        let late: Vec<String> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            if self.closed.contains(&name) {
                let message =
                    "no guest of libvirt has this device, so lanfence does not keep it closed";
                out.push(self.note(Level::Warning, "unclaimed", &name, message));
            }
            self.devices.remove(&name);
            self.open([name], out);
        }
        let waiting = self
            .closed
            .iter()
            .any(|name| !claimed.contains(name.as_str()));
        if waiting {
            self.audit_at = self.audit_at.min(now + UNCLAIMED / 10);
        }
    }

    /// What another lanfence has closed and not opened for long is this watcher's.
    fn abandoned(&mut self, now: Millis, out: &mut Vec<Action>) {
        if self.orders.alert_only {
            return;
        }
        let late = self
            .others
            .iter()
            .filter(|(_, since)| now >= **since + ABANDONED);
        let late: Vec<String> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            self.others.remove(&name);
            let message =
                "another lanfence has closed it and not opened it again; it is taken over";
            out.push(self.note(Level::Warning, "taken-over", &name, message));
            self.closed.insert(name);
        }
    }
}

impl Device {
    fn was_proven(&self) -> bool {
        matches!(
            self.phase,
            Phase::Fenced(_) | Phase::Rebuilding(..) | Phase::Fallen
        )
    }
}
