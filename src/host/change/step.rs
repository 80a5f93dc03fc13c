//! What is changed on a host, one step at a time.

use crate::frame::{Mac, mac_text};
use crate::host::audit::Subject;
use crate::host::kernel::Bypass;
use crate::nwfilter::FilterRef;
use std::fmt;

/// An interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The guest's name.
    pub guest: String,
    /// Its UUID: a name can change hands.
    pub uuid: String,
    /// The interface's MAC.
    pub mac: Mac,
    /// The host's device, where the guest runs.
    pub device: Option<String>,
}

impl Target {
    /// The interface of a guest; none where it has no MAC.
    pub fn of(subject: &Subject<'_>) -> Option<Self> {
        Some(Self {
            guest: subject.guest.name.clone(),
            uuid: subject.guest.uuid.clone(),
            mac: subject.interface().mac?,
            device: subject.live.and_then(|live| live.target.clone()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.guest, mac_text(self.mac))
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Defines a filter, or gives it another content under its own UUID.
    Define {
        /// Its name.
        name: String,
        /// Its XML.
        xml: String,
        /// What it was before.
        before: Option<String>,
    },
    /// Forgets a filter.
    Undefine {
        /// Its name.
        name: String,
        /// What it was before.
        before: String,
    },
    /// Changes the filterref in the persistent definition.
    Config(Change),
    /// Changes the filterref of the running guest.
    Live(Change),
    /// Changes the filterref in the image that the guest goes on from.
    Saved(Change),
    /// Has libvirt make the rules of a running guest anew.
    Rebind(Target),
    /// Takes away a rule of others for this device.
    Unbypass(Target, Bypass),
    /// Gives a device its name back.
    Rename {
        /// Whose device it is.
        target: Target,
        /// The name that it has.
        from: String,
        /// The name that libvirt knows.
        to: String,
    },
    /// Puts a device back into its bridge.
    Enslave {
        /// Whose device it is.
        target: Target,
        /// The device.
        device: String,
        /// The bridge.
        bridge: String,
    },
    /// Opens a device that lanfence has closed, whatever its rules are.
    Free(String),
    /// Opens a device that lanfence has closed, once its rules are proven.
    Open(Target),
}

impl Step {
    /// The interface that it is about.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Config(change) | Self::Live(change) | Self::Saved(change) => Some(&change.target),
            Self::Rebind(target)
            | Self::Unbypass(target, _)
            | Self::Rename { target, .. }
            | Self::Enslave { target, .. }
            | Self::Open(target) => Some(target),
            Self::Define { .. } | Self::Undefine { .. } | Self::Free(_) => None,
        }
    }
}

/// A change of an interface's filterref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The interface.
    pub target: Target,
    /// What it has.
    pub from: Option<FilterRef>,
    /// What it is to have.
    pub to: Option<FilterRef>,
}

impl Change {
    /// The way back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            target: self.target.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (_, None) => f.write_str("take the filterref out"),
            (None, Some(to)) => write!(f, "put in {}", element(to)),
            (Some(from), Some(to)) => write!(f, "put in {} for {}", element(to), element(from)),
        }
    }
}

/// A reference as libvirt writes it, on one line.
fn element(reference: &FilterRef) -> String {
    let parameters = reference.parameters.iter();
    let parameters: Vec<String> = parameters
        .map(|(name, value)| format!("<parameter name='{name}' value='{value}'/>"))
        .collect();
    let filter = &reference.filter;
    if parameters.is_empty() {
        return format!("<filterref filter='{filter}'/>");
    }
    format!(
        "<filterref filter='{filter}'>{}</filterref>",
        parameters.concat()
    )
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Define {
                name, before: None, ..
            } => write!(f, "filter {name}: define it"),
            Self::Define { name, .. } => {
                write!(f, "filter {name}: change its content under its own UUID")
            }
            Self::Undefine { name, .. } => write!(f, "filter {name}: undefine it"),
            Self::Config(change) => {
                write!(f, "{}: persistent definition: {change}", change.target)
            }
            Self::Live(change) if change.from.is_some() && change.to.is_some() => write!(
                f,
                "{}: running guest: close its device, {change}, open it when the new rules are in the kernel",
                change.target
            ),
            Self::Live(change) => write!(f, "{}: running guest: {change}", change.target),
            Self::Saved(change) => write!(f, "{}: saved image: {change}", change.target),
            Self::Rebind(target) => write!(
                f,
                "{target}: running guest: close its device, have libvirt make its rules anew, open it when they are in the kernel"
            ),
            Self::Unbypass(target, bypass) => {
                write!(
                    f,
                    "{target}: take away the rule that goes past its filter: {bypass}"
                )
            }
            Self::Rename { target, from, to } => {
                write!(f, "{target}: give its device {from} the name {to} back")
            }
            Self::Enslave {
                target,
                device,
                bridge,
            } => {
                write!(
                    f,
                    "{target}: put its device {device} back into the bridge {bridge}"
                )
            }
            Self::Free(device) => write!(f, "{device}: open it: lanfence had closed it"),
            Self::Open(target) => {
                write!(
                    f,
                    "{target}: open its device when its rules are in the kernel"
                )
            }
        }
    }
}
