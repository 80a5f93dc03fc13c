//! What breaks in the lab and in libvirt.

use super::sensors::impair;
use super::{InjectedFault, Moment};
use crate::frame::{Mac, mac_text};
use crate::lab::{BindingSpec, Lab, LabError, Sensor, ruleset, set_silence, tamper};
use crate::probe::Pass;
use crate::verify::job::Job;

/// In a rule that no frame of the tap test comes to.
const MLD2_REPORTS: &str = "--ip6-dst ff02::16 ";

/// Where the guest is.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// What is injected, among other things.
    pub job: &'a Job,
    /// The sensor at its tap.
    pub sensor: &'a Sensor,
    /// The name of its tap.
    pub device: &'a str,
    /// Its MAC.
    pub mac: Mac,
}

/// Breaks what is to be broken at this moment, or mends it again.
///
/// # Errors
/// When libvirt or the kernel does not let it be broken.
pub fn at(moment: Moment, place: Place<'_>) -> Result<(), LabError> {
    let Some(fault) = place.job.inject else {
        return Ok(());
    };
    impair(fault, moment, place.lab, place.sensor);
    match moment {
        Moment::Begin(Pass::Filtered) => network(fault, place, true),
        Moment::End(Pass::Filtered) => network(fault, place, false),
        Moment::Unbound if fault == InjectedFault::OlderContent => older_content(place),
        Moment::Bound => rules(fault, place),
        _ => Ok(()),
    }
}

/// Breaks the network between the hosts, or mends it.
fn network(fault: InjectedFault, place: Place<'_>, broken: bool) -> Result<(), LabError> {
    let (link, add, on) = if broken {
        ("down", "add", "on")
    } else {
        ("up", "del", "off")
    };
    let link_of = |port: &str| tamper::ip(&[], &format!("link set {port} {link}\n"));
    let no_way = format!("rule {add} iif eth0 pref 1 blackhole\n");
    match fault {
        InjectedFault::DeafServer => set_silence(&place.lab.network.gateway, broken),
        InjectedFault::LateServer if broken => place.lab.delay_dhcp(place.device),
        InjectedFault::LateServer => {
            place.lab.hasten_dhcp();
            Ok(())
        }
        InjectedFault::PeerDead => link_of("lan0"),
        InjectedFault::GatewayDead => link_of("gw0"),
        InjectedFault::WanDead => {
            tamper::ip(&["-n", "gateway"], &format!("link set wan0 {link}\n"))
        }
        InjectedFault::NoForwarding => {
            tamper::ip(&["-n", "gateway"], &no_way)?;
            tamper::ip(&["-n", "gateway", "-6"], &no_way)
        }
        InjectedFault::NoForwarding6 => tamper::ip(&["-n", "gateway", "-6"], &no_way),
        InjectedFault::BridgeDrops => tamper::bridge(&format!(
            "link set dev lan0 isolated {on}\nlink set dev gw0 isolated {on}\n"
        )),
        InjectedFault::BridgeTable => {
            let mac = mac_text(place.mac);
            let device = if broken { "lan0" } else { place.device };
            tamper::bridge(&format!(
                "fdb replace {mac} dev {device} master static sticky\n"
            ))
        }
        InjectedFault::Stp => {
            let state = if broken { 1 } else { 3 };
            tamper::bridge(&format!("link set dev gw0 state {state}\n"))
        }
        _ => Ok(()),
    }
}

/// Changes the rules behind libvirt's back.
fn rules(fault: InjectedFault, place: Place<'_>) -> Result<(), LabError> {
    let backend = place.lab.libvirt.backend();
    let Place { device, .. } = place;
    match fault {
        InjectedFault::Sensor => {
            place.lab.gateway_sensor.kill();
            Ok(())
        }
        InjectedFault::Flush | InjectedFault::SwallowedVerdicts => ruleset::flush_layer2(backend),
        InjectedFault::FlushOutbound => tamper::ebtables(&["-F", &format!("libvirt-I-{device}")]),
        InjectedFault::FlushInbound => tamper::ebtables(&["-F", &format!("libvirt-O-{device}")]),
        InjectedFault::OneRuleLess => {
            let rules = ruleset::rules(device, backend)?;
            let unneeded = rules.iter().find(|rule| rule.contains(MLD2_REPORTS));
            let words = unneeded
                .into_iter()
                .flat_map(|rule| rule.split_whitespace());
            let words: Vec<&str> = words.skip(1).collect();
            tamper::ebtables(&[&["-D"], words.as_slice()].concat())
        }
        InjectedFault::ForeignRule => {
            tamper::ebtables(&["-I", "PREROUTING", "-p", "802_1Q", "-j", "DROP"])
        }
        _ => Ok(()),
    }
}

/// Gives libvirt the filter as it may have been before: with a rule more, which changes nothing.
fn older_content(place: Place<'_>) -> Result<(), LabError> {
    let name = place.job.bind.as_deref().unwrap_or_default();
    let mut filters = place.job.filters.iter();
    let Some(filter) = filters.find(|filter| filter.name == name) else {
        return Ok(());
    };
    let rule = "<rule action='drop' direction='inout' priority='999'/></filter>";
    let older = filter.xml.replace("</filter>", rule);
    place.lab.libvirt.define_filter(name, &older).map(drop)
}

/// Makes the binder bind something else; whether it binds at all.
pub fn spoil_binding(fault: Option<InjectedFault>, spec: &mut BindingSpec<'_>) -> bool {
    match fault {
        Some(InjectedFault::OtherDevice) => spec.device = "lan0",
        Some(InjectedFault::WrongMac) => spec.mac[5] ^= 0x55,
        Some(InjectedFault::NotBound) => return false,
        _ => {}
    }
    true
}
