//! Which guests have to carry the policy's filter.

use glob::Pattern;

/// What the policy fences. An interface is covered where one of the three lists names it.
///
/// # Examples
///
/// ```
/// use lanfence::policy::Policy;
///
/// let policy = Policy::parse(
///     "[lan]\nprefixes = ['192.0.2.0/24']\n[fence]\nbridges = ['br0']\nguests = ['web-*']\n",
///     "p.toml",
/// )?;
/// assert!(policy.fence.covers("mail", Some("br0"), None));
/// assert!(policy.fence.covers("web-1", None, Some("default")));
/// assert!(!policy.fence.covers("mail", Some("br1"), Some("default")));
/// # Ok::<(), lanfence::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// Bridges of the host: every interface there.
    pub bridges: Vec<String>,
    /// Networks of libvirt: every interface there.
    pub networks: Vec<String>,
    /// Names of guests, with `*`, `?` and `[…]`: every interface of theirs.
    pub guests: Vec<Pattern>,
}

impl Fence {
    /// Whether an interface of this guest, on this bridge or network, has to carry the
    /// policy's filter.
    pub fn covers(&self, guest_name: &str, bridge: Option<&str>, network: Option<&str>) -> bool {
        let named = |names: &[String], name: Option<&str>| {
            name.is_some_and(|name| names.iter().any(|other| other == name))
        };
        self.covers_guest(guest_name)
            || named(&self.bridges, bridge)
            || named(&self.networks, network)
    }

    /// Whether the policy names the guest itself, and so every way out that it has.
    pub fn covers_guest(&self, guest_name: &str) -> bool {
        self.guests.iter().any(|guest| guest.matches(guest_name))
    }
}
