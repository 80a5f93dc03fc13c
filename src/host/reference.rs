//! The rules that this libvirt makes of a filter: what an interface's rules are held against.
//!
//! The filter is bound in a lab of its own, by the host's own libvirtd, tools and kernel, to a
//! tap that nobody uses. Nothing on the host is touched for it.

use super::error::HostError;
use super::inventory::Inventory;
use super::kernel::{InterfaceRules, Ruleset, read};
use super::rule_cache::RuleCache;
use crate::frame::{Mac, parse_mac, to_hex};
use crate::lab::{Binding, BindingSpec, LabError, Pair, Shortcuts};
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{Filter, as_libvirt, write};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hidden verb of the process that enters the lab.
pub const WORKER: &str = "__reference";

/// Stands for the MAC of any guest.
const ANY_MAC: Mac = [0x52, 0x54, 0x00, 0x6c, 0x66, 0x01];

/// Stands for an address that libvirt learns (RFC 5737).
const ANY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// Longest wait for the lab, and for each filter in it: an emulated host takes 8 s to bind 30
/// rules.
const LAB: Duration = Duration::from_secs(120);
const EACH: Duration = Duration::from_secs(60);

/// From one look at the worker to the next.
const LOOK: Duration = Duration::from_millis(5);

/// What is bound: a filter with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// Name and XML, each behind those that it refers to.
    pub filters: Vec<(String, String)>,
    /// The one that the interface refers to.
    pub top: String,
    /// Parameters of the reference.
    pub parameters: Vec<(String, String)>,
    /// The guest's MAC.
    pub mac: Mac,
    /// libvirt learns the address, and [`ANY_ADDRESS`] stands for it.
    learnt: bool,
}

/// The filters of the host, with what has been asked about them.
#[derive(Debug, Default, Clone)]
pub struct References {
    backend: Backend,
    cache: RuleCache,
    known: HashMap<Wanted, Result<InterfaceRules, String>>,
}

/// A filter with all that it refers to, read once for all guests that refer to it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// For a guest of any MAC.
    wanted: Wanted,
    read: Vec<Filter>,
}

impl Prepared {
    /// Reads a filter as an interface refers to it.
    ///
    /// # Errors
    /// The name of a filter that is not defined.
    pub fn of(
        filters: &HashMap<String, String>,
        top: &str,
        parameters: &[(String, String)],
    ) -> Result<Self, String> {
        let mut ordered = Vec::new();
        collect(filters, top, &mut ordered, &mut BTreeSet::new())?;
        let read: Vec<Filter> = ordered
            .iter()
            .filter_map(|(name, xml): &(String, String)| {
                as_libvirt(xml, name).ok().map(|document| document.filter)
            })
            .collect();
        let is_address = |name: &str| name == variables::IP;
        let set = read.iter().flat_map(Filter::parameters).any(is_address);
        let given = set || parameters.iter().any(|(name, _)| is_address(name));
        let learnt = !given && read.iter().flat_map(Filter::variables).any(is_address);
        let mut parameters = parameters.to_vec();
        if learnt {
            parameters.push((variables::IP.into(), ANY_ADDRESS.to_string()));
        }
        let wanted = Wanted {
            filters: ordered,
            top: top.to_owned(),
            parameters,
            mac: ANY_MAC,
            learnt,
        };
        Ok(Self { wanted, read })
    }

    /// For a guest: one that the filters treat as any other needs no rules of its own.
    pub fn wanted(&self, mac: Mac) -> Wanted {
        let mut wanted = self.wanted.clone();
        if self.read.len() < wanted.filters.len() || !is_plain(&self.read, mac) {
            wanted.mac = mac;
        }
        wanted
    }
}

