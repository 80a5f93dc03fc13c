//! What must hold of every filter, held against random ones.

use super::{Random, Seeds, boundary_frames, case, frame};
use crate::nwfilter::evaluate::field::{Fields, Reader};
use crate::nwfilter::evaluate::{Backend, Decision, TraceStep, Way};
use crate::nwfilter::reach::summaries;

/// Frames with broken headers are discarded whatever the rules say.
fn is_sound(trace: &[TraceStep]) -> bool {
    let broken = |step: &TraceStep| {
        matches!(
            step,
            TraceStep::Malformed | TraceStep::NotForwarded | TraceStep::Cut(_)
        )
    };
    !trace.iter().any(broken)
}

/// No frame that the summary says passes is dropped, and none that it says is stopped passes.
#[test]
fn the_summary_is_true() {
    let (mut told, mut passed, mut unknown) = (0, 0, 0);
    for number in 0..150 {
        let mut random = Random::of(23, number);
        let case = case(&mut random);
        let Ok(filter) = case.compile(Backend::Ebtables) else {
            continue;
        };
        let seeds = Seeds::of(&case);
        let mut frames = boundary_frames(&filter, &mut random, 120);
        frames.extend((0..60).map(|_| frame(&mut random, &seeds)));
        for way in Way::ALL {
            let kinds = summaries(&filter, way);
            unknown += kinds.iter().filter(|kind| kind.inexact.is_some()).count();
            for frame in &frames {
                let Some(fields) = Fields::read(frame, Reader::Ebtables) else {
                    continue;
                };
                let found = filter.evaluate(frame, way);
                if matches!(found.decision, Decision::Undecided(_)) || !is_sound(&found.trace) {
                    continue;
                }
                for kind in &kinds {
                    let Some(said) = kind.says(&fields) else {
                        continue;
                    };
                    let decided = found.decision == Decision::Accept;
                    assert_eq!(
                        said, decided,
                        "case {number}, {way:?}, {}: {frame:02x?} {:?} {:#?}",
                        kind.name, found.trace, case.filters
                    );
                    told += 1;
                    passed += usize::from(said);
                }
            }
        }
    }
    assert!(told > 10_000 && passed > 3_000, "{told} {passed} {unknown}");
}
