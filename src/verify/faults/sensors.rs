//! Sensors that do not report what crosses their interface.

use super::{InjectedFault, Moment};
use crate::frame::{View, ethertype};
use crate::lab::{Direction, Impairment, Lab, Sensor, Sighted};
use crate::probe::Pass;

/// Nanoseconds in an hour.
const HOUR_NS: u64 = 3600 * 1_000_000_000;

/// Which frames a sensor keeps back.
type Deaf = fn(&Sighted) -> bool;

/// Makes the sensors deaf, or whatever else the fault says, and well again.
pub fn impair(fault: InjectedFault, moment: Moment, lab: &Lab, tap: &Sensor) {
    let behind = [&lab.peer_sensor, &lab.gateway_sensor, &lab.wan_sensor];
    let all = [tap, behind[0], behind[1], behind[2]];
    let (which, only_filtered): (&[&Sensor], bool) = match fault {
        InjectedFault::DeafArp
        | InjectedFault::DeafVlan
        | InjectedFault::DeafGroups
        | InjectedFault::DeafOthers
        | InjectedFault::LosesSilently => (&behind, true),
        InjectedFault::DeafWan6 | InjectedFault::DeafWan => (&behind[2..], true),
        InjectedFault::DeafInbound | InjectedFault::DeafOutbound => (&all[..1], true),
        InjectedFault::Replays => (&all, true),
        InjectedFault::ClockBack if moment == Moment::Begin(Pass::Control) => return,
        InjectedFault::StripsTags | InjectedFault::Truncates | InjectedFault::ClockBack => {
            (&all, false)
        }
        _ => return,
    };
    for sensor in which {
        match moment {
            Moment::Begin(Pass::Filtered) => sensor.impair(Some(how(fault, sensor))),
            Moment::Begin(_) if !only_filtered => sensor.impair(Some(how(fault, sensor))),
            Moment::End(Pass::Filtered) => sensor.impair(None),
            _ => {}
        }
    }
}

fn how(fault: InjectedFault, sensor: &Sensor) -> Impairment {
    let deaf: Deaf = match fault {
        InjectedFault::DeafArp => |seen| kind(seen) == ethertype::ARP,
        InjectedFault::DeafWan6 => |seen| comes_in(seen) && kind(seen) == ethertype::IPV6,
        InjectedFault::DeafVlan => |seen| comes_in(seen) && is_vlan(seen),
        InjectedFault::DeafGroups => |seen| seen.frame.first().is_some_and(|it| it & 1 == 1),
        InjectedFault::DeafOthers => {
            |seen| ![ethertype::ARP, ethertype::IPV4, ethertype::IPV6].contains(&kind(seen))
        }
        InjectedFault::DeafInbound => |seen| seen.direction == Direction::Out,
        InjectedFault::DeafOutbound => |seen| seen.direction == Direction::In,
        InjectedFault::DeafWan => comes_in,
        InjectedFault::LosesSilently => {
            let mut heard = 0_usize;
            return Box::new(move |seen| {
                heard += 1;
                if heard.is_multiple_of(2) {
                    vec![seen]
                } else {
                    Vec::new()
                }
            });
        }
        InjectedFault::Replays => {
            let mut old = sensor.since(0);
            return Box::new(move |seen| {
                let mut all = vec![seen];
                all.append(&mut old);
                all
            });
        }
        InjectedFault::StripsTags => return changed(strip),
        InjectedFault::Truncates => return changed(|seen| seen.frame.truncate(96)),
        InjectedFault::ClockBack => {
            return changed(|seen| seen.at_ns = seen.at_ns.saturating_sub(HOUR_NS));
        }
        _ => |_| false,
    };
    Box::new(move |seen| if deaf(&seen) { Vec::new() } else { vec![seen] })
}

fn changed(change: fn(&mut Sighted)) -> Impairment {
    Box::new(move |mut seen| {
        change(&mut seen);
        vec![seen]
    })
}

/// The outermost EtherType.
fn kind(seen: &Sighted) -> u16 {
    let bytes = seen.frame.get(12..14);
    bytes.map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn comes_in(seen: &Sighted) -> bool {
    seen.direction == Direction::In
}

fn is_vlan(seen: &Sighted) -> bool {
    View::parse(&seen.frame).is_some_and(|view| !view.tags.is_empty())
}

fn strip(seen: &mut Sighted) {
    while is_vlan(seen) {
        seen.frame.drain(12..16);
    }
}
