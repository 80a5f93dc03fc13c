//! Frames at the edges of a filter's own rules: the frames that there are, cut
//! into parts of one outcome each, and frames from the ends of each part. What
//! just misses a rule lies at the end of the part beside it.

use super::coverage::Coverage;
use super::generator::Random;
use crate::nwfilter::evaluate::field::{ABSENT, Field};
use crate::nwfilter::evaluate::{Compiled, Decision, Way};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::reach::{FrameKind, Region, frame_kinds, partition, witness};

/// Most rules that are held against parts of one kind of frames in one direction.
const BUDGET: usize = 2000;

/// Most frames that are made and thrown away for each that is wanted, since the
/// evaluator leaves their outcome open.
const TRIES: usize = 3;

/// Frames that meet the filter's rules, those first that meet one that no frame
/// before them met; at most `count`.
pub fn boundary_frames(compiled: &Compiled, random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let kinds = frame_kinds();
    let targets = targets(compiled, &kinds);
    if targets.is_empty() {
        return Vec::new();
    }
    let mut coverage = Coverage::of(compiled);
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    let more = (0..count * TRIES).map(|_| random.below(targets.len()));
    let order: Vec<usize> = (0..targets.len()).chain(more).collect();
    for (made, at) in order.into_iter().enumerate() {
        let every = made < targets.len();
        if !every && first.len() + rest.len() >= count.max(targets.len()) {
            break;
        }
        let target = &targets[at];
        let Some(frame) = target.frame(random) else {
            continue;
        };
        let outcome = compiled.evaluate(&frame, target.way);
        if coverage.add(target.way, &outcome) {
            first.push(frame);
        } else if !matches!(outcome.decision, Decision::Undecided(_)) {
            rest.push(frame);
        }
    }
    first.truncate(count);
    while first.len() < count && !rest.is_empty() {
        let at = random.below(rest.len());
        first.push(rest.swap_remove(at));
    }
    first
}

/// Frames of one kind and one outcome.
struct Target<'s> {
    way: Way,
    kind: &'s FrameKind,
    region: Region,
}

/// Every part of every kind whose outcome the evaluator knows.
fn targets<'s>(compiled: &Compiled, kinds: &'s [FrameKind]) -> Vec<Target<'s>> {
    let mut out = Vec::new();
    for way in [Way::FromGuest, Way::ToGuest] {
        for kind in kinds {
            let parts = partition(compiled, way, &kind.region, &mut 0, BUDGET);
            let decided = parts
                .into_iter()
                .filter(|part| !matches!(part.decision, Decision::Undecided(_)));
            out.extend(decided.map(|part| Target {
                way,
                kind,
                region: part.region,
            }));
        }
    }
    out
}

impl Target<'_> {
    /// A frame of it, mostly with values from the ends of its sets; none where
    /// the values picked cannot go together.
    fn frame(&self, random: &mut Random) -> Option<Vec<u8>> {
        let mut region = self.region.clone();
        let same = *region.get(Field::ArpGratuitous) == IntervalSet::one(1);
        if same {
            region = self.kind.real(&region)?;
        }
        for field in Field::ALL {
            // Two fields of a kind of frames always hold the same.
            let twin = match field {
                Field::NextHeader => region.get(Field::Protocol).first(),
                Field::ArpDst if same => region.get(Field::ArpSrc).first(),
                _ => None,
            };
            let set = region.get(field);
            let value = twin.filter(|value| set.contains(*value));
            let value = value.or_else(|| pick(random, field, set, self.kind.region.get(field)))?;
            region = region.with(field, IntervalSet::one(value));
        }
        let mut frame = witness(&self.kind.real(&region)?, &[])?;
        // Something behind the header, as bridges want it of tagged frames.
        if frame.len() == 14 && random.chance(80) {
            frame.resize(60, 0);
        }
        Some(frame)
    }
}

