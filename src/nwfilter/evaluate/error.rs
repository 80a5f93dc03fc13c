//! Filters that libvirt would refuse to bind.

use super::Origin;
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
    /// A variable that nothing sets.
    #[error("{origin} uses ${name}, which nothing sets\n  cure: give it with --param {name}=VALUE")]
    Unset {
        /// The rule.
        origin: Origin,
        /// The variable without `$`.
        name: String,
    },
    /// A value that begins with `$` and is no variable.
    #[error("{origin}: `{value}` is no variable: write $NAME, $NAME[@iterator] or $NAME[element]")]
    Reference {
        /// The rule.
        origin: Origin,
        /// The value.
        value: String,
    },
    /// Lists that advance together and are not equally long.
    #[error("{origin}: the lists {} advance together and have different lengths: libvirt refuses to bind the filter", .names.join(", "))]
    Lengths {
        /// The rule.
        origin: Origin,
        /// The variables.
        names: Vec<String>,
    },
    /// An element past the end of a list.
    #[error(
        "{origin}: ${name} has {length} values, so there is no ${name}[{index}]: libvirt refuses to bind the filter"
    )]
    Element {
        /// The rule.
        origin: Origin,
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
        origin: Origin,
        /// The limit.
        limit: usize,
    },
    /// A value that ebtables or iptables refuses, so that libvirt cannot bind.
    #[error("{origin}: {what}: libvirt refuses to define or to bind the filter")]
    Refused {
        /// The rule.
        origin: Origin,
        /// What is wrong.
        what: String,
    },
}