/// Whether the filters treat all guests alike but for their MAC: none names this one or the one
/// that stands for any, alone or with others by a mask or a variable, and none masks the guest's
/// own, since a masked MAC cannot be told from another.
fn is_plain(filters: &[Filter], mac: Mac) -> bool {
    let elements = filters
        .iter()
        .flat_map(Filter::rules)
        .flat_map(|rule| &rule.elements);
    elements.into_iter().all(|element| {
        element.attributes.iter().all(|(name, value)| {
            let mask = name.replace("macaddr", "macmask");
            let mask = element.attributes.iter().find(|(name, _)| *name == mask);
            let mask = mask.map(|(_, mask)| mask.as_str());
            match value.strip_prefix('$') {
                Some(variable) if variable.starts_with(variables::MAC) => {
                    mask.is_none_or(|mask| parse_mac(mask) == Some(WHOLE))
                }
                Some(_) => !name.contains("macaddr"),
                None => parse_mac(value).is_none_or(|named| treats_alike(named, mask, mac)),
            }
        })
    })
}

/// Whether a rule that names a MAC, or those that are like it under a mask, means neither this guest
/// nor the one that stands for any, or both by the mask.
fn treats_alike(named: Mac, mask: Option<&str>, mac: Mac) -> bool {
    let Some(mask) = mask.map_or(Some(WHOLE), parse_mac) else {
        return false;
    };
    let under = |mac: Mac| -> Mac { std::array::from_fn(|at| mac[at] & mask[at]) };
    let means = |mac: Mac| under(named) == under(mac);
    named != mac && named != ANY_MAC && means(mac) == means(ANY_MAC)
}

/// The mask under which a MAC stays as it is.
const WHOLE: Mac = [0xff; 6];

fn collect(
    filters: &HashMap<String, String>,
    name: &str,
    out: &mut Vec<(String, String)>,
    seen: &mut BTreeSet<String>,
) -> Result<(), String> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let xml = filters.get(name).ok_or_else(|| name.to_owned())?;
    let mut text = xml.clone();
    if let Ok(document) = as_libvirt(xml, name) {
        for to in document.filter.references() {
            collect(filters, to, out, seen)?;
        }
        // However it is written, it is asked for once. What libvirt ignores stays as it is.
        if document.ignored.is_empty() {
            text = write(&document.filter);
        }
    }
    out.push((name.to_owned(), text));
    Ok(())
}

impl References {
    /// For the libvirt that was looked at.
    pub fn of(inventory: &Inventory) -> Self {
        Self {
            backend: inventory.backend,
            cache: RuleCache::of_host(inventory.version),
            known: HashMap::new(),
        }
    }

    /// Has all of them bound that are not known yet, in one lab.
    pub fn ask<'a>(&mut self, wanted: impl IntoIterator<Item = &'a Wanted>) {
        let new: BTreeSet<&Wanted> = wanted
            .into_iter()
            .filter(|wanted| !self.known.contains_key(*wanted))
            .collect();
        if new.is_empty() {
            return;
        }
        let (mut asked, mut kept) = (Vec::new(), Vec::new());
        for wanted in new {
            match self.cache.get(&self.question(wanted)) {
                Some(rules) => kept.push((wanted.clone(), Ok(rules))),
                None => asked.push(wanted.clone()),
            }
        }
        self.known.extend(kept);
        if asked.is_empty() {
            return;
        }
        let answers = in_a_lab(&asked, self.backend);
        let answers = match answers {
            Ok(answers) => answers,
            Err(why) => vec![Err(why); asked.len()],
        };
        for (wanted, answer) in asked.iter().zip(&answers) {
            if let Ok(rules) = answer {
                self.cache.put(&self.question(wanted), rules);
            }
        }
        self.known.extend(asked.into_iter().zip(answers));
    }

    /// What is asked, as a text.
    fn question(&self, wanted: &Wanted) -> String {
        let wanted = serde_json::to_string(wanted).expect("strings only");
        format!("{} {wanted}", self.backend)
    }

    /// The rules that an interface must have, with the address that libvirt has learnt for it
    /// as its own rules show.
    ///
    /// # Errors
    /// Why this is not known.
    pub fn rules(&self, wanted: &Wanted, has: &InterfaceRules) -> Result<InterfaceRules, String> {
        let known = self.known.get(wanted);
        let known = known.ok_or_else(|| "it has not been asked".to_owned())?;
        let rules = known.clone()?;
        if !wanted.learnt {
            return Ok(rules);
        }
        let place = ANY_ADDRESS.to_string();
        let address = learnt_address(&rules, has, &place);
        Ok(match address {
            Some(address) => with_address(rules, &place, &address),
            None => rules,
        })
    }
}

