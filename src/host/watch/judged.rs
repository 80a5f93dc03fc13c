//! What the audit says of one interface, as far as a watcher needs it.

/// One interface of a guest, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whose it is.
    pub nic: Nic,
    /// The host's device.
    pub device: String,
    /// Whether it is meant to be fenced: the policy covers it, it has the policy's filter, or it had. None where
    /// that it had cannot be told: then it is meant as before.
    pub is_wanted: Option<bool>,
    /// How it stands.
    pub standing: Standing,
    /// Why, in sentences.
    pub reasons: Vec<String>,
}

/// The names of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nic {
    /// The guest; empty where it is not known yet.
    pub guest: String,
    /// The MAC address.
    pub mac: String,
    /// The bridge or network.
    pub network: String,
}

/// How an interface stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The kernel's rules hold, and all else is as it must be.
    Holds,
    /// The kernel's rules hold now; something else must be mended, such as the persistent
    /// definition.
    HoldsForNow,
    /// The kernel has the rules of the filter, but the filter is not the policy's.
    OtherContent,
    /// Frames pass that the policy forbids.
    Open,
    /// No filter can hold it.
    Unfilterable,
    /// It could not be judged now.
    Unsure,
}
