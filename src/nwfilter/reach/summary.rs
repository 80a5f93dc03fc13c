//! What passes a filter, kind by kind, in as few words as are true.

use super::cover::{Cover, cover, layer2_stops, tidy};
use super::describe::{label, said};
use super::frame_kinds::{FrameKind, frame_kinds, headless_kinds};
use super::random_order::random_order;
use super::region::Region;
use crate::frame::{ethertype, protocol};
use crate::nwfilter::evaluate::field::{Field, Fields};
use crate::nwfilter::evaluate::{Backend, Compiled, RootStep, Way};
use crate::nwfilter::intervals::IntervalSet;

/// Fields that only say which parts a frame has; those of a kind have the same.
const PARTS: [Field; 4] = [
    Field::Header,
    Field::ArpMacs,
    Field::ArpAddresses,
    Field::ArpGratuitous,
];

/// What is said of the frames of one kind.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Name of the kind: `IPv4 tcp`, `ARP` …
    pub name: String,
    /// Whether its addresses are those of IPv6.
    v6: bool,
    /// All frames of the kind.
    all: Region,
    /// What passes.
    pub form: Form,
    /// Frames that pass as answers of connections that may be begun.
    pub answers: Vec<Region>,
    /// Whether it is about the first packets of connections only.
    pub of_first_packets: bool,
    /// Why it is coarser than the rules; none where it is exact.
    pub inexact: Option<String>,
    /// The sets that the rules themselves name.
    own: Vec<(Field, IntervalSet)>,
}

/// Which frames pass.
#[derive(Debug, Clone)]
pub enum Form {
    /// Those that are in one of these, and no others.
    Only(Vec<Region>),
    /// Those that are in none of these.
    AllBut(Vec<Region>),
    /// It cannot be said in short.
    Unknown,
}

/// A kind that the summary tells apart, as one region.
struct Kind {
    name: String,
    v6: bool,
    region: Region,
    /// Whether rules of both layers read such packets alike.
    alike: bool,
}

/// What is said of every kind of frames with whole headers, and of later fragments.
pub fn summaries(filter: &Compiled, way: Way) -> Vec<Summary> {
    let own = own_words(filter, way);
    let kinds = kinds().into_iter();
    kinds
        .map(|kind| summary(filter, way, kind, own.clone()))
        .collect()
}

/// The sets that rules of a direction name.
fn own_words(filter: &Compiled, way: Way) -> Vec<(Field, IntervalSet)> {
    let layer = filter.layer2(way);
    let root = layer.root.iter().flatten().filter_map(|step| match step {
        RootStep::Rule(rule) => Some(rule),
        RootStep::Jump(_) => None,
    });
    let subs = layer.subs.iter().flat_map(|sub| &sub.rules);
    let layer3 = [0x0800, 0x86dd].map(|kind| filter.layer3(way, kind));
    let rules = root.chain(subs).chain(layer3.into_iter().flatten());
    let mut out: Vec<(Field, IntervalSet)> = Vec::new();
    for test in rules.flat_map(|rule| &rule.matches) {
        if !out
            .iter()
            .any(|(field, set)| (*field, set) == (test.field, &test.set))
        {
            out.push((test.field, test.set.clone()));
        }
    }
    out
}

/// The kinds: those of the exact sets, with the protocols that have ports told apart.
fn kinds() -> Vec<Kind> {
    let with_ports = [
        (protocol::UDP, "udp"),
        (protocol::SCTP, "sctp"),
        (protocol::DCCP, "dccp"),
        (protocol::UDPLITE, "udplite"),
    ];
    let mut out: Vec<Kind> = Vec::new();
    let mut kinds = frame_kinds();
    kinds.extend(headless_kinds());
    for kind in &kinds {
        let v6 = kind
            .region
            .get(Field::EtherType)
            .contains(ethertype::IPV6.into());
        if kind.name.ends_with("udp, sctp, dccp, udplite") {
            let family = if v6 { "IPv6" } else { "IPv4" };
            for (number, name) in with_ports {
                let one = IntervalSet::one(number.into());
                let mut region = kind.region.with(Field::Protocol, one.clone());
                if v6 && !kind.extensions {
                    region = region.with(Field::NextHeader, one);
                }
                let name = named(kind, &format!("{family} {name}"));
                let alike = !kind.extensions;
                out.push(Kind {
                    name,
                    v6,
                    region,
                    alike,
                });
            }
            continue;
        }
        let name = named(kind, kind.name);
        // ARP whose sender is the target, and other, are one kind in two regions.
        let same = out.iter_mut().find(|known| known.name == name);
        match same.and_then(|known| Some((known.region.joined(&kind.region)?, known))) {
            Some((both, known)) => known.region = both,
            None => out.push(Kind {
                alike: !kind.extensions && !name.starts_with("later "),
                name,
                v6,
                region: kind.region.clone(),
            }),
        }
    }
    out
}

