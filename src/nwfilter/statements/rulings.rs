//! All frames cut into regions of one statement each, and filters held against them.

use super::clause::Clause;
use super::places::Places;
use super::statement::{Ruling, Statement};
use super::{inbound4, inbound6, link, outbound4, outbound6};
use crate::frame::ethertype;
use crate::nwfilter::evaluate::field::{Field, Fields, Reader};
use crate::nwfilter::evaluate::{Compiled, Decision, Evaluation, Way};
use crate::nwfilter::reach::{
    FrameKind, Region, RegionPart, frame_kinds, headless_kinds, random_order, visit, witness,
};
use std::ops::ControlFlow;

/// Most rules that are held against parts of regions, for one filter: some seconds' work. The
/// generated filter needs some ten thousand.
const BUDGET: usize = 4_000_000;

/// Frames of one kind that fall under one statement.
#[derive(Debug, Clone)]
struct RuledRegion {
    statement: Statement,
    /// Which of the kinds.
    kind: usize,
    region: Region,
}

/// What a policy says of all frames. It does not depend on a filter: make it once.
#[derive(Debug, Clone)]
pub struct Rulings {
    kinds: Vec<FrameKind>,
    regions: Vec<RuledRegion>,
    usual: Vec<(Field, u128)>,
}

/// A statement with what a filter makes of it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The statement.
    pub statement: Statement,
    /// Frames that the filter treats otherwise than it says, one of each kind.
    pub wrong: Vec<Wrong>,
    /// Why there may be more; none where there are no others.
    pub inexact: Option<String>,
}

impl Held {
    /// Whether every frame is treated as the statement says.
    pub fn is_proven(&self) -> bool {
        self.wrong.is_empty() && self.inexact.is_none()
    }
}

/// A frame that a filter treats otherwise than the policy says: one that leaks where the
/// statement forbids, one that is blocked where it requires.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Name of its kind: `IPv4 tcp` …
    pub kind: &'static str,
    /// The frame.
    pub frame: Vec<u8>,
    /// What the evaluator says of it.
    pub evaluation: Evaluation,
}

/// A statement that leaves it open whether its frames pass, with a frame that two filters
/// treat differently.
#[derive(Debug, Clone)]
pub struct OpenDifference {
    /// The statement.
    pub statement: Statement,
    /// One of its frames.
    pub frame: Vec<u8>,
}

impl Rulings {
    /// Cuts all frames as a policy says. `usual` are values that examples take where they can.
    pub fn of(places: &Places, usual: &[(Field, u128)]) -> Self {
        let mut out = Self {
            kinds: frame_kinds().into_iter().chain(headless_kinds()).collect(),
            regions: Vec::new(),
            usual: usual.to_vec(),
        };
        let foreign = Field::SrcMac.all().minus(&places.guest);
        let foreign = Clause::of(Statement::ForeignSourceMac).with(Field::SrcMac, &foreign);
        let from_guest = |clauses: Vec<Clause>| [vec![foreign.clone()], clauses].concat();
        let all = [
            (ethertype::IPV4, from_guest(outbound4::clauses(places))),
            (ethertype::IPV4, inbound4::clauses(places)),
            (ethertype::IPV6, from_guest(outbound6::clauses(places))),
            (ethertype::IPV6, inbound6::clauses(places)),
            (0, from_guest(link::outbound(places))),
            (0, link::inbound(places)),
        ];
        for (family, clauses) in all {
            for at in 0..out.kinds.len() {
                let kind = out.kinds[at].region.get(Field::EtherType).first();
                let kind = kind
                    .filter(|kind| [0x0800, 0x86dd].contains(kind))
                    .unwrap_or(0);
                if kind == u128::from(family) {
                    out.cut(at, &clauses);
                }
            }
        }
        out.regions.sort_by_key(|ruled| ruled.statement);
        out
    }

