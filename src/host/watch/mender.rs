//! What takes long, in a thread of its own: audits and repairs, one at a time.

use super::judged::{Judged, Nic, Standing};
use crate::domain::Network;
use crate::frame::mac_text;
use crate::host::audit::{self, Audit, Definition, InterfaceReport, Reason, Scope, fences_to_keep};
use crate::host::change::{Executor, Lock, Plan, Prover, Record, Refusal, record_file, repair};
use crate::host::reference::References;
use crate::host::report::metrics;
use crate::host::{Access, HostError, Inventory, Libvirt, links};
use crate::policy::{Fence, Policy};
use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the thread is asked for.
#[derive(Debug)]
pub enum Task {
    /// Audit all guests.
    Audit,
    /// Repair these.
    Mend(Vec<(String, Nic)>),
    /// From now on this is the policy.
    Policy(Box<Policy>),
    /// libvirt is another one than before: what is known of it is forgotten.
    Forget,
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    /// Of an audit: the interfaces of running guests.
    Audit(Result<Vec<Judged>, String>),
    /// Of a repair: what was done.
    Mend(Result<Vec<String>, String>),
    /// With an audit: the bridges on which the policy fences every guest.
    Bridges(BTreeSet<String>),
    /// Something beside that could not be done.
    Warning {
        /// What, in a word.
        event: &'static str,
        /// Why.
        why: String,
    },
}

/// The thread's side.
#[derive(Debug)]
pub struct Mender {
    /// URI of libvirt.
    pub uri: Option<String>,
    /// What is meant.
    pub policy: Policy,
    /// Where metrics go.
    pub metrics: Option<PathBuf>,
    /// Nothing is changed, and nothing kept in mind.
    pub alert_only: bool,
    /// What this libvirt makes of filters.
    pub references: Option<References>,
}

impl Mender {
    /// Does what it is asked for until nobody asks any more. A byte on the socket says that
    /// there is an answer.
    pub fn serve(mut self, tasks: &Receiver<Task>, done: &Sender<Done>, wake: &UnixStream) {
        let tell = |answer| {
            let told = done.send(answer).is_ok();
            // A full socket wakes as well.
            let _ = (&*wake).write(&[1]);
            told
        };
        for task in tasks {
            let answer = match task {
                Task::Audit => match self.audit() {
                    Ok((found, inventory)) => {
                        tell(Done::Bridges(bridges(
                            &self.policy.fence,
                            &inventory.networks,
                        )));
                        let is_kept = self.remember(&inventory).unwrap_or_else(|why| {
                            let event = "not-remembered";
                            tell(Done::Warning { event, why });
                            false
                        });
                        if let Err(why) = self.write_metrics(&found) {
                            let event = "no-metrics";
                            tell(Done::Warning { event, why });
                        }
                        Done::Audit(Ok(judged(&found, &self.policy, is_kept)))
                    }
                    Err(error) => Done::Audit(Err(error.to_string())),
                },
                Task::Mend(nics) => Done::Mend(self.mend(&nics)),
                Task::Policy(policy) => {
                    self.policy = *policy;
                    continue;
                }
                Task::Forget => {
                    self.references = None;
                    continue;
                }
            };
            if !tell(answer) {
                return;
            }
        }
    }

    fn audit(&mut self) -> Result<(Audit, Inventory), HostError> {
        let libvirt = Libvirt::open(self.uri.as_deref(), Access::Read)?;
        let inventory = Inventory::take(&libvirt)?;
        let known = self.references.take();
        let mut references = known.unwrap_or_else(|| References::of(&inventory));
        let found = audit::audit(&inventory, &self.policy, &Scope::default(), &mut references);
        // A lab that failed may come up the next time.
        let failed = |reason: &Reason| matches!(reason, Reason::NoReference(_));
        let mut reasons = found.interfaces.iter().flat_map(|one| &one.reasons);
        if !reasons.any(failed) {
            self.references = Some(references);
        }
        Ok((found, inventory))
    }

    /// Keeps in mind which interfaces have the policy's filter, unless another lanfence is changing
    /// that: then the next audit does. Whether all is kept that the inventory shows.
    fn remember(&self, inventory: &Inventory) -> Result<bool, String> {
        let text = |error: HostError| error.to_string();
        let subjects = Scope::default().subjects(inventory);
        if fences_to_keep(inventory, &self.policy, &subjects, false)?.is_none() {
            return Ok(true);
        }
        if self.alert_only {
            return Ok(false);
        }
        let Some(_lock) = Lock::try_take().map_err(text)? else {
            return Ok(false);
        };
        // Somebody may have taken the filter away since: what he has just had forgotten must not come back.
        let libvirt = Libvirt::open(self.uri.as_deref(), Access::Read).map_err(text)?;
        let now = Inventory::take(&libvirt).map_err(text)?;
        let subjects = Scope::default().subjects(&now);
        let fences = fences_to_keep(&now, &self.policy, &subjects, false)?;
        fences.map_or(Ok(()), |fences| fences.write().map_err(text))?;
        // What was taken away between the two looks is judged by the next audit.
        Ok(false)
    }

