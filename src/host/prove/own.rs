//! The guest's own rules while a proof runs: whether its frames come to them.
//!
//! The proof's taps show that the filter holds. That the guest's own device leads to its rules is
//! another matter: a program that has the frames first, or a table that the kernel does not apply,
//! leaves every rule in its place. Each proof ends with frames that the bridge sends out of every
//! port, so that the counters of each guest's rules have something to count.

use crate::host::audit::Reason;
use crate::lab::ruleset::{Come, come};
use crate::nwfilter::evaluate::Backend;
use std::collections::HashMap;

/// How many frames a proof sends to all ports of the bridge.
pub(super) const TO_ALL: u64 = 3;

/// What was counted at one moment.
#[derive(Debug)]
pub struct Look {
    devices: HashMap<String, Counted>,
    come: Result<HashMap<String, Come>, String>,
}

/// What the kernel counted at a device, from the bridge's side: frames from the guest and to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    from_guest: u64,
    to_guest: u64,
}

/// Looks at the counters. Before a proof the rules are read first, and afterwards (`last`) the
/// devices: so the rules have had at least as long as the devices.
pub fn look(devices: &[String], backend: Backend, last: bool) -> Look {
    let rules = || come(devices, backend).map_err(|error| error.to_string());
    let counted = || {
        let pairs = devices.iter().filter_map(|name| {
            let read = |what: &str| {
                let path = format!("/sys/class/net/{name}/statistics/{what}");
                std::fs::read_to_string(path).ok()?.trim().parse().ok()
            };
            let counted = Counted {
                from_guest: read("rx_packets")?,
                to_guest: read("tx_packets")?,
            };
            Some((name.clone(), counted))
        });
        pairs.collect()
    };
    if last {
        let devices = counted();
        let come = rules();
        Look { devices, come }
    } else {
        let come = rules();
        let devices = counted();
        Look { devices, come }
    }
}

impl Look {
    /// What the time since an earlier look says of a device's rules.
    pub fn since(&self, before: &Self, device: &str) -> Reason {
        let unproven = |why: &str| Reason::Unproven(format!("its own rules: {why}"));
        let (now, then) = match (&self.come, &before.come) {
            (Ok(now), Ok(then)) => (now.get(device), then.get(device)),
            (Err(why), _) | (_, Err(why)) => return unproven(why),
        };
        let device = self.devices.get(device).zip(before.devices.get(device));
        let (Some(now), Some(then), Some((is, was))) = (now, then, device) else {
            return unproven("its device is gone");
        };
        judge(*then, *now, *was, *is)
    }
}

/// Frames since then; none where the counter began anew.
fn since(then: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(then?)
}

fn judge(then: Come, now: Come, was: Counted, is: Counted) -> Reason {
    let unproven = |why: String| Reason::Unproven(format!("its own rules: {why}"));
    if then.to_guest.is_none() && then.from_guest.is_none() {
        return unproven("nothing counts the frames that come to them".into());
    }
    let passed = is.to_guest.saturating_sub(was.to_guest);
    if then.to_guest.is_some() {
        match since(then.to_guest, now.to_guest) {
            None => return unproven("they were made anew meanwhile".into()),
            Some(0) if passed > 0 => {
                return Reason::Leaked(vec![
                    "frames to the guest, none of which came to its rules",
                ]);
            }
            Some(count) if count < TO_ALL => {
                return unproven(format!(
                    "only {count} of {TO_ALL} frames to all ports of the bridge came to them"
                ));
            }
            Some(_) => {}
        }
    }
    let sent = is.from_guest.saturating_sub(was.from_guest);
    let from = since(then.from_guest, now.from_guest);
    match from {
        None if then.from_guest.is_some() => unproven("they were made anew meanwhile".into()),
        Some(0) if sent > 0 => unproven(format!(
            "the guest has sent {sent} frames, and none came to them"
        )),
        _ => Reason::Counted {
            to_guest: since(then.to_guest, now.to_guest),
            from_guest: from,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Frames that came to the rules and that the device counted, to the guest and from it.
    #[rstest]
    #[case::a_guest_that_is_quiet([3, 0], [0, 0], "counted")]
    #[case::one_that_sends([3, 5], [0, 5], "counted")]
    #[case::past_its_rules([0, 0], [3, 0], "leaked")]
    #[case::flooding_is_off([0, 0], [0, 0], "unproven")]
    #[case::some_are_missing([2, 0], [0, 0], "unproven")]
    #[case::taken_before_the_bridge([3, 0], [0, 9], "unproven")]
    fn what_the_counters_prove(
        #[case] rules: [u64; 2],
        #[case] device: [u64; 2],
        #[case] kind: &str,
    ) {
        let come = |to, from| Come {
            to_guest: Some(to),
            from_guest: Some(from),
        };
        let counted = |to, from| Counted {
            from_guest: from,
            to_guest: to,
        };
        let found = judge(
            come(7, 7),
            come(7 + rules[0], 7 + rules[1]),
            counted(9, 9),
            counted(9 + device[0], 9 + device[1]),
        );
        assert_eq!(found.kind(), kind, "{found:?}");
    }

    #[rstest]
    #[case::no_counter(None, None)]
    #[case::anew(Some(9), Some(2))]
    #[case::gone(Some(9), None)]
    fn what_did_not_count_on_is_no_proof(#[case] then: Option<u64>, #[case] now: Option<u64>) {
        let come = |to_guest| Come {
            to_guest,
            from_guest: None,
        };
        let counted = Counted {
            to_guest: 0,
            from_guest: 0,
        };
        let found = judge(come(then), come(now), counted, counted);
        assert_eq!(found.kind(), "unproven", "{found:?}");
    }
}
