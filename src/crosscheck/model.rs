//! The evaluator's model of a case: the case as it is, or with one thing wrong on purpose,
//! to show that the crosscheck notices.

use crate::nwfilter::evaluate::{Backend, CompileError, Compiled, Way};
use crate::nwfilter::{Action, Entry, RuleId};
use crate::random::Case;
use serde::{Deserialize, Serialize};

/// Both ways.
pub const WAYS: [Way; 2] = [Way::FromGuest, Way::ToGuest];

/// Something that the evaluator is made to get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mutation {
    /// It takes `reject` for `accept`.
    Reject,
    /// It takes `return` for `accept`.
    Return,
    /// It has a sub-chain go back to the root chain where it ends.
    ChainEnd,
}

/// What the evaluator is to take a case for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Model {
    /// Back end of libvirt that translates the filters.
    pub backend: Backend,
    /// What it is made to get wrong.
    pub mutation: Option<Mutation>,
    /// Whether libvirt leaves out rules of layer 3 whose lists have different lengths
    /// ([`leaves_out_unequal_lists`](crate::lab::Libvirt::leaves_out_unequal_lists)).
    pub leaves_out_unequal_lists: bool,
}

/// The evaluator's model of the case, with a mutation where one is wanted.
///
/// # Errors
/// Why libvirt would refuse the filter.
pub fn compile(case: &Case, model: Model) -> Result<Compiled, CompileError> {
    let compiled = |case: &Case| {
        if model.leaves_out_unequal_lists {
            without_unequal_lists(case.clone(), model.backend)
        } else {
            case.compile(model.backend)
        }
    };
    match model.mutation {
        None => compiled(case),
        Some(Mutation::Reject) => compiled(&accepting(case, Action::Reject)),
        Some(Mutation::Return) => compiled(&accepting(case, Action::Return)),
        Some(Mutation::ChainEnd) => compiled(case).map(Compiled::with_chain_ends_returning),
    }
}

/// The case without the rules of layer 3 whose lists have different lengths.
fn without_unequal_lists(mut case: Case, backend: Backend) -> Result<Compiled, CompileError> {
    loop {
        match case.compile(backend) {
            Err(CompileError::Lengths { origin, .. }) if take_out(&mut case, &origin) => {}
            other => return other,
        }
    }
}

/// Takes a rule out of its filter; false where it is not of layer 3.
fn take_out(case: &mut Case, origin: &RuleId) -> bool {
    let mut filters = case.filters.iter_mut();
    let Some(filter) = filters.find(|filter| filter.name == origin.filter) else {
        return false;
    };
    let is_rule = |entry: &Entry| matches!(entry, Entry::Rule(_));
    let places = filter.entries.iter().enumerate();
    let mut rules = places.filter(|(_, entry)| is_rule(entry));
    let Some((at, Entry::Rule(rule))) = rules.nth(origin.rule - 1) else {
        return false;
    };
    if !rule.is_layer3() {
        return false;
    }
    filter.entries.remove(at);
    true
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
    use crate::random::Random;
    use crate::random::boundary_frames;
    use crate::random::case;
    use rstest::rstest;

    /// Else a run of the long kind could miss such a mutation.
    #[rstest]
    #[case::reject(Mutation::Reject)]
    #[case::return_from_a_chain(Mutation::Return)]
    #[case::end_of_a_chain(Mutation::ChainEnd)]
    fn one_filter_in_thirty_shows_a_mistake(#[case] mutation: Mutation) {
        let shows = |number: &u64| {
            let mut random = Random::of(1, *number);
            let case = case(&mut random);
            let wrong = Model {
                mutation: Some(mutation),
                ..Model::default()
            };
            let (Ok(right), Ok(wrong)) = (compile(&case, Model::default()), compile(&case, wrong))
            else {
                return false;
            };
            let frames = boundary_frames(&right, &mut random, 100);
            let mut shots = frames.iter().flat_map(|frame| WAYS.map(|way| (frame, way)));
            shots.any(|(frame, way)| right.decide(frame, way) != wrong.decide(frame, way))
        };
        let showing: Vec<u64> = (0..60).filter(shows).collect();
        assert!(showing.len() >= 2, "{showing:?}");
    }

    /// B35: what libvirt leaves out is out of the model, and nothing else is.
    #[rstest]
    #[case::layer_3("<tcp srcportstart='$A' dstportstart='$B'/>", true)]
    #[case::layer_2("<ip protocol='tcp' srcportstart='$A' dstportstart='$B'/>", false)]
    fn a_rule_of_layer_3_with_unequal_lists_is_left_out(#[case] element: &str, #[case] out: bool) {
        let text = format!(
            "<filter name='x'><rule action='drop' direction='out'><udp/></rule>\
             <rule action='drop' direction='out'>{element}</rule></filter>"
        );
        let parameters = [("A", "1"), ("B", "2"), ("B", "3")];
        let case = Case {
            filters: vec![crate::nwfilter::read(&text, "test").unwrap()],
            parameters: parameters
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        };
        let model = |leaves_out_unequal_lists| Model {
            leaves_out_unequal_lists,
            ..Model::default()
        };
        assert!(compile(&case, model(false)).is_err());
        assert_eq!(compile(&case, model(true)).is_ok(), out);
    }
}