/// A value of a set: mostly one of its ends, above all one where a rule has cut the set
/// out of all values that there are; none of an empty set.
fn pick(random: &mut Random, field: Field, set: &IntervalSet, all: &IntervalSet) -> Option<u128> {
    let first = set.first()?;
    if first == ABSENT {
        return Some(first);
    }
    // What connection tracking takes for a beginning.
    let openers: &[u128] = match field {
        Field::TcpFlags => &[0x02, 0x10],
        Field::IcmpType => &[8, 128],
        _ => &[],
    };
    let openers: Vec<u128> = openers
        .iter()
        .copied()
        .filter(|value| set.contains(*value))
        .collect();
    if !openers.is_empty() && random.chance(50) {
        return Some(*random.pick(&openers));
    }
    let cut = ends(set.minus(&IntervalSet::one(ABSENT)).intervals());
    let domain = ends(all.intervals());
    let own: Vec<u128> = cut
        .iter()
        .copied()
        .filter(|end| !domain.contains(end))
        .collect();
    if !own.is_empty() && random.chance(80) {
        return Some(*random.pick(&own));
    }
    let value = *random.pick(&cut);
    if random.chance(70) {
        return Some(value);
    }
    // Somewhere inside.
    let near = value ^ u128::from(random.byte());
    Some(if set.contains(near) { near } else { value })
}

fn ends(intervals: &[(u128, u128)]) -> Vec<u128> {
    intervals
        .iter()
        .flat_map(|(low, high)| [*low, *high])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::evaluate::Backend;
    use crate::nwfilter::read;
    use crate::random::frames::frame;
    use crate::random::grammar::case;
    use crate::random::seeds::Seeds;

    fn filter(rules: &str) -> Compiled {
        let text = format!("<filter name='x'>{rules}</filter>");
        let filter = read(&text, "test").unwrap();
        Compiled::new(&[filter], "x", [2, 0, 0, 0, 0, 1], &[]).unwrap()
    }

    #[test]
    fn deep_rules_are_met_and_just_missed() {
        let compiled = filter(
            "<rule action='accept' direction='out' priority='1'><ip dstipaddr='10.0.0.0' dstipmask='8' protocol='udp'/></rule>\
             <rule action='drop' direction='out' priority='2'><ip dstipaddr='10.9.8.0' dstipmask='24' protocol='tcp' dstportstart='80'/></rule>\
             <rule action='drop' direction='out' priority='3'><arp arpsrcipaddr='10.0.0.1' gratuitous='true'/></rule>",
        );
        let frames = boundary_frames(&compiled, &mut Random::of(1, 1), 400);
        let mut coverage = Coverage::of(&compiled);
        for frame in &frames {
            coverage.add(Way::FromGuest, &compiled.evaluate(frame, Way::FromGuest));
        }
        assert_eq!((coverage.hit(), coverage.all()), (3, 3));
        let to_port = |port: [u8; 2]| frames.iter().any(|frame| frame.get(36..38) == Some(&port));
        assert!(to_port([0, 79]) && to_port([0, 80]) && to_port([0, 81]));
        let to = |address: [u8; 4]| {
            frames
                .iter()
                .any(|frame| frame.get(30..34) == Some(&address))
        };
        assert!(to([10, 9, 7, 255]) && to([10, 9, 8, 0]) && to([10, 9, 9, 0]));
    }

    /// Many rules of random filters stand behind others that leave them nothing.
    #[test]
    fn hardly_a_rule_is_met_by_random_frames_only() {
        let (mut missed, mut met) = (0, 0);
        for number in 0..60 {
            let mut random = Random::of(11, number);
            let case = case(&mut random);
            let Ok(compiled) = case.compile(Backend::default()) else {
                continue;
            };
            let seeds = Seeds::of(&case);
            let mut coverage = Coverage::of(&compiled);
            let mut shoot = |frames: Vec<Vec<u8>>| {
                for (frame, way) in frames
                    .iter()
                    .flat_map(|frame| Way::ALL.map(|way| (frame, way)))
                {
                    coverage.add(way, &compiled.evaluate(frame, way));
                }
                coverage.hit()
            };
            let by_boundary = shoot(boundary_frames(&compiled, &mut random, 100));
            let by_both = shoot((0..400).map(|_| frame(&mut random, &seeds)).collect());
            missed += by_both - by_boundary;
            met += by_boundary;
        }
        assert!(missed * 50 < met, "{missed} beside {met}");
    }
}
