//! What is in the way of a rule or of a chain.

use super::survey::BUDGET;
use crate::nwfilter::evaluate::{Compiled, Way};
use crate::nwfilter::model::RuleId;
use crate::nwfilter::reach::{End, Ending, Event, Packets, Region, course};
use crate::nwfilter::vocabulary::Action;

/// Most rules that a message names.
const NAMED: usize = 3;

/// Where frames should come to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The direction.
    pub way: Way,
    /// Whether it is behind layer 2.
    pub layer3: bool,
    /// The sub-chain that it is in.
    pub chain: Option<usize>,
}

/// What a rule does with the frames that another should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Accepts,
    Drops,
    Returns,
}

impl Deed {
    fn of(passes: bool) -> Self {
        if passes { Self::Accepts } else { Self::Drops }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Accepts => "accepts",
            Self::Drops => "drops",
            Self::Returns => "returns",
        }
    }
}

/// What is in the way.
pub struct Blockers {
    packets: Packets,
    /// The rules, each once, with what they do; none stands for the end of a chain.
    rules: Vec<(Option<RuleId>, Deed)>,
    /// Whether they are all of layer 2.
    pub layer2: bool,
    /// Whether some of the frames pass in the end, and whether some do not.
    passes: bool,
    stops: bool,
}

impl Blockers {
    /// Nothing yet.
    pub fn of(packets: Packets) -> Self {
        Self {
            packets,
            rules: Vec::new(),
            layer2: true,
            passes: false,
            stops: false,
        }
    }

    /// Adds what is in the way of frames that do not come to a target. None where the filter
    /// branches too much.
    pub fn add(
        &mut self,
        compiled: &Compiled,
        target: Target,
        regions: &[Region],
        looks: &mut usize,
    ) -> Option<()> {
        for region in regions {
            let frames = (self.packets, region.clone());
            let whole = course(
                compiled,
                target.way,
                frames,
                (looks, BUDGET),
                &mut |event| {
                    if let Event::Ended(end) = event {
                        self.take(target, &end);
                    }
                },
            );
            if !whole {
                return None;
            }
        }
        Some(())
    }

    /// Adds what ends frames at last. None where the filter branches too much.
    pub fn add_ends(
        &mut self,
        compiled: &Compiled,
        way: Way,
        regions: &[Region],
        looks: &mut usize,
    ) -> Option<()> {
        let behind_all = Target {
            way,
            layer3: true,
            chain: None,
        };
        self.add(compiled, behind_all, regions, looks)
    }

    /// For a target of layer 2 the rule counts that let its frames go on to layer 3, and for one
    /// in a chain the rule that takes them out of it.
    fn take(&mut self, target: Target, end: &End<'_>) {
        let returned = end
            .returned
            .iter()
            .find(|(chain, _)| Some(*chain) == target.chain);
        let (rule, deed) = match (end.by, end.let_in) {
            _ if returned.is_some() => (returned.map(|(_, rule)| *rule), Deed::Returns),
            (Ending::Layer3(_) | Ending::ChainEnd, rule) if !target.layer3 => (rule, Deed::Accepts),
            (Ending::Layer2(rule), _) => (Some(rule), Deed::of(end.passes)),
            (Ending::Layer3(rule), _) => {
                self.layer2 = false;
                (Some(rule), Deed::of(end.passes))
            }
            (Ending::ChainEnd, _) => (None, Deed::Accepts),
        };
        let passes = match deed {
            Deed::Returns => end.passes,
            deed => deed == Deed::Accepts,
        };
        self.passes |= passes;
        self.stops |= !passes;
        let blocker = (rule.map(|rule| rule.origin.clone()), deed);
        if !self.rules.contains(&blocker) {
            self.rules.push(blocker);
        }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the frames come to what a rule with this action makes of them.
    pub fn do_the_same(&self, action: Action, layer3: bool) -> bool {
        match action {
            Action::Accept => !self.stops,
            Action::Return if layer3 => !self.stops,
            Action::Drop | Action::Reject => !self.passes,
            Action::Return | Action::Continue => false,
        }
    }

    /// Whether layer 2 drops all of the frames.
    pub fn layer2_drops(&self) -> bool {
        self.layer2 && !self.passes
    }

    /// Whether a rule is in the way by returning from the chain.
    pub fn returns(&self) -> bool {
        self.rules.iter().any(|(_, deed)| *deed == Deed::Returns)
    }

    /// As the subject of a sentence: `rule 1 of x accepts and rule 2 of x drops`.
    pub fn words(&self) -> String {
        let rules = self.rules.iter();
        let rules = rules.filter_map(|(origin, deed)| Some((origin.as_ref()?, deed)));
        let mut words: Vec<String> = rules
            .map(|(origin, deed)| format!("{origin} {}", deed.word()))
            .collect();
        let ends = self.rules.len() > words.len();
        if words.len() > NAMED {
            let more = words.split_off(NAMED).len();
            words.push(format!("{more} more decide"));
        }
        if ends {
            words.push("the end of a chain accepts".to_owned());
        }
        match words.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            words => words.concat(),
        }
    }
}
