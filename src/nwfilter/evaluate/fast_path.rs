//! The chains as straight code over 64-bit numbers, one for each EtherType:
//! what a decision costs is a walk over an array instead of over trees of sets.
//!
//! It decides what it can, which is nearly everything, and leaves the rest
//! (cut headers, rules that are not modelled, chains in random order, sets of
//! several intervals) to [`traverse`](super::traverse), which is the definition. A
//! property test holds the one against the other.

use super::chains::{Chains, Layer2Chains, RootStep};
use super::field::{ABSENT, COUNT, Field, Fields};
use super::parsed_frame::ParsedFrame;
use super::rule::{CompiledRule, ConnectionState, Match};
use super::tracking::may_start;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::Action;

/// EtherTypes with code of their own; every other shares the last.
const KINDS: [u128; 5] = [0x0800, 0x86dd, 0x0806, 0x8035, 0x8100];

/// Numbers of a frame: one for each field, and a second for the upper half of
/// each address.
const WIDTH: usize = COUNT + 2;
const SRC_HIGH: usize = COUNT;
const DST_HIGH: usize = COUNT + 1;

/// The number of a field that a frame does not have; above all that it can have.
const NONE: u64 = u64::MAX;

/// A test of one number.
#[derive(Debug, Clone, Copy)]
struct Check {
    /// Least number that passes.
    low: u64,
    /// How far above it numbers pass.
    span: u64,
    /// Position of the number.
    at: u8,
    /// Numbers pass that are there and not in the range.
    negated: bool,
}

impl Check {
    #[inline]
    fn passes(&self, numbers: &[u64; WIDTH]) -> bool {
        let number = numbers[usize::from(self.at)];
        let inside = number.wrapping_sub(self.low) <= self.span;
        inside != self.negated && !(self.negated && number == NONE)
    }
}

/// What follows where all checks of a step pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Accept,
    Drop,
    /// Goes on at a position; used for returns.
    Goto(u32),
    /// Accepts or drops what may start a connection; the definition decides the rest.
    New(bool),
    /// Goes on where the frame may start a connection; the definition decides the rest.
    Known,
    /// Goes on with the next step, as where a check fails.
    Nothing,
    /// The definition decides.
    Slow,
}

#[derive(Debug, Clone, Copy)]
struct Op {
    /// Its checks, from here …
    from: u32,
    /// … to here.
    to: u32,
    then: Then,
}

/// Code for one EtherType in one direction.
#[derive(Debug, Clone, Default)]
struct Code {
    ops: Vec<Op>,
    checks: Vec<Check>,
}

/// Code for every EtherType in one direction, layer 2 and layer 3.
#[derive(Debug, Clone, Default)]
struct DirectionCode {
    /// None where the definition decides everything.
    layer2: Option<[Code; KINDS.len() + 1]>,
    /// For IPv4 and IPv6; none where there is no rule.
    layer3: [Option<Code>; 2],
}

/// All code of a filter.
#[derive(Debug, Clone, Default)]
pub struct FastPath {
    from_guest: DirectionCode,
    to_guest: DirectionCode,
}

impl FastPath {
    /// Translates chains.
    pub fn of(chains: &Chains) -> Self {
        let direction =
            |layer: &Layer2Chains, v4: &[CompiledRule], v6: &[CompiledRule]| DirectionCode {
                layer2: layer.tied.is_empty().then(|| {
                    let kinds = KINDS.map(Some).into_iter().chain([None]);
                    let mut codes = kinds.map(|kind| layer2(layer, kind));
                    std::array::from_fn(|_| codes.next().expect("as many codes as kinds"))
                }),
                layer3: [(v4, 0), (v6, 1)]
                    .map(|(rules, kind)| (!rules.is_empty()).then(|| layer3(rules, KINDS[kind]))),
            };
        Self {
            from_guest: direction(
                &chains.from_guest,
                &chains.v4.from_guest,
                &chains.v6.from_guest,
            ),
            to_guest: direction(&chains.to_guest, &chains.v4.to_guest, &chains.v6.to_guest),
        }
    }

