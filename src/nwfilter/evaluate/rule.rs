//! A rule as the kernel sees it: sets of values, one field each.

use super::field::{Field, Fields};
use super::{Backend, CompileError, Portability, RuleId};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Action;
use crate::nwfilter::shorten::shorten;

/// One test: the field's value is in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What is tested.
    pub field: Field,
    /// The values that pass.
    pub set: IntervalSet,
}

/// What a layer-3 rule wants of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing.
    Any,
    /// That the frame may start one.
    New,
    /// That it belongs to one already.
    Known,
}

/// One rule of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledRule {
    /// Which rule of which filter.
    pub origin: RuleId,
    /// What happens to a frame that matches.
    pub action: Action,
    /// All must pass.
    pub matches: Vec<Match>,
    /// What it wants of the connection.
    pub state: ConnectionState,
    /// A test of it that is not modelled, in words.
    pub undecided: Option<String>,
    /// What of it not every release of iptables takes.
    pub portability: Vec<Portability>,
}

impl CompiledRule {
    /// Whether the frame passes every test that is modelled.
    pub fn is_match(&self, fields: &Fields) -> bool {
        self.matches
            .iter()
            .all(|test| test.set.contains(fields.get(test.field)))
    }
}

impl CompiledRule {
    /// Whether it comes to look at ports or types of a frame whose header for
    /// them is cut: all its other matches pass.
    pub fn looks_into_cut(&self, fields: &Fields) -> bool {
        let inside = |test: &&Match| {
            use Field::{DstPort, IcmpCode, IcmpType, SrcPort};
            matches!(test.field, SrcPort | DstPort | IcmpType | IcmpCode)
        };
        self.matches.iter().any(|test| inside(&test))
            && self
                .matches
                .iter()
                .filter(|test| !inside(test))
                .all(|test| test.set.contains(fields.get(test.field)))
    }
}

/// Tests under construction.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "as the rule has them that it becomes"
)]
pub struct MatchBuilder {
    /// The matches so far.
    pub matches: Vec<Match>,
    /// A test that is not modelled.
    pub undecided: Option<String>,
    /// What not every release of iptables takes.
    pub portability: Vec<Portability>,
}

impl MatchBuilder {
    /// Adds a test.
    pub fn add(&mut self, field: Field, set: IntervalSet) {
        self.matches.push(Match { field, set });
    }

    /// Adds a test, turned round where it is negated. A field that the frame
    /// does not have passes neither.
    pub fn signed(&mut self, field: Field, set: &IntervalSet, negated: bool) {
        let set = if negated {
            field.all().minus(set)
        } else {
            set.clone()
        };
        self.add(field, set);
    }

    /// Notes a test that is not modelled.
    pub fn undecided(&mut self, what: impl Into<String>) {
        self.undecided.get_or_insert_with(|| what.into());
    }

    /// Source and destination exchanged.
    #[must_use]
    pub fn swapped(&self) -> Self {
        let mut out = self.clone();
        for test in &mut out.matches {
            test.field = test.field.opposite();
        }
        out
    }
}

/// The attributes of one rule, by name.
pub struct ResolvedElement<'a> {
    /// The protocol element that they stand in.
    pub protocol: &'a str,
    /// Of which rule, for messages.
    pub origin: &'a RuleId,
    /// All of them.
    pub all: &'a [super::expand::ResolvedAttribute],
    /// The back end that translates it.
    pub backend: Backend,
}

impl<'a> ResolvedElement<'a> {
    /// The attribute with this name.
    pub fn get(&self, name: &str) -> Option<&'a super::expand::ResolvedAttribute> {
        self.all.iter().find(|attribute| attribute.name == name)
    }

    /// Its value.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).map(|attribute| attribute.value.as_str())
    }

    /// Whether its value came from a variable, which libvirt hands on as it is.
    pub fn is_verbatim(&self, name: &str) -> bool {
        self.get(name).is_some_and(|attribute| attribute.variable)
    }

    /// Whether its value came from a variable and is hexadecimal.
    pub fn is_hex(&self, name: &str) -> bool {
        let value = self.value(name).filter(|_| self.is_verbatim(name));
        value.is_some_and(|value| value.starts_with("0x") || value.starts_with("0X"))
    }

    /// Whether any of the names stands there.
    pub fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    /// An attribute whose value came from a variable and has a leading zero. ebtables up to
    /// 1.8.10, and iptables for TCP and SCTP, read such a port as octal, ebtables from 1.8.11
    /// on a VLAN's number (measured).
    pub fn octal(&self) -> Option<&'a str> {
        let octal = |text: &str| {
            text.len() > 1 && text.starts_with('0') && text.bytes().all(|c| c.is_ascii_digit())
        };
        let mut verbatim = self.all.iter().filter(|attribute| attribute.variable);
        let found = verbatim.find(|attribute| octal(&attribute.value));
        found.map(|attribute| attribute.name.as_str())
    }

    /// An attribute that stands there more than once: libvirt keeps one of them.
    pub fn repeated(&self) -> Option<&'a str> {
        let mut rest = self.all;
        while let [first, tail @ ..] = rest {
            if tail.iter().any(|other| other.name == first.name) {
                return Some(&first.name);
            }
            rest = tail;
        }
        None
    }

    /// That the rule cannot be defined or bound.
    pub fn refused(&self, what: impl Into<String>) -> CompileError {
        CompileError::Refused {
            origin: self.origin.clone(),
            what: what.into(),
        }
    }

    /// Whether the nftables back end translates it.
    pub fn nftables(&self) -> bool {
        self.backend == Backend::Nftables
    }

    /// A value read by `read`, or the error that names the attribute.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<(T, bool)>, CompileError> {
        let Some(attribute) = self.get(name) else {
            return Ok(None);
        };
        let value = read(&attribute.value).ok_or_else(|| {
            self.refused(format!(
                "`{}` cannot be the {name} of <{}>",
                shorten(&attribute.value),
                self.protocol
            ))
        })?;
        Ok(Some((value, attribute.negated)))
    }
}