/// The address in the place of [`ANY_ADDRESS`] in an interface's rules.
fn learnt_address(wanted: &InterfaceRules, has: &InterfaceRules, place: &str) -> Option<String> {
    let pattern = wanted.chains.iter().find(|(_, rule)| rule.contains(place));
    let (layer, pattern) = pattern?;
    let (before, after) = pattern.split_once(place)?;
    has.chains.iter().find_map(|(of, rule)| {
        let rest = (of == layer).then(|| rule.strip_prefix(before)).flatten()?;
        let address = rest.strip_suffix(after).or_else(|| {
            let end = rest.find([' ', '/'])?;
            Some(&rest[..end])
        })?;
        address
            .parse::<Ipv4Addr>()
            .ok()
            .map(|found| found.to_string())
    })
}

fn with_address(mut rules: InterfaceRules, place: &str, address: &str) -> InterfaceRules {
    // nft shows raw payload, such as that of RARP, as a number.
    let number = |text: &str| {
        let address: Option<Ipv4Addr> = text.parse().ok();
        address.map(|address| to_hex(&address.octets()))
    };
    let numbers = number(place).zip(number(address));
    for (_, rule) in &mut rules.chains {
        *rule = rule.replace(place, address);
        if let Some((place, address)) = &numbers {
            let words = rule.split(' ').map(|word| match word.strip_prefix("0x") {
                Some(digits) => format!("0x{}", digits.replace(place, address)),
                None => word.to_owned(),
            });
            *rule = words.collect::<Vec<_>>().join(" ");
        }
    }
    rules
}

/// Starts this program again, which enters a lab and answers there.
fn in_a_lab(
    asked: &[Wanted],
    backend: Backend,
) -> Result<Vec<Result<InterfaceRules, String>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the lab cannot be started: {error}");
    let task = serde_json::to_vec(asked).map_err(|error| failed(&error))?;
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut child = Command::new(program)
        .args([WORKER, &std::process::id().to_string()])
        .args(["--backend", &backend.to_string()])
        .env("PATH", crate::pool::search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // What ends without reading says why.
        let _ = stdin.write_all(&task);
    }
    let deadline = LAB + EACH * u32::try_from(asked.len()).unwrap_or(u32::MAX);
    let (status, out, said) = outcome(child, deadline).map_err(|error| failed(&error))?;
    if !status {
        let said = said.trim().trim_start_matches("error: ");
        return Err(format!("the lab failed: {said}"));
    }
    serde_json::from_slice(&out).map_err(|error| failed(&error))
}

/// Whether the process ended well in time, and what it printed.
fn outcome(mut child: Child, deadline: Duration) -> std::io::Result<(bool, Vec<u8>, String)> {
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = out.map(|mut out| out.read_to_end(&mut bytes));
        bytes
    });
    let said = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = said.map(|mut said| said.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let end = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status.success();
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            let ms = deadline.as_millis();
            return Err(std::io::Error::other(format!(
                "it did not answer within {ms} ms"
            )));
        }
        std::thread::sleep(LOOK);
    };
    let out = out.join().unwrap_or_default();
    Ok((status, out, said.join().unwrap_or_default()))
}

/// The worker's side, in the namespaces of the lab.
///
/// # Errors
/// When the lab cannot be made. What libvirt refuses is an answer.
pub async fn answer(
    asked: &[Wanted],
    backend: Backend,
) -> Result<Vec<Result<InterfaceRules, String>>, LabError> {
    let pair = Pair::up(Shortcuts::all(), backend).await?;
    let mut answers = Vec::new();
    for wanted in asked {
        let answer = bound(&pair, wanted);
        if answer.is_err() {
            if let Some(fault) = pair.fault() {
                return Err(LabError::host(fault, "try again"));
            }
            pair.forget_refusal()?;
        }
        answers.push(answer);
        for (name, _) in wanted.filters.iter().rev() {
            // What was not defined cannot be undefined.
            let _ = pair.libvirt.undefine_filter(name);
        }
    }
    Ok(answers)
}