    fn write_metrics(&self, found: &Audit) -> Result<(), String> {
        let Some(path) = &self.metrics else {
            return Ok(());
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let written = metrics::write(path, found, now.unwrap_or_default().as_secs());
        written
            .map_err(|error| format!("the metrics cannot be written: {}: {error}", path.display()))
    }

    /// Repairs guest by guest, so that one that cannot be mended keeps no other from it.
    fn mend(&mut self, nics: &[(String, Nic)]) -> Result<Vec<String>, String> {
        let text = |error: HostError| error.to_string();
        let _lock = Lock::take().map_err(text)?;
        let libvirt = Libvirt::open(self.uri.as_deref(), Access::Write).map_err(text)?;
        let inventory = Inventory::take(&libvirt).map_err(text)?;
        let known = self.references.take();
        let references = known.unwrap_or_else(|| References::of(&inventory));
        let mut prover = Prover::new(self.policy.clone(), references);
        let everything = Scope::default();
        let found = audit::audit(&inventory, &self.policy, &everything, prover.references());
        let guests: BTreeSet<&str> = nics.iter().map(|(_, nic)| nic.guest.as_str()).collect();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let meant = |one: &&InterfaceReport| {
            guests.contains(one.guest.as_str()) && is_wanted(one, &self.policy)
        };
        let interfaces = found.interfaces.iter().filter(meant).cloned().collect();
        let found = Audit { interfaces };
        for plan in repair::plans(&inventory, &self.policy, &everything, &found) {
            match execute(&libvirt, &plan, &mut prover) {
                Ok(steps) => done.extend(steps),
                Err(why) => failed.push(why),
            }
        }
        self.references = Some(prover.references().clone());
        if failed.is_empty() {
            return Ok(done);
        }
        Err(failed.join("\n"))
    }
}

/// The bridges on which the policy fences every guest: those that it names, and libvirt's own of the
/// networks that it names. One of the host's that a network only uses may have other guests.
fn bridges(fence: &Fence, networks: &HashMap<String, Network>) -> BTreeSet<String> {
    let named = fence.networks.iter().filter_map(|name| networks.get(name));
    let own = named.filter(|network| network.forward.as_deref() != Some("bridge"));
    let own = own.filter_map(|network| network.bridge.clone());
    own.chain(fence.bridges.iter().cloned()).collect()
}

/// Carries a plan out; what was done, or why not.
fn execute(libvirt: &Libvirt, plan: &Plan, prover: &mut Prover) -> Result<Vec<String>, String> {
    let told = |refusal: &Refusal| format!("{}\n  cure: {}", refusal.what, refusal.cure);
    let stuck = if plan.steps.is_empty() {
        &plan.warnings
    } else {
        &plan.refusals
    };
    if !stuck.is_empty() {
        let all: Vec<String> = stuck.iter().map(told).collect();
        return Err(all.join("\n"));
    }
    let mut record = Record::read(&record_file()).map_err(|error| error.to_string())?;
    let mut done = Vec::new();
    let mut executor = Executor {
        libvirt,
        prover,
        record: &mut record,
        tell: &mut |step| done.push(step.to_owned()),
    };
    executor.run(plan).map_err(|error| error.to_string())?;
    Ok(done)
}

/// Whether an interface has to be fenced: it has the policy's filter somewhere, or the policy
/// covers it.
fn is_wanted(report: &InterfaceReport, policy: &Policy) -> bool {
    let bridge = report.device.as_deref().and_then(links::bridge_of);
    let network = Some(report.network.as_str());
    let bridge = bridge.as_deref().or(network);
    report.known || policy.fence.covers(&report.guest, bridge, network)
}

/// The interfaces of running guests that have a device. `is_kept` says whether all that was fenced is kept in
/// mind: else one that has lost its filter everywhere looks like one that never had it.
fn judged(found: &Audit, policy: &Policy, is_kept: bool) -> Vec<Judged> {
    let judge = |report: &InterfaceReport| {
        let device = report.device.clone().filter(|_| report.running)?;
        let reasons = report
            .reasons
            .iter()
            .filter(|reason| standing_of(reason) != Standing::Holds);
        Some(Judged {
            nic: Nic {
                guest: report.guest.clone(),
                mac: report.mac.map(mac_text).unwrap_or_default(),
                network: report.network.clone(),
            },
            device,
            is_wanted: (is_kept || is_wanted(report, policy)).then(|| is_wanted(report, policy)),
            standing: standing(&report.reasons),
            reasons: reasons.map(ToString::to_string).collect(),
        })
    };
    found.interfaces.iter().filter_map(judge).collect()
}

/// How an interface stands for all these reasons.
fn standing(reasons: &[Reason]) -> Standing {
    const WORST_FIRST: [Standing; 5] = [
        Standing::Unfilterable,
        Standing::Open,
        Standing::Unsure,
        Standing::OtherContent,
        Standing::HoldsForNow,
    ];
    let is = |standing: &Standing| reasons.iter().any(|it| standing_of(it) == *standing);
    WORST_FIRST.into_iter().find(is).unwrap_or(Standing::Holds)
}

/// How an interface stands for one reason: what counts is whether its frames are held now.
fn standing_of(reason: &Reason) -> Standing {
    match reason {
        // The watcher's own doing, or what only the guest's owner can mend.
        Reason::Closed
        | Reason::OtherFilter(..)
        | Reason::Proven { .. }
        | Reason::Counted { .. }
        | Reason::Unseen(_)
        | Reason::Stripped
        | Reason::Recreated(_)
        | Reason::StaleBinding(_)
        | Reason::NoFilter(Definition::Snapshot(_))
        | Reason::Leaks {
            definition: Definition::Snapshot(_),
            ..
        }
        | Reason::UnknownFilter {
            definition: Definition::Snapshot(_),
            ..
        }
        | Reason::Unfilterable(Definition::Snapshot(_), _)
        | Reason::SecondWay(Definition::Snapshot(_), _)
        | Reason::MissingFilter(Definition::Snapshot(_), _)
        | Reason::SeveralFilters(Definition::Snapshot(_)) => Standing::Holds,
        Reason::NoFilter(Definition::Live)
        | Reason::Leaks {
            definition: Definition::Live,
            ..
        }
        | Reason::Rules(_)
        | Reason::Bypass(_)
        | Reason::NoDevice(_)
        | Reason::NoBridge(_)
        | Reason::NoBridgeNetfilter(_) => Standing::Open,
        Reason::UnknownFilter {
            definition: Definition::Live,
            ..
        }
        | Reason::RulesUnseen(_)
        | Reason::NoReference(_)
        | Reason::Unproven(_)
        | Reason::Rebuilding => Standing::Unsure,
        Reason::FilterDiffers { .. } => Standing::OtherContent,
        Reason::Unfilterable(Definition::Live, _) | Reason::SecondWay(Definition::Live, _) => {
            Standing::Unfilterable
        }
        // Only an audit that proves in place finds these.
        Reason::Leaked(_)
        | Reason::Blocked(_)
        | Reason::NoFilter(_)
        | Reason::Leaks { .. }
        | Reason::UnknownFilter { .. }
        | Reason::Unfilterable(..)
        | Reason::SecondWay(..)
        | Reason::MissingFilter(..)
        | Reason::SeveralFilters(_)
        | Reason::NoBinding
        | Reason::OtherBinding(_)
        | Reason::OtherBridge { .. }
        | Reason::FilterFile { .. }
        | Reason::Unnamed(_) => Standing::HoldsForNow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_network_has_a_bridge_of_its_own_or_shares_one_of_the_host() {
        let network = |name: &str, forward: &str| {
            let xml = format!(
                "<network><name>{name}</name>{forward}<bridge name='{name}-br'/></network>"
            );
            (name.to_owned(), Network::parse(&xml).unwrap())
        };
        let networks = HashMap::from([
            network("nat", "<forward mode='nat'/>"),
            network("alone", ""),
            network("shared", "<forward mode='bridge'/>"),
            network("other", ""),
        ]);
        let fence = Fence {
            bridges: vec!["br0".into()],
            networks: ["nat", "alone", "shared", "gone"]
                .map(str::to_owned)
                .to_vec(),
            guests: Vec::new(),
        };
        let found: Vec<String> = bridges(&fence, &networks).into_iter().collect();
        assert_eq!(found, ["alone-br", "br0", "nat-br"]);
    }

    #[rstest]
    #[case::nothing(&[], Standing::Holds)]
    #[case::the_gate_itself(&[Reason::Closed], Standing::Holds)]
    #[case::an_old_snapshot(&[Reason::NoFilter(Definition::Snapshot("s".into()))], Standing::Holds)]
    #[case::the_next_start(&[Reason::NoFilter(Definition::Config)], Standing::HoldsForNow)]
    #[case::a_weaker_filter(
        &[Reason::FilterDiffers { filter: "f".into(), difference: "d".into() }, Reason::NoBinding],
        Standing::OtherContent
    )]
    #[case::unseen_rules(&[Reason::RulesUnseen("no".into()), Reason::NoBinding], Standing::Unsure)]
    #[case::no_filter(&[Reason::Rebuilding, Reason::NoFilter(Definition::Live)], Standing::Open)]
    #[case::another_way_out(&[Reason::NoDevice("x".into()), Reason::SecondWay(Definition::Live, "y".into())], Standing::Unfilterable)]
    fn what_counts_is_whether_frames_are_held_now(
        #[case] reasons: &[Reason],
        #[case] expected: Standing,
    ) {
        assert_eq!(standing(reasons), expected);
    }
}
