//! One rule as the kernel's netlink messages have it, read as far as a watcher needs it.

use crate::host::links;
use crate::host::netlink::{Attributes, text};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Attributes of the kernel's rules (linux/netfilter/nf_tables.h).
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
/// What `meta` loads of a frame's port: its number, and behind both of those its name.
const IIF: u32 = 4;
const OIF: u32 = 5;
const OIFNAME: u32 = 7;
/// Verdicts of the kernel.
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const CONTINUE: i32 = -1;
const JUMP: i32 = -3;
const GOTO: i32 = -4;

/// Where a rule sends a frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// On to the next rule.
    Next,
    /// It is dropped.
    Drop,
    /// Somewhere else: it is accepted, returns, or is changed by a target.
    Elsewhere,
    /// To another chain of the table.
    Chain(String),
    /// To the chain that a map of the table has for it.
    Map(String),
}

/// A name that a rule compares an interface with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The whole name.
    Exactly(String),
    /// The beginning of the name.
    Prefix(String),
}

impl Pattern {
    /// Whether an interface of that name is meant.
    pub fn matches(&self, interface: &str) -> bool {
        match self {
            Self::Exactly(name) => name == interface,
            Self::Prefix(start) => interface.starts_with(start.as_str()),
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it matches and does, counters and the names of chains left out.
    pub print: u64,
    /// Where it sends a frame that it matches.
    pub verdict: Verdict,
    /// The name of the port that a frame comes from or goes to, where it compares one.
    pub interface: Option<Pattern>,
}

impl Rule {
    /// Reads the list of a rule's expressions.
    pub fn of(expressions: &[u8]) -> Self {
        let mut print = DefaultHasher::new();
        let (mut verdict, mut interface) = (Verdict::Next, None);
        // The register that a port's name or number has been loaded into, and which of both.
        let (mut port_in, mut is_number) = (None, false);
        for (_, expression) in Attributes::within(expressions) {
            let expression = Attributes::within(expression);
            let kind = expression
                .find(EXPRESSION_NAME)
                .map(text)
                .unwrap_or_default();
            let data = expression.find(EXPRESSION_DATA).unwrap_or_default();
            let fields = Attributes::within(data);
            match kind.as_str() {
                // Counters change with every frame.
                "counter" => continue,
                "meta" if matches!(fields.number(2), Some(IIF..=OIFNAME)) => {
                    port_in = fields.number(1);
                    is_number = matches!(fields.number(2), Some(IIF | OIF));
                }
                "cmp" if port_in.is_some() && fields.number(1) == port_in => {
                    interface = pattern(&fields, is_number).or(interface);
                }
                "immediate" if fields.number(1) == Some(0) => {
                    verdict = immediate(&fields);
                    kind.hash(&mut print);
                    continue;
                }
                "lookup" if fields.number(3) == Some(0) => {
                    verdict = Verdict::Map(fields.text(1).unwrap_or_default());
                }
                // An extension of iptables or ebtables that decides by itself.
                "target" | "queue" | "reject" | "fwd" | "dup" | "nat" | "redir" => {
                    verdict = Verdict::Elsewhere;
                }
                _ => {}
            }
            (&kind, data).hash(&mut print);
        }
        if !matches!(verdict, Verdict::Chain(_)) {
            verdict.hash(&mut print);
        }
        Self {
            print: print.finish(),
            verdict,
            interface,
        }
    }

    /// Whether it can send frames of the interface past the rules behind it.
    pub fn can_bypass(&self, interface: &str) -> bool {
        let meant = self
            .interface
            .as_ref()
            .is_none_or(|it| it.matches(interface));
        meant && !matches!(self.verdict, Verdict::Next | Verdict::Drop)
    }
}

/// The name of a comparison for equality; none for a number that no device has.
fn pattern(comparison: &Attributes<'_>, is_number: bool) -> Option<Pattern> {
    const EQUAL: u32 = 0;
    if comparison.number(2) != Some(EQUAL) {
        return None;
    }
    let value = Attributes::within(comparison.find(3)?).find(1)?;
    if is_number {
        let index = u32::from_ne_bytes(*value.first_chunk()?);
        return links::name_of(index).map(Pattern::Exactly);
    }
    // A name that is compared whole has its zero with it.
    Some(if value.contains(&0) {
        Pattern::Exactly(text(value))
    } else {
        Pattern::Prefix(text(value))
    })
}

/// The verdict that an `immediate` expression loads.
fn immediate(fields: &Attributes<'_>) -> Verdict {
    let data = Attributes::within(fields.find(2).unwrap_or_default());
    verdict(&Attributes::within(data.find(2).unwrap_or_default()))
}

/// A verdict: its code, and the chain that it leads to.
pub fn verdict(fields: &Attributes<'_>) -> Verdict {
    match fields.number(1).map(u32::cast_signed) {
        Some(DROP) => Verdict::Drop,
        Some(CONTINUE) => Verdict::Next,
        Some(JUMP | GOTO) => Verdict::Chain(fields.text(2).unwrap_or_default()),
        Some(ACCEPT | _) | None => Verdict::Elsewhere,
    }
}
