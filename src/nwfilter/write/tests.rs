use super::*;
use crate::nwfilter::{language, read};
use proptest::prelude::*;

/// libvirt does not read the ipsets back that it writes; see the lint `ipset-forgotten`.
fn has_fragile_ipset(filter: &Filter) -> bool {
    filter.rules().any(|rule| {
        let ipset = |(name, _): &(String, String)| name == "ipset";
        rule.elements.iter().any(|element| {
            vocabulary::mixes_up_ipsets(element.protocol) && element.attributes.iter().any(ipset)
        })
    })
}

proptest! {
    #[test]
    fn what_was_written_by_hand_is_read_as_it_is(filter in language::filter()) {
        let text = language::as_written(&filter);
        prop_assert_eq!(read(&text, "test").unwrap(), filter);
    }

    #[test]
    fn what_is_written_reads_back_as_the_canonical_filter(filter in language::filter()) {
        let once = read(&write(&filter), "test").unwrap();
        prop_assert_eq!(&once, &canonical(&filter));
        if !has_fragile_ipset(&filter) {
            prop_assert_eq!(canonical(&once), once);
        }
    }

    #[test]
    fn no_prefix_of_a_filter_is_one(filter in language::filter(), cut in any::<prop::sample::Index>()) {
        let text = write(&filter);
        let text = text.trim_end();
        let mut at = cut.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(read(&text[..at], "test").is_err());
    }
}