    /// Whether the frame passes; none where the definition must decide.
    /// `layer3` says whether there is a layer 3.
    pub fn decide(&self, seen: &ParsedFrame<'_>, from_guest: bool, layer3: bool) -> Option<bool> {
        let direction = if from_guest {
            &self.from_guest
        } else {
            &self.to_guest
        };
        let codes = direction.layer2.as_ref()?;
        let fields = &seen.layer2;
        let kind = fields.get(Field::EtherType);
        let at = KINDS
            .iter()
            .position(|known| *known == kind)
            .unwrap_or(KINDS.len());
        if at < KINDS.len() && fields.get(Field::Header) != 1 {
            return None;
        }
        let numbers = numbers_of(fields);
        if !codes[at].run(&numbers, seen)? || seen.malformed {
            return Some(false);
        }
        match direction.layer3.get(at) {
            // Whether connection tracking holds it back, the definition knows.
            Some(_) if fields.fragment && layer3 => None,
            Some(Some(code)) if layer3 => {
                let fields = seen.layer3();
                // A rule that looks into a header that is cut discards it.
                (!fields.cut_upper).then_some(())?;
                code.run(&numbers_of(&fields), seen)
            }
            _ => Some(true),
        }
    }
}

/// The fields as 64-bit numbers.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "addresses are taken in halves, the rest is smaller"
)]
fn numbers_of(fields: &Fields) -> [u64; WIDTH] {
    let mut out = [NONE; WIDTH];
    for field in Field::ALL {
        let value = fields.get(field);
        if value != ABSENT {
            out[field as usize] = value as u64;
        }
    }
    // An address may have the value that stands for a missing one.
    let (src, dst) = (fields.get(Field::Src), fields.get(Field::Dst));
    out[Field::Src as usize] = src as u64;
    out[Field::Dst as usize] = dst as u64;
    out[SRC_HIGH] = (src >> 64) as u64;
    out[DST_HIGH] = (dst >> 64) as u64;
    out
}

impl Code {
    #[inline]
    fn run(&self, numbers: &[u64; WIDTH], seen: &ParsedFrame<'_>) -> Option<bool> {
        let mut at = 0;
        let may_start = || may_start(seen.packet, &seen.layer3());
        while let Some(op) = self.ops.get(at) {
            at += 1;
            let checks = &self.checks[op.from as usize..op.to as usize];
            if !checks.iter().all(|check| check.passes(numbers)) {
                continue;
            }
            match op.then {
                Then::Accept => return Some(true),
                Then::Drop => return Some(false),
                Then::Goto(target) => at = target as usize,
                Then::New(accepts) if may_start() => return Some(accepts),
                Then::Known if may_start() => {}
                Then::Nothing => {}
                Then::New(_) | Then::Known | Then::Slow => return None,
            }
        }
        // The end of the last chain accepts.
        Some(true)
    }

    /// Adds a step for frames of one EtherType, unless none passes its matches.
    fn push(&mut self, matches: &[Match], kind: Option<u128>, then: Then) {
        if then == Then::Nothing {
            return;
        }
        let from = self.checks.len();
        let mut slow = false;
        for test in matches {
            match known(test, kind) {
                Some(true) => continue,
                Some(false) => {
                    self.checks.truncate(from);
                    return;
                }
                None => {}
            }
            match checks(test) {
                // The upper half of an IPv4 address is always 0.
                Some(checks) if kind == Some(KINDS[0]) => {
                    let lower = checks
                        .into_iter()
                        .filter(|check| usize::from(check.at) < COUNT);
                    self.checks.extend(lower);
                }
                Some(checks) => self.checks.extend(checks),
                None => slow = true,
            }
        }
        // What rejects most frames comes first.
        self.checks[from..].sort_by_key(|check| if check.negated { u64::MAX } else { check.span });
        let index = |at: usize| u32::try_from(at).expect("rules are bounded");
        self.ops.push(Op {
            from: index(from),
            to: index(self.checks.len()),
            then: if slow { Then::Slow } else { then },
        });
    }
}

/// What comes of a test where the EtherType decides it; headers are whole.
fn known(test: &Match, kind: Option<u128>) -> Option<bool> {
    match (test.field, kind) {
        (Field::EtherType, Some(kind)) => Some(test.set.contains(kind)),
        // Of types without code of their own these are not asked for.
        (Field::EtherType, None) => KINDS
            .iter()
            .any(|kind| test.set == IntervalSet::one(*kind))
            .then_some(false),
        (Field::Header, Some(_)) => Some(test.set.contains(1)),
        _ => None,
    }
}

