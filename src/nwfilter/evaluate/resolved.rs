//! A rule's attributes after its variables are replaced.

use super::error::CompileError;
use crate::nwfilter::model::RuleId;
use crate::nwfilter::shorten::shorten;
use crate::nwfilter::vocabulary::Protocol;

/// An attribute with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAttribute {
    /// Name.
    pub name: String,
    /// Value, variables replaced.
    pub value: String,
    /// Whether its element says `match='no'`.
    pub negated: bool,
    /// Whether the value came from a variable, which libvirt passes on verbatim.
    pub variable: bool,
}

/// A rule's protocol element with all its attributes.
pub struct ResolvedElement<'a> {
    /// The protocol element that they stand in.
    pub protocol: Protocol,
    /// Of which rule, for messages.
    pub origin: &'a RuleId,
    /// All of them.
    pub all: &'a [ResolvedAttribute],
}

impl<'a> ResolvedElement<'a> {
    /// The attribute with this name.
    pub fn get(&self, name: &str) -> Option<&'a ResolvedAttribute> {
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
    /// on a VLAN's number (measured: docs/measurements.md#M4).
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

    /// A value read by `read`, and whether it is negated.
    ///
    /// # Errors
    /// If `read` cannot read the value; the error names the attribute.
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
