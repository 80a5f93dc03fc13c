//! Filters that libvirt would refuse to bind.

use crate::nwfilter::model::RuleId;
use crate::nwfilter::shorten::shorten;
use thiserror::Error;

/// A tree of filters that cannot be bound with these variables.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CompileError {
    /// A reference to a filter that is not there.
    #[error(
        "filter {from} refers to {to}, which is neither given nor shipped with libvirt here\n  cure: give its file too"
    )]
    Missing {
        /// The filter with the reference.
        from: String,
        /// The missing filter.
        to: String,
    },
    /// References in a circle.
    #[error("the filters refer to each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// References that lead too far down.
    #[error("filter {from} refers to others through more than {limit} levels")]
    TooDeep {
        /// The filter with the reference that is too deep.
        from: String,
        /// The limit.
        limit: usize,
    },
    /// A variable that nothing sets.
    #[error("{origin} uses ${name}, which nothing sets\n  cure: give it with --param {name}=VALUE", name = shorten(.name))]
    Unset {
        /// The rule.
        origin: RuleId,
        /// The variable without `$`.
        name: String,
    },
    /// The guest's address, which libvirt may not learn.
    #[error(
        "{origin} uses $IP, which nothing gives, and CTRL_IP_LEARNING={learning} does not let libvirt learn it: libvirt refuses to bind the filter\n  cure: give it with --param IP=ADDRESS, or let libvirt learn it with --param CTRL_IP_LEARNING=dhcp"
    )]
    NotLearnt {
        /// The rule.
        origin: RuleId,
        /// The value of the parameter.
        learning: String,
    },
    /// A value that begins with `$` and is no variable.
    #[error("{origin}: `{value}` is no variable: write $NAME, $NAME[@iterator] or $NAME[element]", value = shorten(.value))]
    Reference {
        /// The rule.
        origin: RuleId,
        /// The value.
        value: String,
    },
    /// Lists that advance together and are not equally long.
    #[error("{origin}: the lists {} advance together and have different lengths: libvirt refuses to bind the filter", .names.iter().map(|name| shorten(name)).collect::<Vec<_>>().join(", "))]
    Lengths {
        /// The rule.
        origin: RuleId,
        /// The variables.
        names: Vec<String>,
    },
    /// An element past the end of a list.
    #[error(
        "{origin}: ${name} has {length} values, so there is no ${name}[{index}]: libvirt refuses to bind the filter",
        name = shorten(.name)
    )]
    Element {
        /// The rule.
        origin: RuleId,
        /// The variable.
        name: String,
        /// The element asked for, from zero.
        index: usize,
        /// How many values there are.
        length: usize,
    },
    /// More rules than could ever be bound.
    #[error(
        "{origin}: the filter expands to more than {limit} rules; each takes libvirt some 15 ms\n  cure: use prefixes instead of lists of addresses"
    )]
    TooMany {
        /// The rule at which the limit was passed.
        origin: RuleId,
        /// The limit.
        limit: usize,
    },
    /// A value that ebtables or iptables refuses, so that libvirt cannot bind.
    #[error("{origin}: {what}: libvirt refuses to define or to bind the filter")]
    Refused {
        /// The rule.
        origin: RuleId,
        /// What is wrong.
        what: String,
    },
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit<'a> {
    /// A rule.
    Rule(&'a RuleId),
    /// The reference of a filter to another.
    Reference {
        /// The filter with the reference.
        from: &'a str,
        /// What it refers to; none where it is any of them.
        to: Option<&'a str>,
    },
}

impl CompileError {
    /// What it is about.
    pub fn culprit(&self) -> Culprit<'_> {
        match self {
            Self::Missing { from, to } => Culprit::Reference { from, to: Some(to) },
            Self::Cycle(names) => Culprit::Reference {
                from: &names[0],
                to: names.get(1).map(String::as_str),
            },
            Self::TooDeep { from, .. } => Culprit::Reference { from, to: None },
            Self::Unset { origin, .. }
            | Self::NotLearnt { origin, .. }
            | Self::Reference { origin, .. }
            | Self::Lengths { origin, .. }
            | Self::Element { origin, .. }
            | Self::TooMany { origin, .. }
            | Self::Refused { origin, .. } => Culprit::Rule(origin),
        }
    }
}
