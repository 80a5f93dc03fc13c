//! The probes of a cell's passes.

use super::job::Job;
use crate::frame::DhcpStep;
use crate::layout::Layout;
use crate::nwfilter::learning::Learning;
use crate::policy::Policy;
use crate::probe::{Pass, Probe, Stimulus, catalogue, learning_probe};

/// The catalogue as it is sent in a pass of a run; the leak check needs only those probes that
/// must be stopped.
pub fn probes(job: &Job, policy: &Policy, layout: &Layout, (run, pass): (u32, Pass)) -> Vec<Probe> {
    let tag_of = |index| pass.tag(run, index);
    let probes = catalogue(policy, layout, tag_of);
    let knows_guest = job.filters.iter().any(|filter| filter.knows_guest);
    let probes = probes.into_iter().filter(|it| it.suits(knows_guest));
    let mut probes: Vec<Probe> = probes.map(|it| it.with(job.backend)).collect();
    if let Some(learning) = job.learning {
        // libvirt forgets the address of a guest that gives its lease back.
        let forgets = learning == Learning::Dhcp;
        probes.retain(|it| !forgets || it.stimulus != Stimulus::Dhcp(DhcpStep::Release));
        probes.push(learning_probe(policy, layout, tag_of).0);
    }
    probes.retain(|probe| pass != Pass::LeakCheck || probe.in_leak_check());
    probes
}