/// A test as checks, all of which must pass; none where it takes more than that.
fn checks(test: &Match) -> Option<Vec<Check>> {
    let at = u8::try_from(test.field as usize).expect("few fields");
    let high = match test.field {
        Field::Src => Some(SRC_HIGH),
        Field::Dst => Some(DST_HIGH),
        _ => None,
    };
    if let [(low, high_end)] = test.set.intervals() {
        return halves(*low, *high_end, at, high);
    }
    // All but one interval.
    let [(first, before), (after, last)] = test.set.intervals() else {
        return None;
    };
    if high.is_some() || *first != 0 || *last != test.field.greatest() {
        return None;
    }
    let low = u64::try_from(before + 1).ok()?;
    let span = u64::try_from(after - before - 2).ok()?;
    Some(vec![Check {
        low,
        span,
        at,
        negated: true,
    }])
}

/// An interval as checks of one number, or of the halves of an address.
#[expect(clippy::cast_possible_truncation, reason = "halves are meant")]
fn halves(low: u128, end: u128, at: u8, high: Option<usize>) -> Option<Vec<Check>> {
    let check = |at: u8, low: u64, end: u64| Check {
        low,
        span: end - low,
        at,
        negated: false,
    };
    let Some(high) = high else {
        let (low, end) = (u64::try_from(low).ok()?, u64::try_from(end).ok()?);
        return Some(vec![check(at, low, end)]);
    };
    let high = u8::try_from(high).expect("few fields");
    let (low_high, end_high) = ((low >> 64) as u64, (end >> 64) as u64);
    let (low_low, end_low) = (low as u64, end as u64);
    if low_high == end_high {
        let upper = check(high, low_high, end_high);
        return Some(vec![check(at, low_low, end_low), upper]);
    }
    // A prefix of at most 64 bits leaves the lower half free.
    (low_low == 0 && end_low == u64::MAX).then(|| vec![check(high, low_high, end_high)])
}

fn layer2(layer: &Layer2Chains, kind: Option<u128>) -> Code {
    let mut code = Code::default();
    for step in layer.root.iter().flatten() {
        match step {
            RootStep::Rule(rule) => code.push(&rule.matches, kind, effect(rule, None)),
            RootStep::Jump(at) => sub_chain(&mut code, layer, *at, kind),
        }
    }
    code
}

/// A sub-chain in the place of the jump to it.
fn sub_chain(code: &mut Code, layer: &Layer2Chains, at: usize, kind: Option<u128>) {
    let sub = &layer.subs[at];
    let guard = sub.guard.as_slice();
    // A guard that the EtherType does not decide stands before every step.
    let (mut entered, mut open) = (true, Vec::new());
    for test in guard {
        match known(test, kind) {
            Some(true) => {}
            Some(false) => entered = false,
            None => open.push(test.clone()),
        }
    }
    if !entered {
        return;
    }
    let start = code.ops.len();
    // Where the chain ends is known only after it was written; patched below.
    let behind = u32::MAX;
    for rule in &sub.rules {
        let matches = [open.as_slice(), &rule.matches].concat();
        code.push(&matches, kind, effect(rule, Some(behind)));
    }
    if layer.end_accepts {
        code.push(&open, kind, Then::Accept);
    }
    let end = u32::try_from(code.ops.len()).expect("rules are bounded");
    for op in &mut code.ops[start..] {
        if op.then == Then::Goto(behind) {
            op.then = Then::Goto(end);
        }
    }
}

/// What a layer-2 rule does; `behind` is where a return goes, none in the root chain.
fn effect(rule: &CompiledRule, behind: Option<u32>) -> Then {
    if rule.undecided.is_some() {
        return Then::Slow;
    }
    match (rule.action, behind) {
        (Action::Drop | Action::Reject, _) => Then::Drop,
        (Action::Return, Some(behind)) => Then::Goto(behind),
        // A return from the root chain leaves libvirt's rules.
        (Action::Accept | Action::Return, _) => Then::Accept,
        // The next step decides.
        (Action::Continue, _) => Then::Nothing,
    }
}

fn layer3(rules: &[CompiledRule], kind: u128) -> Code {
    let mut code = Code::default();
    for rule in rules {
        let accepts = !matches!(rule.action, Action::Drop | Action::Reject);
        let then = match rule.state {
            ConnectionState::Known => Then::Known,
            _ if rule.undecided.is_some() => Then::Slow,
            _ if rule.action == Action::Continue && rule.state == ConnectionState::Any => {
                Then::Nothing
            }
            _ if rule.action == Action::Continue => Then::Known,
            ConnectionState::New => Then::New(accepts),
            ConnectionState::Any if accepts => Then::Accept,
            ConnectionState::Any => Then::Drop,
        };
        code.push(&rule.matches, Some(kind), then);
    }
    code
}

#[cfg(test)]
mod tests;
