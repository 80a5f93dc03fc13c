//! What each reason says to people.

use super::reason::{Definition, Reason};
use std::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFilter(definition) => write!(f, "{definition} has no filter"),
            Self::Leaks {
                definition,
                filter,
                example,
                count,
            } => write!(
                f,
                "{definition} has the filter {filter}, which lets through what the policy forbids ({count} kinds of frames, such as {example})"
            ),
            Self::OtherFilter(definition, filter) => write!(
                f,
                "{definition} has the filter {filter}, which is not lanfence's but keeps to the policy"
            ),
            Self::UnknownFilter {
                definition,
                filter,
                why,
            } => {
                write!(
                    f,
                    "{definition} has the filter {filter}, and it is not known what that does: {why}"
                )
            }
            Self::MissingFilter(definition, filter) => {
                write!(
                    f,
                    "{definition} names the filter {filter}, which libvirt does not have: the guest would not start"
                )
            }
            Self::FilterDiffers { filter, difference } => {
                write!(
                    f,
                    "the filter {filter} does not say what the policy says: {difference}"
                )
            }
            Self::SeveralFilters(definition) => {
                write!(f, "{definition} has more than one filterref")
            }
            Self::Unfilterable(Definition::Live, why) => write!(f, "{why}"),
            Self::Unfilterable(definition, why) => {
                write!(f, "{definition} has it as one that no filter holds: {why}")
            }
            Self::NoBinding | Self::OtherBinding(_) | Self::StaleBinding(_) => binding(self, f),
            Self::Rules(difference) => write!(f, "{difference}"),
            Self::Bypass(bypass) if bypass.is_early => write!(
                f,
                "something of others has its frames before the bridge, where neither the filter nor a closed tap holds them: {bypass}"
            ),
            Self::Bypass(bypass) => write!(
                f,
                "something of others takes its frames past the filter: {bypass}"
            ),
            Self::RulesUnseen(why) => write!(f, "the kernel's rules were not seen: {why}"),
            Self::NoReference(why) => write!(f, "its rules could not be judged: {why}"),
            Self::Rebuilding => f.write_str("libvirt is just making its rules"),
            Self::NoDevice(device) => write!(
                f,
                "there is no device {device}: it was renamed, so no rule matches its frames"
            ),
            Self::NoBridge(device) => write!(
                f,
                "{device} is in no Linux bridge, so no rule sees its frames"
            ),
            Self::OtherBridge { is, wanted } => write!(
                f,
                "its device is in the bridge {is}, its definition says {wanted}"
            ),
            Self::NoBridgeNetfilter(sysctl) => write!(
                f,
                "its filter has rules of layer 3, and {sysctl} is not 1, so the kernel does not apply them"
            ),
            Self::FilterFile { path, fault, .. } => {
                write!(f, "{path} {fault}: libvirtd would not start again")
            }
            Self::SecondWay(definition, way) => {
                write!(f, "{definition} has another way out: {way}")
            }
            Self::Unseen(what) => write!(f, "not looked at: {what}"),
            Self::Leaked(_)
            | Self::Blocked(_)
            | Self::Proven { .. }
            | Self::Counted { .. }
            | Self::Unproven(_) => proof(self, f),
            Self::Closed => f.write_str("lanfence has closed its device, and nothing passes"),
            Self::Stripped | Self::Recreated(_) | Self::Unnamed(_) => asked_for(self, f),
        }
    }
}

/// What libvirt believes to be bound.
fn binding(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        Reason::NoBinding => {
            f.write_str("libvirt has no binding for it, though its definition has a filter")
        }
        Reason::OtherBinding(what) => {
            write!(f, "libvirt's binding is not that of its definition: {what}")
        }
        Reason::StaleBinding(device) => write!(
            f,
            "libvirt has a binding for {device}, which is gone: no guest starts whose device gets that name"
        ),
        _ => Ok(()),
    }
}

/// How it is known that it is to be fenced.
fn asked_for(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        Reason::Stripped => f.write_str(
            "lanfence has fenced it, and none of its definitions has the policy's filter any more",
        ),
        Reason::Recreated(mac) => write!(
            f,
            "it is in the place of {mac}, which lanfence has fenced and which is gone"
        ),
        Reason::Unnamed(network) => write!(
            f,
            "it is on {network}, which the policy fences, and nobody has fenced it"
        ),
        _ => Ok(()),
    }
}

/// What a proof in place came to.
fn proof(reason: &Reason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        Reason::Leaked(what) => write!(
            f,
            "sent through it in place, these frames came out: {}",
            what.join(", ")
        ),
        Reason::Blocked(what) => write!(
            f,
            "sent through it in place, these frames were stopped: {}",
            what.join(", ")
        ),
        Reason::Proven { stopped, passed } => write!(
            f,
            "proven in place: {stopped} frames were stopped that must be, and {passed} passed that must"
        ),
        Reason::Counted {
            to_guest,
            from_guest,
        } => {
            let count = |count: &Option<u64>| count.map_or("no".to_owned(), |n| n.to_string());
            write!(
                f,
                "its own rules counted {} frames to the guest and {} from it meanwhile",
                count(to_guest),
                count(from_guest)
            )
        }
        Reason::Unproven(why) => write!(f, "not proven in place: {why}"),
        _ => Ok(()),
    }
}