/// The name of a kind with what tells it from others of that name.
fn named(kind: &FrameKind, name: &str) -> String {
    let is = |field: Field, value: u128| *kind.region.get(field) == IntervalSet::one(value);
    let arp = name == "ARP" || name == "RARP";
    match (arp, is(Field::ArpMacs, 1), is(Field::ArpAddresses, 1)) {
        (true, false, true) => format!("{name} not of Ethernet"),
        (true, true, false) => format!("{name} not of IPv4"),
        (true, false, false) => format!("{name} of neither"),
        _ if kind.extensions && name.starts_with("IPv6 ") && name != "IPv6 without a protocol" => {
            format!("{name} behind extension headers")
        }
        _ => name.to_owned(),
    }
}

fn summary(filter: &Compiled, way: Way, kind: Kind, own: Vec<(Field, IntervalSet)>) -> Summary {
    let tied = random_order(filter, way, &kind.region);
    let [passing, stopped] =
        [true, false].map(|passing| cover(filter, way, kind.region.clone(), passing));
    let mut out = Summary {
        name: kind.name,
        v6: kind.v6,
        all: kind.region,
        form: Form::Unknown,
        answers: passing.answers.clone(),
        of_first_packets: passing.of_first_packets || stopped.of_first_packets,
        inexact: None,
        own,
    };
    if tied.is_some() {
        out.inexact = tied;
        return out;
    }
    let ether_type = out.all.get(Field::EtherType).first();
    let layer3 = ether_type.is_some_and(|kind| !filter.layer3(way, kind).is_empty());
    if layer3 && !kind.alike {
        if layer2_stops(filter, way, out.all.clone()) {
            out.form = Form::Only(Vec::new());
            return out;
        }
        let who = match filter.backend() {
            Backend::Ebtables => "ebtables and iptables",
            Backend::Nftables => "rules of layer 2 and of layer 3",
        };
        out.inexact = Some(format!("{who} do not read such packets alike"));
        return out;
    }
    out.form = match (&passing.inexact, &stopped.inexact) {
        (None, Some(_)) => Form::Only(passing.regions),
        (Some(_), None) => Form::AllBut(stopped.regions),
        (Some(why), Some(_)) => {
            out.inexact = Some(why.clone());
            Form::Unknown
        }
        (None, None) => out.shorter(passing, stopped),
    };
    out
}

impl Summary {
    fn shorter(&self, passing: Cover, stopped: Cover) -> Form {
        let length = |regions: &[Region]| -> usize {
            regions
                .iter()
                .map(|region| self.words(region).len() + 8)
                .sum()
        };
        let (only, but) = (length(&passing.regions), length(&stopped.regions));
        // A list of what passes reads better.
        if passing.regions.is_empty() || (!stopped.regions.is_empty() && only <= 2 * but) {
            Form::Only(passing.regions)
        } else {
            Form::AllBut(stopped.regions)
        }
    }

    /// All frames of the kind.
    pub fn all(&self) -> &Region {
        &self.all
    }

    /// Whether nothing of the kind passes.
    pub fn is_closed(&self) -> bool {
        matches!(&self.form, Form::Only(regions) if regions.is_empty())
    }

    /// Whether all of it passes.
    pub fn is_open(&self) -> bool {
        matches!(&self.form, Form::AllBut(regions) if regions.is_empty())
    }

    /// What the frames of a region have in common, in words; nothing for all of the kind.
    pub fn words(&self, region: &Region) -> String {
        let mut out = Vec::new();
        for field in Field::ALL {
            let (set, all) = (region.get(field), self.all.get(field));
            if set == all || (PARTS.contains(&field) && field != Field::ArpGratuitous) {
                continue;
            }
            let own = self.own.iter().filter(|(named, _)| *named == field);
            let own: Vec<&IntervalSet> = own.map(|(_, set)| set).collect();
            let text = said(field, self.v6, set, all, &own);
            out.push(format!("{} {text}", label(field)));
        }
        if out.is_empty() {
            "everything".to_owned()
        } else {
            out.join(", ")
        }
    }

    /// What the summary says of a frame, from its fields: whether it passes; none where it is
    /// of another kind, or nothing is said.
    pub fn says(&self, fields: &Fields) -> Option<bool> {
        let has = |region: &Region| {
            let mut all = Field::ALL.iter();
            all.all(|field| region.get(*field).contains(fields.get(*field)))
        };
        if !has(&self.all) {
            return None;
        }
        match &self.form {
            Form::Only(regions) => Some(regions.iter().any(has)),
            Form::AllBut(regions) => Some(!regions.iter().any(has)),
            Form::Unknown => None,
        }
    }

    /// The answers without those that pass anyhow.
    pub fn further_answers(&self) -> Vec<Region> {
        let passing = match &self.form {
            Form::Only(regions) => regions.as_slice(),
            _ => &[],
        };
        let answers = self.answers.iter();
        let further = answers.filter(|answer| !passing.iter().any(|known| answer.is_within(known)));
        tidy(further.cloned().collect())
    }
}

#[cfg(test)]
mod tests;