    /// Cuts the frames of a kind.
    fn cut(&mut self, at: usize, clauses: &[Clause]) {
        let kind = &self.kinds[at];
        let extensions = kind.extensions;
        let mut left = vec![kind.region.clone()];
        let mut found = Vec::new();
        for clause in clauses {
            let statement = under(clause, extensions);
            let mut rest = Vec::new();
            for region in left {
                let Some(region) = real(kind, region) else {
                    continue;
                };
                match region
                    .matching(&clause.tests)
                    .and_then(|part| real(kind, part))
                {
                    None => rest.push(region),
                    Some(part) => {
                        rest.extend(region.failing(&clause.tests, Field::Dst));
                        found.push(RuledRegion {
                            statement,
                            kind: at,
                            region: part,
                        });
                    }
                }
            }
            left = merged(rest);
        }
        for statement in Statement::all() {
            let regions = found.iter().filter(|ruled| ruled.statement == statement);
            let regions = merged(regions.map(|ruled| ruled.region.clone()).collect());
            self.regions
                .extend(regions.into_iter().map(|region| RuledRegion {
                    statement,
                    kind: at,
                    region,
                }));
        }
    }

    /// The statement that a frame falls under; none where its headers are cut off or broken.
    pub fn statement(&self, frame: &[u8], way: Way) -> Option<Statement> {
        let fields = Fields::read(frame, Reader::Ebtables)?;
        let has = |region: &Region| {
            let mut all = Field::ALL.iter();
            all.all(|field| region.get(*field).contains(fields.get(*field)))
        };
        let mut ruled = self.regions.iter();
        let found = ruled.find(|ruled| ruled.statement.way() == way && has(&ruled.region));
        found.map(|ruled| ruled.statement)
    }

    /// Whether the policy does not forbid a frame that is as this one, but for some values of
    /// these fields. What is not a frame that any region has is none of those.
    pub fn is_let_with(&self, frame: &[u8], way: Way, besides: &[Field]) -> bool {
        let Some(fields) = Fields::read(frame, Reader::Ebtables) else {
            return false;
        };
        let has = |region: &Region| {
            let others = Field::ALL.iter().filter(|field| !besides.contains(field));
            let mut others = others.copied();
            others.all(|field| region.get(field).contains(fields.get(field)))
        };
        let mut ruled = self.regions.iter();
        ruled.any(|ruled| {
            let statement = ruled.statement;
            let lets = statement.way() == way && statement.ruling() != Ruling::Forbidden;
            lets && has(&ruled.region)
        })
    }

    /// How many regions there are.
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Holds a filter against every statement that requires or forbids: all of them, in their order,
    /// whether they are proven or not.
    pub fn hold(&self, filter: &Compiled) -> Vec<Held> {
        let mut looks = 0;
        let statements = self.regions.chunk_by(|a, b| a.statement == b.statement);
        let backend = filter.backend();
        let ruled = statements.filter(|regions| regions[0].statement.is_ruled(backend));
        ruled
            .map(|regions| {
                let mut held = Held {
                    statement: regions[0].statement,
                    wrong: Vec::new(),
                    inexact: None,
                };
                for ruled in regions {
                    self.hold_region(filter, ruled, &mut looks, &mut held);
                }
                held
            })
            .collect()
    }

    fn hold_region(
        &self,
        filter: &Compiled,
        ruled: &RuledRegion,
        looks: &mut usize,
        held: &mut Held,
    ) {
        let kind = &self.kinds[ruled.kind];
        if held.wrong.iter().any(|wrong| wrong.kind == kind.name) {
            return;
        }
        let (way, expected) = (ruled.statement.way(), expected(ruled.statement));
        if let Some(why) = random_order(filter, way, &ruled.region) {
            held.inexact.get_or_insert(why);
        }
        visit(filter, way, &ruled.region, (looks, BUDGET), &mut |part| {
            let RegionPart { region, decision } = part;
            if Some(&decision) == expected.as_ref() {
                return ControlFlow::Continue(());
            }
            if let Decision::Undecided(why) = decision {
                held.inexact.get_or_insert(why);
                return ControlFlow::Continue(());
            }
            let Some(region) = kind.real(&region) else {
                return ControlFlow::Continue(());
            };
            let Some(frame) = witness(&region, &self.usual) else {
                let why = format!("no example of {} could be built", kind.name);
                held.inexact.get_or_insert(why);
                return ControlFlow::Continue(());
            };
            let evaluation = filter.evaluate(&frame, way);
            if evaluation.decision != decision {
                let why = match &evaluation.decision {
                    Decision::Undecided(why) => why.clone(),
                    _ => format!("an example of {} is evaluated otherwise", kind.name),
                };
                held.inexact.get_or_insert(why);
                return ControlFlow::Continue(());
            }
            held.wrong.push(Wrong {
                kind: kind.name,
                frame,
                evaluation,
            });
            ControlFlow::Break(())
        });
    }

