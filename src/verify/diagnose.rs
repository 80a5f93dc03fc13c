//! Why probes of a run leaked or were blocked: what the evaluator says of each, held against what
//! was observed.

use crate::check::Expectations;
use crate::check::probes::{Judged, Trial};
use crate::diagnosis::{Observed, Subject, causes, join, not_evaluated};
use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::FilterTree;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::learning::Bound;
use crate::policy::Policy;
use crate::probe::{Shows, firmware_catalogue, learning_probe};
use crate::report::model::{Cause, Failure, Run, Verdict};
use std::collections::HashMap;
use std::net::IpAddr;

/// How the filter of a run is bound.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The filters; none where the run is without one.
    pub tree: Option<&'a FilterTree>,
    /// Parameters of the filterref.
    pub parameters: &'a [(String, String)],
    /// The MAC of the guest that is stood for, where there is one.
    pub mac: Option<Mac>,
    /// Back end of libvirt.
    pub backend: Backend,
}

/// The probes that failed, each with each of its failures once, in the order of the catalogue.
fn failed(run: &Run) -> Vec<(&str, Failure)> {
    let mut out = Vec::new();
    for probe in run.cells.iter().flat_map(|cell| &cell.probes) {
        if let Verdict::Fail(failure) = probe.verdict {
            let entry = (probe.id.as_str(), failure);
            if !out.contains(&entry) {
                out.push(entry);
            }
        }
    }
    out
}

/// The causes of all leaks and blocks of a run. What cannot be evaluated is not explained, and
/// said so; nothing here changes a verdict.
pub fn diagnose(run: &Run, policy: &Policy, binding: &Binding<'_>) -> Vec<Cause> {
    let failed = failed(run);
    if failed.is_empty() {
        return Vec::new();
    }
    let Some(tree) = binding.tree else {
        let mut causes = not_evaluated("there is no filter", failed);
        for cause in &mut causes {
            cause.explained = cause.failure == Failure::Leak;
            if cause.explained {
                "there is no filter".clone_into(&mut cause.text);
            }
        }
        return causes;
    };
    match Evaluated::of(tree, policy, binding) {
        Ok(evaluated) => evaluated.causes(tree, &failed),
        Err(why) => not_evaluated(&why, failed),
    }
}

/// The filter as the evaluator sees it, with all that may be sent to it.
struct Evaluated {
    bound: Bound,
    expectations: Expectations,
    /// The probes that libvirt's rules of its own meet.
    while_learning: Option<Trial>,
    /// The probes of guests that are a boot firmware.
    firmware: Vec<Trial>,
}

impl Evaluated {
    fn of(tree: &FilterTree, policy: &Policy, binding: &Binding<'_>) -> Result<Self, String> {
        let Binding {
            parameters,
            backend,
            ..
        } = *binding;
        let layout = Layout::with_guest(policy, tree.given_address(parameters))
            .map_err(|error| error.to_string())?;
        let layout = match binding.mac {
            Some(mac) => layout.with_guest_mac(mac),
            None => layout,
        };
        let guest = &layout.guest;
        let bound = tree
            .bind(guest.mac, guest.v4, parameters, backend)
            .map_err(|error| format!("the evaluator does not take the filter: {error}"))?;
        let knows_guest = tree
            .filters
            .iter()
            .any(|filter| filter.rules().any(crate::nwfilter::Rule::knows_guest));
        let own: Vec<IpAddr> = knows_guest
            .then_some(IpAddr::V4(guest.v4))
            .into_iter()
            .collect();
        let tag = |index| crate::probe::Pass::Filtered.tag(0, index);
        let learning = bound
            .while_learning
            .as_ref()
            .map(|_| learning_probe(policy, &layout, tag).0);
        let firmware = firmware_catalogue(policy, &layout, Shows::ALL, str::to_owned).into_iter();
        Ok(Self {
            expectations: Expectations::of(policy, &layout, &own, backend),
            while_learning: learning.map(|probe| Trial::of(probe, &layout)),
            firmware: firmware
                .map(|probe| Trial::of(probe, &layout))
                .filter(Trial::has_frame)
                .collect(),
            bound,
        })
    }

    fn causes(&self, tree: &FilterTree, failed: &[(&str, Failure)]) -> Vec<Cause> {
        let subject = Subject {
            tree,
            filter: &self.bound.filter,
            rulings: self.expectations.rulings(),
        };
        // Those of the catalogue win over those of firmware with the same name.
        let trials = self.firmware.iter().chain(self.expectations.trials());
        let trials: HashMap<&str, &Trial> = trials
            .map(|trial| (trial.probe.id.as_str(), trial))
            .collect();
        let early = |id: &str| {
            let probe = self.while_learning.as_ref();
            probe.is_some_and(|trial| trial.probe.id == id)
        };
        let (early, late): (Vec<_>, Vec<_>) = failed.iter().copied().partition(|(id, _)| early(id));
        let evaluated: Vec<(&str, Failure, Option<Judged>)> = late
            .into_iter()
            .map(|(id, failure)| {
                let judged = trials.get(id).map(|trial| trial.judged(&self.bound.filter));
                (id, failure, judged)
            })
            .collect();
        let observed = evaluated.iter().map(|(id, failure, judged)| Observed {
            id,
            failure: *failure,
            evaluated: judged.as_ref(),
        });
        let mut all = causes(&subject, observed);
        join(&mut all, self.while_learning(&early));
        all
    }

    /// Leaks of the time in which the filter is not in force.
    fn while_learning(&self, failed: &[(&str, Failure)]) -> Vec<Cause> {
        let mut causes = not_evaluated("", failed.iter().copied());
        let rules = self.bound.while_learning.as_ref();
        let judged = self.while_learning.as_ref().zip(rules);
        let lets_out = judged.is_some_and(|(trial, rules)| {
            trial.judged(rules).verdict == Verdict::Fail(Failure::Leak)
        });
        for cause in &mut causes {
            cause.explained = lets_out && cause.failure == Failure::Leak;
            cause.text = if cause.explained {
                "libvirt learns the guest's address, and until then rules of its own let IPv4 and \
                 ARP out, whatever the filter is: give the address (IP)"
                    .to_owned()
            } else {
                "not explained: libvirt's own rules, before it knows the guest's address, are \
                 expected to do otherwise"
                    .to_owned()
            };
        }
        causes
    }
}
