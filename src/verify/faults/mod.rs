//! Faults: parts of the proving machinery that are broken on purpose, one at a time, to show
//! that no verdict is green without its proof. Only tests ask for one (`verify --inject`).
//!
//! Each part that can be broken asks here in one place: the lab at the [`Moment`]s of a trial,
//! the endpoint by way of [`Faulty`], the binder, the catalogue, the results and the reporter.
//! docs/faults.md has what became of each fault.

mod endpoint;
mod lab;
mod sensors;
mod words;

pub use endpoint::Faulty;
pub use lab::{Place, at, spoil_binding};
pub use words::{Reporter, catalogue, last_words, record, results};

use crate::probe::Pass;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Moments of a trial at which something can be broken, or mended again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before a pass.
    Begin(Pass),
    /// After a pass.
    End(Pass),
    /// Before the filter is bound to a NIC that has been in use.
    Unbound,
    /// When it has been.
    Bound,
}

/// The fault that is to be injected has no such name.
#[derive(Debug, thiserror::Error)]
#[error("there is no fault `{0}`; docs/faults.md lists them")]
pub struct UnknownFault(String);

macro_rules! faults {
    ($($(#[doc = $what:literal])+ $fault:ident $name:literal,)+) => {
        /// A part to break in the middle of a cell, to show that the verdict notices.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum InjectedFault {
            $($(#[doc = $what])+ $fault,)+
        }

        impl InjectedFault {
            /// All of them, in the order of docs/faults.md.
            pub const ALL: &[Self] = &[$(Self::$fault,)+];

            /// The word for it on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)+
                }
            }

            /// What is broken, in words.
            pub fn what(self) -> String {
                let text = match self {
                    $(Self::$fault => concat!($($what),+),)+
                };
                text.trim().to_owned()
            }
        }
    };
}

impl FromStr for InjectedFault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let mut all = Self::ALL.iter().copied();
        let found = all.find(|fault| fault.name() == name);
        found.ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

impl InjectedFault {
    /// Whether it needs a machine that runs under QEMU.
    pub fn needs_machine(self) -> bool {
        use InjectedFault::{FlushBeforeFirstFrame, Kill, LateServer, NoLink, Pause, Reset};
        matches!(
            self,
            FlushBeforeFirstFrame | Kill | LateServer | NoLink | Pause | Reset
        )
    }
}

faults! {
    /// The router's sensor dies before the filtered pass.
    Sensor "sensor",
    /// The NIC's link goes down before the filtered pass.
    Link "link",
    /// The guest is paused before the filtered pass.
    Pause "pause",
    /// The guest is reset before the filtered pass, which ends its domain.
    Reset "reset",
    /// QEMU is killed before the filter is bound.
    Kill "kill",
    /// The filter's rules are flushed behind libvirt's back before the filtered pass.
    Flush "flush",
    /// The rules are flushed before the first frame of the guest that begins with the filter.
    FlushBeforeFirstFrame "flush-before-first-frame",
    /// The link of the NIC of a guest that is booted or restored never comes up.
    NoLink "no-link",
    /// In the filtered pass the sensors behind the filter are deaf to ARP.
    DeafArp "deaf-arp",
    /// In the filtered pass the WAN host's sensor is deaf to IPv6 that comes in.
    DeafWan6 "deaf-wan-ipv6",
    /// In the filtered pass the WAN host's sensor is deaf to all that comes in.
    DeafWan "deaf-wan",
    /// In the filtered pass the sensors behind the filter are deaf to VLAN tags.
    DeafVlan "deaf-vlan",
    /// In the filtered pass the sensors behind the filter are deaf to group addresses.
    DeafGroups "deaf-groups",
    /// In the filtered pass the sensors behind the filter hear nothing but ARP and IP.
    DeafOthers "deaf-others",
    /// In the filtered pass the tap's sensor is deaf to what goes to the guest.
    DeafInbound "deaf-inbound",
    /// In the filtered pass the tap's sensor is deaf to what comes from the guest.
    DeafOutbound "deaf-outbound",
    /// The sensors take VLAN tags off the frames that they report.
    StripsTags "strips-tags",
    /// The sensors cut frames after 96 bytes.
    Truncates "truncates",
    /// In the filtered pass the sensors report the frames of the control again.
    Replays "replays",
    /// In the filtered pass the sensors behind the filter lose every second frame silently.
    LosesSilently "loses-silently",
    /// From the filtered pass on the sensors' clock is an hour slow.
    ClockBack "clock-back",
    /// The filtered pass sends the nonces of the control.
    NonceOfPass "nonce-of-pass",
    /// The filtered pass looks for the nonces of another run.
    NonceOfRun "nonce-of-run",
    /// What was seen in the control is lost.
    LostControl "lost-control",
    /// The filter is already bound in the control.
    FilterInControl "filter-in-control",
    /// The filter is not removed for the leak check.
    FilterStays "filter-stays",
    /// The leak check is not made; the control's record stands in for it.
    NoLeakCheck "no-leak-check",
    /// In the filtered pass the guest's probes are sent after its sentinels.
    EarlySentinels "early-sentinels",
    /// In the filtered pass the guest sends no sentinels.
    NoSentinels "no-sentinels",
    /// The filter is bound to another device.
    OtherDevice "other-device",
    /// The filter is bound with another MAC than the guest's.
    WrongMac "wrong-mac",
    /// Nothing is bound, and it looks as if it were.
    NotBound "not-bound",
    /// libvirt has an older content of the filter when it is bound.
    OlderContent "older-content",
    /// A rule of the filter that no probe needs goes after it is bound.
    OneRuleLess "one-rule-less",
    /// The rules for what the guest sends are flushed after it is bound.
    FlushOutbound "flush-outbound",
    /// The rules for what is sent to the guest are flushed after it is bound.
    FlushInbound "flush-inbound",
    /// A rule beside the filter's drops VLAN tags after it is bound.
    ForeignRule "foreign-rule",
    /// The guest sends every second probe only, and claims to have sent all.
    SendsLess "sends-less",
    /// In the filtered pass one frame never leaves the guest, however often it is asked to send it.
    LosesOne "loses-one",
    /// In the filtered pass one frame does not leave the guest the first time.
    LosesOneOnce "loses-one-once",
    /// In the filtered pass the guest sends other frames with the nonces of those that must be stopped.
    SendsOthers "sends-others",
    /// In the filtered pass the guest sends the frames of the control again.
    SendsOld "sends-old",
    /// In the filtered pass the guest sends from another MAC.
    SendsFromMac "sends-from-mac",
    /// The guest does no step of DHCP and claims to have done all.
    ClaimsDhcp "claims-dhcp",
    /// In the filtered pass the DHCP server hears no question.
    DeafServer "deaf-server",
    /// In the filtered pass the DHCP server answers when the guest has given up.
    LateServer "late-server",
    /// In the filtered pass the LAN peer is off the bridge.
    PeerDead "peer-dead",
    /// In the filtered pass the router is off the bridge.
    GatewayDead "gateway-dead",
    /// In the filtered pass the router's link to the WAN host is down.
    WanDead "wan-dead",
    /// In the filtered pass the router forwards nothing from the LAN.
    NoForwarding "no-forwarding",
    /// In the filtered pass the router forwards no IPv6 from the LAN.
    NoForwarding6 "no-forwarding6",
    /// In the filtered pass the bridge drops what goes between LAN peer and router.
    BridgeDrops "bridge-drops",
    /// In the filtered pass the bridge has the guest's MAC at the LAN peer's port.
    BridgeTable "bridge-table",
    /// In the filtered pass the router's port of the bridge is in the listening state of STP.
    Stp "stp",
    /// The expectations of the catalogue are flipped.
    Flipped "flipped",
    /// The probes are those of another policy than the filter's.
    OtherPolicy "other-policy",
    /// The worker's catalogue has no probes to the WAN over IPv6.
    ShortCatalogue "short-catalogue",
    /// Results of a cell are missing.
    MissingResults "missing-results",
    /// A result of a cell is there twice.
    DoubledResult "doubled-result",
    /// The rules are flushed, and every verdict is reported as a pass.
    SwallowedVerdicts "swallowed-verdicts",
    /// The worker reports another run.
    OtherRun "other-run",
    /// The worker reports another cell than it was given.
    OtherCell "other-cell",
    /// The report of the cell is lost.
    LostCell "lost-cell",
    /// The report of the cell comes twice.
    DoubledCell "doubled-cell",
    /// A report of the worker other than the cell's is lost.
    LostReport "lost-report",
    /// The worker panics when it has reported its last cell.
    LastWords "last-words",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_one_name() {
        for fault in InjectedFault::ALL {
            assert_eq!(fault.name().parse::<InjectedFault>().ok(), Some(*fault));
            assert!(!fault.what().is_empty());
        }
        assert!("nothing".parse::<InjectedFault>().is_err());
    }
}
