use super::*;
use crate::nwfilter::evaluate::Compiled;
use crate::nwfilter::{read, write};
use std::collections::BTreeSet;

fn cases(count: u64) -> impl Iterator<Item = Case> {
    (0..count).map(|number| case(&mut Random::of(3, number)))
}

#[test]
fn every_filter_can_be_written_and_read_back() {
    for case in cases(2000) {
        for filter in &case.filters {
            let text = write(filter);
            let back = read(&text, "random").unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(write(&back), text);
        }
    }
}

#[test]
fn most_can_be_bound_and_they_use_the_whole_language() {
    let mut words = BTreeSet::new();
    let mut bound = 0;
    for case in cases(2000) {
        let compiled = Compiled::new(&case.filters, &case.top().name, [2; 6], &case.parameters);
        bound += usize::from(compiled.is_ok());
        for rule in case.filters.iter().flat_map(Filter::rules) {
            words.extend([rule.action.to_string(), rule.direction.to_string()]);
            for element in &rule.elements {
                words.insert(element.protocol.to_string());
                let names = element.attributes.iter();
                words.extend(names.map(|(name, _)| format!("{} {name}", element.protocol)));
            }
        }
    }
    assert!(bound > 1500, "only {bound} of 2000 compile");
    // 5 actions, 3 directions, 24 elements without the two rarest, and their attributes.
    assert!(words.len() > 150, "{words:?}");
}
