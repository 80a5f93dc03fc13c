//! The words for what a rule does and for which frames it is.

use std::fmt;

/// What happens to a frame that matches a rule.
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

/// Which frames a rule is for, from the guest's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleDirection {
    /// Frames to the guest.
    In,
    /// Frames from the guest.
    Out,
    /// Both, source and destination exchanged for those from the guest.
    InOut,
}

/// Gives an enum its words: `word`, `from_word`, `WORDS` and `Display`.
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
pub(super) use words;

words!(Action { Accept = "accept", Drop = "drop", Reject = "reject", Return = "return", Continue = "continue" });
words!(RuleDirection { In = "in", Out = "out", InOut = "inout" });
