//! What libvirt's hook of a guest says to each step of it: whether it may start, and with which
//! definition it comes back from a saved image or another host.
//!
//! It asks nobody but the policy and the definition that libvirt hands it: while a hook runs,
//! libvirt waits for it and answers no question about the guest.

mod refusal;
#[cfg(test)]
mod tests;

use crate::domain::{Device, Domain, Interface, set_filterref};
use crate::nwfilter::FilterRef;
use crate::policy::Policy;
pub use refusal::Refusal;

/// What is done at an operation of the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The guest is about to start: it may, or it may not.
    Admit,
    /// The guest is about to be defined by a saved image or another host: its definition may be
    /// another.
    Rewrite,
    /// Nothing is done. The guest runs already, or has run, and a hook that failed would end it
    /// or would be too late.
    Nothing,
}

impl Step {
    /// What is done at this operation, libvirt's second argument.
    pub fn of(operation: &str) -> Self {
        match operation {
            "prepare" | "start" => Self::Admit,
            "migrate" | "restore" => Self::Rewrite,
            _ => Self::Nothing,
        }
    }
}

/// Whether a guest may start: every interface that the policy fences has a filterref to the
/// policy's filter.
///
/// # Errors
/// The first interface that the policy fences and that is open or takes no filter, and a
/// definition that cannot be read.
///
/// # Examples
///
/// ```
/// use lanfence::hook::admit;
/// use lanfence::policy::Policy;
///
/// let policy = "[lan]\nprefixes = ['192.0.2.0/24']\n[fence]\nbridges = ['br0']\n";
/// let policy = Policy::parse(policy, "p.toml")?;
/// let open = "<domain><name>web</name><devices>\
///             <interface type='bridge'><source bridge='br0'/></interface></devices></domain>";
/// let refusal = admit("web", open, &policy).unwrap_err();
/// assert!(refusal.to_string().contains("lanfence apply web"));
/// # Ok::<(), lanfence::policy::PolicyError>(())
/// ```
pub fn admit(guest: &str, xml: &str, policy: &Policy) -> Result<(), Refusal> {
    let domain = Domain::parse(xml)?;
    passable(guest, &domain, policy)?;
    let open = fenced(guest, &domain, policy).find(|interface| !is_filtered(interface, policy));
    match open {
        None => Ok(()),
        Some(interface) => Err(Refusal::open(guest, interface, policy)),
    }
}

/// The definition that a guest comes back with: that of the saved image or the other host, and a
/// filterref to the policy's filter in each interface that the policy fences. Everything else
/// stays byte for byte.
///
/// # Errors
/// An interface that the policy fences and that takes no filter, and a definition that cannot be
/// read.
pub fn rewrite(guest: &str, xml: &str, policy: &Policy) -> Result<String, Refusal> {
    let domain = Domain::parse(xml)?;
    passable(guest, &domain, policy)?;
    let filterref = FilterRef {
        filter: policy.name.clone(),
        parameters: Vec::new(),
    };
    let open = fenced(guest, &domain, policy).filter(|interface| !is_filtered(interface, policy));
    // From the last to the first, so that the places of those before stay true.
    let mut open: Vec<&Interface> = open.collect();
    open.sort_by_key(|interface| std::cmp::Reverse(interface.span.start));
    let put_in = |text: String, interface| set_filterref(&text, interface, Some(&filterref));
    Ok(open.into_iter().fold(xml.to_owned(), put_in))
}

/// The interfaces that the policy fences.
fn fenced<'a>(
    guest: &'a str,
    domain: &'a Domain,
    policy: &'a Policy,
) -> impl Iterator<Item = &'a Interface> {
    let covers = move |interface: &&Interface| {
        let (bridge, network) = (interface.bridge.as_deref(), interface.network.as_deref());
        policy.fence.covers(guest, bridge, network)
    };
    domain.interfaces.iter().filter(covers)
}

/// That nothing of the guest is fenced and takes no filter.
fn passable(guest: &str, domain: &Domain, policy: &Policy) -> Result<(), Refusal> {
    for interface in fenced(guest, domain, policy) {
        let filterable = interface.filterable(None);
        filterable.map_err(|reason| Refusal::unfilterable(guest, interface, reason))?;
    }
    // A PCI or USB device may be anything; what QEMU itself is told is certainly a NIC.
    let mut others = domain.hostdev_nics.iter();
    let nic = others.find(|other| matches!(other.device, Device::Argument(_) | Device::Net(_)));
    match nic.filter(|_| policy.fence.covers_guest(guest)) {
        Some(nic) => Err(Refusal::unseen(guest, nic)),
        None => Ok(()),
    }
}

/// Whether the interface refers to the policy's filter, and to no other.
fn is_filtered(interface: &Interface, policy: &Policy) -> bool {
    let filterref = interface.filterref();
    filterref.is_some_and(|filterref| filterref.filter == policy.name)
}