fn bound(pair: &Pair, wanted: &Wanted) -> Result<InterfaceRules, String> {
    let text = |error: LabError| error.to_string();
    for (name, xml) in &wanted.filters {
        pair.libvirt.define_filter(name, xml).map_err(text)?;
    }
    let device = pair.device();
    let binding = pair.libvirt.bind(&BindingSpec {
        device,
        mac: wanted.mac,
        filter: &wanted.top,
        parameters: &wanted.parameters,
    });
    let binding = binding.map_err(text)?;
    let read = read().map_err(|error: HostError| error.to_string());
    Binding::remove(binding).map_err(text)?;
    Ok(Ruleset::of(&read?).interface(device, Some(wanted.mac)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::kernel::Layer;
    use crate::nwfilter::generate;
    use crate::policy::Policy;
    use rstest::rstest;

    const OWN: Mac = [0x52, 0x54, 0, 0, 0, 9];

    fn wanted(xml: &str, mac: Mac) -> Wanted {
        let filters = HashMap::from([("f".to_owned(), xml.to_owned())]);
        Prepared::of(&filters, "f", &[])
            .expect("it is defined")
            .wanted(mac)
    }

    /// A learnt address stands in numbers of raw payload too, which nft shows for RARP.
    #[test]
    fn a_learnt_address_is_put_into_every_rule() {
        let text = |rule: &str| InterfaceRules {
            chains: vec![(Layer::Nftables, rule.to_owned())],
            ..InterfaceRules::default()
        };
        let rules = text("DEVICE-out ip saddr 192.0.2.77 @nh,112,64 0x0003c000024d accept");
        let wanted = text("DEVICE-out ip saddr 10.0.0.9 @nh,112,64 0x00030a000009 accept");
        assert_eq!(with_address(rules, "192.0.2.77", "10.0.0.9"), wanted);
    }

    /// A thousand guests with one filter need one lab binding, not a thousand.
    #[test]
    fn the_generated_filter_is_asked_for_once() {
        let mut policy = Policy::example();
        policy.name = "f".into();
        let xml = write(&generate(&policy));
        assert_eq!(wanted(&xml, OWN), wanted(&xml, [0x52, 0x54, 0, 0, 0, 8]));
    }

    #[rstest]
    #[case::no_mac("<mac protocolid='arp'/>", false)]
    #[case::own("<mac srcmacaddr='$MAC'/>", false)]
    #[case::own_whole("<mac srcmacaddr='$MAC' srcmacmask='FF:ff:ff:ff:ff:ff'/>", false)]
    #[case::own_masked("<mac srcmacaddr='$MAC' srcmacmask='ff:ff:ff:00:00:00'/>", true)]
    #[case::another_masked(
        "<mac srcmacaddr='$MAC' dstmacaddr='1:0:5e:0:0:0' dstmacmask='ff:ff:ff:0:0:0'/>",
        false
    )]
    #[case::named("<mac srcmacaddr='52:54:00:00:00:09'/>", true)]
    #[case::another_named("<mac srcmacaddr='52:54:00:00:00:08'/>", false)]
    #[case::the_one_for_any("<mac srcmacaddr='52:54:00:6c:66:01'/>", true)]
    #[case::named_with_others(
        "<mac srcmacaddr='52:54:0:0:0:0' srcmacmask='ff:ff:ff:ff:0:0'/>",
        true
    )]
    #[case::named_with_all("<mac srcmacaddr='52:54:0:0:0:0' srcmacmask='ff:ff:0:0:0:0'/>", false)]
    #[case::by_a_variable("<mac srcmacaddr='$OTHERS'/>", true)]
    #[case::an_address_by_a_variable("<ip srcipaddr='$IP'/>", false)]
    fn a_guest_of_its_own(#[case] element: &str, #[case] own: bool) {
        let xml = format!(
            "<filter name='f' chain='root'><rule action='drop' direction='out'>{element}</rule></filter>"
        );
        assert_eq!(wanted(&xml, OWN).mac, if own { OWN } else { ANY_MAC });
    }
}