    /// The open statements whose frames two filters treat differently. With two filters that
    /// both keep the policy, these are all the ways in which they differ.
    pub fn open_differences(&self, a: &Compiled, b: &Compiled) -> Vec<OpenDifference> {
        self.differences_of(a, b, |statement| statement.ruling() == Ruling::Open)
    }

    /// Every statement whose frames two filters treat differently, whatever it says of them.
    pub fn differences(&self, a: &Compiled, b: &Compiled) -> Vec<OpenDifference> {
        self.differences_of(a, b, |_| true)
    }

    fn differences_of(
        &self,
        a: &Compiled,
        b: &Compiled,
        wanted: impl Fn(Statement) -> bool,
    ) -> Vec<OpenDifference> {
        let mut looks = 0;
        let mut out: Vec<OpenDifference> = Vec::new();
        for ruled in &self.regions {
            let statement = ruled.statement;
            let known = out.last().is_some_and(|last| last.statement == statement);
            if wanted(statement) && !known {
                let frame = self.difference(ruled, a, b, &mut looks);
                out.extend(frame.map(|frame| OpenDifference { statement, frame }));
            }
        }
        out
    }

    fn difference(
        &self,
        ruled: &RuledRegion,
        a: &Compiled,
        b: &Compiled,
        looks: &mut usize,
    ) -> Option<Vec<u8>> {
        let (kind, way) = (&self.kinds[ruled.kind], ruled.statement.way());
        let mut parts = Vec::new();
        visit(a, way, &ruled.region, (looks, BUDGET), &mut |part| {
            parts.push(part);
            ControlFlow::Continue(())
        });
        let mut found = None;
        for part in parts {
            visit(b, way, &part.region, (looks, BUDGET), &mut |other| {
                if part.decision == other.decision {
                    return ControlFlow::Continue(());
                }
                let region = kind.real(&other.region);
                let frame = region.and_then(|region| witness(&region, &self.usual));
                let differs = |frame: &Vec<u8>| a.decide(frame, way) != b.decide(frame, way);
                match frame.filter(differs) {
                    Some(frame) => {
                        found = Some(frame);
                        ControlFlow::Break(())
                    }
                    None => ControlFlow::Continue(()),
                }
            });
            if found.is_some() {
                break;
            }
        }
        found
    }
}

/// What must become of a statement's frames; none where either may.
fn expected(statement: Statement) -> Option<Decision> {
    match statement.ruling() {
        Ruling::Required => Some(Decision::Accept),
        Ruling::Forbidden => Some(Decision::Drop),
        Ruling::Open => None,
    }
}

/// The statement that a clause stands for. What requires packets does not ask for extension
/// headers in them, unless it names them.
fn under(clause: &Clause, extensions: bool) -> Statement {
    let named = clause
        .tests
        .iter()
        .any(|test| test.field == Field::NextHeader);
    match (clause.statement.ruling(), clause.statement.way()) {
        (Ruling::Required, Way::FromGuest) if extensions && !named => Statement::Extensions6,
        (Ruling::Required, Way::ToGuest) if extensions && !named => Statement::Extensions6In,
        _ => clause.statement,
    }
}

/// A region with what hangs together made to agree; none where no frame is left.
fn real(kind: &FrameKind, region: Region) -> Option<Region> {
    let region = kind.agreeing(region);
    let empty = Field::ALL.iter().any(|field| region.get(*field).is_empty());
    (!empty).then_some(region)
}

/// Regions that differ in one field only, as one.
fn merged(mut regions: Vec<Region>) -> Vec<Region> {
    let mut out: Vec<Region> = Vec::with_capacity(regions.len());
    'next: while let Some(region) = regions.pop() {
        for at in 0..out.len() {
            if let Some(both) = out[at].joined(&region) {
                out.swap_remove(at);
                regions.push(both);
                continue 'next;
            }
        }
        out.push(region);
    }
    out
}
