//! A filter as data.

use std::fmt;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Name, also that of libvirt's file.
    pub name: String,
    /// Chain; `root` where the file names none.
    pub chain: String,
    /// Priority of the chain in its parent, from -1000 to 1000.
    pub priority: Option<i16>,
    /// UUID in canonical form.
    pub uuid: Option<String>,
    /// Rules and references in document order.
    pub entries: Vec<Entry>,
}

/// What a filter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A rule.
    Rule(Rule),
    /// A reference to another filter.
    Reference(FilterRef),
}

/// A reference with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRef {
    /// Name of the other filter.
    pub filter: String,
    /// Parameters, in document order; a repeated name makes a list.
    pub parameters: Vec<(String, String)>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens to a frame that matches.
    pub action: Action,
    /// Which frames it looks at.
    pub direction: Direction,
    /// Order within its chain, from -1000 to 1000; libvirt takes 500 where there is none.
    pub priority: Option<i16>,
    /// Whether layer-3 rules look at connection state.
    pub statematch: bool,
    /// Protocol elements, all of which must match; none matches every frame.
    pub elements: Vec<Element>,
}

/// A protocol element of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name: `ip`, `arp`, `tcp` …
    pub protocol: String,
    /// False for `match='no'`: each attribute is negated by itself.
    pub positive: bool,
    /// Attributes in document order.
    pub attributes: Vec<(String, String)>,
}

/// What happens to a frame that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Passes this layer.
    Accept,
    /// Is discarded.
    Drop,
    /// Is discarded; at layer 3 the sender is told.
    Reject,
    /// Leaves the chain.
    Return,
    /// Goes on with the next rule.
    Continue,
}

/// Which frames a rule looks at, from the guest's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the guest.
    In,
    /// From the guest.
    Out,
    /// Both, source and destination exchanged for those from the guest.
    InOut,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every word of the language for it.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// As libvirt spells it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads libvirt's spelling.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(Action { Accept = "accept", Drop = "drop", Reject = "reject", Return = "return", Continue = "continue" });
words!(Direction { In = "in", Out = "out", InOut = "inout" });

impl Filter {
    /// How many rules it has itself.
    pub fn rule_count(&self) -> usize {
        self.rules().count()
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Rule(rule) => Some(rule),
            Entry::Reference(_) => None,
        })
    }

    /// Names of the variables that its rules use, without `$` and iterator.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let attributes = self
            .rules()
            .flat_map(|rule| &rule.elements)
            .flat_map(|element| &element.attributes);
        attributes.filter_map(|(_, value)| value.strip_prefix('$')?.split('[').next())
    }

    /// Parameters that it sets on the filters it refers to.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.all_parameters().map(|(name, _)| name)
    }

    /// The same with their values.
    pub fn all_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Rule(_) => None,
                Entry::Reference(reference) => Some(&reference.parameters),
            })
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Names of the filters it refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Rule(_) => None,
            Entry::Reference(reference) => Some(reference.filter.as_str()),
        })
    }
}
