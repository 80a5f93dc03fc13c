//! What the evaluator takes a case for: what it is, or one thing of it wrong
//! on purpose, to see that a wrong evaluator is found out.

use super::grammar::Case;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::{Action, Entry};
use serde::{Deserialize, Serialize};

/// Something that the evaluator is made to get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// It takes `reject` for `accept`.
    Reject,
    /// It takes `return` for `accept`.
    Return,
    /// It has a sub-chain go back to the root chain where it ends.
    ChainEnd,
}

/// The case as the evaluator understands it, with a mistake where one is wanted;
/// else why libvirt would refuse it.
pub fn compile(case: &Case, mistake: Option<Mistake>) -> Result<Compiled, String> {
    let compiled = |case: &Case| {
        let top = &case.top().name;
        Compiled::new(&case.filters, top, super::bout::GUEST, &case.parameters)
            .map_err(|error| error.to_string())
    };
    match mistake {
        None => compiled(case),
        Some(Mistake::Reject) => compiled(&accepting(case, Action::Reject)),
        Some(Mistake::Return) => compiled(&accepting(case, Action::Return)),
        Some(Mistake::ChainEnd) => compiled(case).map(Compiled::with_chain_ends_returning),
    }
}

/// The case with `accept` for every other action of this kind.
fn accepting(case: &Case, action: Action) -> Case {
    let mut case = case.clone();
    let filters = case.filters.iter_mut();
    for entry in filters.flat_map(|filter| &mut filter.entries) {
        if let Entry::Rule(rule) = entry
            && rule.action == action
        {
            rule.action = Action::Accept;
        }
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::aim::aimed;
    use crate::crosscheck::bout::WAYS;
    use crate::crosscheck::grammar::case;
    use crate::crosscheck::random::Random;
    use rstest::rstest;

    /// Else a run of the long kind could miss such a mistake.
    #[rstest]
    #[case::reject(Mistake::Reject)]
    #[case::return_from_a_chain(Mistake::Return)]
    #[case::end_of_a_chain(Mistake::ChainEnd)]
    fn one_filter_in_thirty_shows_a_mistake(#[case] mistake: Mistake) {
        let shows = |number: &u64| {
            let mut random = Random::of(1, *number);
            let case = case(&mut random);
            let (Ok(right), Ok(wrong)) = (compile(&case, None), compile(&case, Some(mistake)))
            else {
                return false;
            };
            let frames = aimed(&right, &mut random, 100);
            let mut shots = frames.iter().flat_map(|frame| WAYS.map(|way| (frame, way)));
            shots.any(|(frame, way)| right.decide(frame, way) != wrong.decide(frame, way))
        };
        let showing: Vec<u64> = (0..60).filter(shows).collect();
        assert!(showing.len() >= 2, "{showing:?}");
    }
}
