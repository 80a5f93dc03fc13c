//! Taps come, go and change their names.

use super::{Action, Device, Fall, Machine, Millis, Nic, Phase};
use crate::host::watch::links::LinkEvent;

impl Machine {
    /// Something happened to a tap; `covered` says whether the policy covers its bridge.
    pub(super) fn link(
        &mut self,
        now: Millis,
        event: LinkEvent,
        covered: bool,
        out: &mut Vec<Action>,
    ) {
        match event {
            LinkEvent::Joined { tap, bridge } => {
                if !self.devices.contains_key(&tap) && covered {
                    self.born(now, tap, bridge, out);
                }
                self.changed(now);
            }
            LinkEvent::Left { .. } | LinkEvent::Early { .. } => self.changed(now),
            LinkEvent::Renamed { from, to, .. } if from == to => {}
            LinkEvent::Renamed { from, to, bridge } => {
                self.renamed(now, &from, to, bridge.unwrap_or_default(), out);
                self.changed(now);
            }
            LinkEvent::Gone { tap } => {
                self.devices.remove(&tap);
                self.open([tap], out);
            }
        }
    }

    /// A new tap on a bridge whose guests have to be fenced: closed until its rules are
    /// proven.
    fn born(&mut self, now: Millis, tap: String, bridge: String, out: &mut Vec<Action>) {
        let nic = Nic {
            network: bridge,
            ..Nic::default()
        };
        let mut device = Device::new(nic.clone(), now);
        device.wanted = true;
        self.devices.insert(tap.clone(), device);
        let why = "it is new on a bridge that the policy fences".to_owned();
        let fall = Fall {
            device: tap,
            nic,
            why,
            culprits: Vec::new(),
            was_fenced: false,
        };
        self.close(vec![fall], out);
    }

    /// No rule matches the frames of a tap under a new name.
    fn renamed(
        &mut self,
        now: Millis,
        from: &str,
        to: String,
        bridge: String,
        out: &mut Vec<Action>,
    ) {
        let Some(old) = self.devices.remove(from) else {
            return;
        };
        if old.wanted {
            let was_fenced = matches!(old.phase, Phase::Fenced(_) | Phase::Rebuilding(..));
            let nic = Nic {
                network: bridge,
                ..old.nic.clone()
            };
            let device = Device {
                nic: nic.clone(),
                phase: Phase::Fallen,
                since: now,
                changed: Some(now),
                retry: 0,
                tries: 0,
                ..old
            };
            self.devices.insert(to.clone(), device);
            let why = format!("{from} was renamed to {to}: no rule matches its frames");
            let fall = Fall {
                device: to,
                nic,
                why,
                culprits: Vec::new(),
                was_fenced,
            };
            self.close(vec![fall], out);
        }
        // After the new name is closed.
        self.open([from.to_owned()], out);
    }
}
