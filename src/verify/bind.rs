//! Binding the filter under test to the guest's NIC.

use super::VerifyError;
use super::cell::CellContext;
use super::filter::FilterText;
use super::job::{InjectedFault, Job};
use crate::guest::{FilterRef, Interface, Machine};
use crate::lab::{Binding, BindingSpec, Lab, ruleset};
use crate::layout::Host;
use crate::nwfilter::{self, Filter};
use std::net::Ipv4Addr;

/// The variable that libvirt learns from the guest's traffic where it is not given.
const IP: &str = "IP";

/// Binds the filter through libvirt and checks that its rules are really in the kernel.
///
/// # Errors
/// [`VerifyError::Refused`] where libvirt does not take it, [`VerifyError::NoRules`] where
/// that has no effect.
pub fn bind(
    context: &CellContext<'_>,
    guest: &mut Machine,
    address: Ipv4Addr,
) -> Result<(), VerifyError> {
    let Some(reference) = reference(context.job, address) else {
        return Ok(());
    };
    let bound = guest.set_filter(Some(reference));
    bound.map_err(|error| match error {
        error if guest.alive() => refused(context.lab, error.into()),
        // A guest that died meanwhile is no refusal.
        error => error.into(),
    })?;
    in_force(context, guest)
}

/// What the NIC refers to; none where there is no filter to verify.
pub fn reference(job: &Job, address: Ipv4Addr) -> Option<FilterRef> {
    let filter = job.bind.clone()?;
    let parameters = parameters(job, &tree(job), address);
    Some(FilterRef { filter, parameters })
}

/// Binds the filter to a tap without a guest, and checks the same; none where
/// there is no filter to verify.
///
/// # Errors
/// As of [`bind`].
pub fn bind_tap(
    context: &CellContext<'_>,
    tap: &str,
    guest: &Host,
) -> Result<Option<Binding>, VerifyError> {
    let Some(reference) = reference(context.job, guest.v4) else {
        return Ok(None);
    };
    let spec = BindingSpec {
        device: tap,
        mac: guest.mac,
        filter: &reference.filter,
        parameters: &reference.parameters,
    };
    let bound = context.lab.libvirt.bind(&spec);
    let bound = bound.map_err(|error| refused(context.lab, error.into()))?;
    has_rules(context, tap, &reference.filter)?;
    Ok(Some(bound))
}

/// Checks that the filter is in force that the guest's NIC had from the start, and breaks
/// it where the job wants that.
///
/// # Errors
/// [`VerifyError::NoRules`], or what the kernel's tools print when they fail.
pub fn in_force_from_the_start(
    context: &CellContext<'_>,
    guest: &Machine,
) -> Result<(), VerifyError> {
    in_force(context, guest)?;
    if context.job.inject == Some(InjectedFault::FlushBeforeFirstFrame) {
        ruleset::flush_layer2(context.lab.libvirt.backend())?;
    }
    Ok(())
}

/// Checks that the kernel has rules for the guest's NIC where the filter has any.
///
/// # Errors
/// [`VerifyError::NoRules`] where it has none.
fn in_force(context: &CellContext<'_>, guest: &Machine) -> Result<(), VerifyError> {
    let Interface { tap, filter, .. } = guest.interface();
    let filter = filter.as_ref().map_or("no filter", |filter| &filter.filter);
    has_rules(context, tap, filter)
}

/// That libvirt lists a binding proves nothing, so the rules themselves are looked for.
fn has_rules(context: &CellContext<'_>, tap: &str, filter: &str) -> Result<(), VerifyError> {
    let installed = ruleset::installed(tap, context.lab.libvirt.backend())?;
    let wanted = tree(context.job)
        .iter()
        .any(|filter| filter.rule_count() > 0);
    if wanted && !installed.hooked {
        return Err(VerifyError::NoRules {
            filter: filter.to_owned(),
            tap: tap.to_owned(),
            found: format!("{installed:?}"),
        });
    }
    Ok(())
}

fn tree(job: &Job) -> Vec<Filter> {
    let read = |filter: &FilterText| nwfilter::read(&filter.xml, &filter.name).ok();
    job.filters.iter().filter_map(read).collect()
}

/// What the user gave, and the guest's address where a filter asks for it:
/// libvirt would learn the same from the guest's traffic, but some time after the
/// binding, and until then other rules are in force.
fn parameters(job: &Job, tree: &[Filter], address: Ipv4Addr) -> Vec<(String, String)> {
    let mut all = job.parameters.clone();
    let given = all.iter().any(|(name, _)| name == IP);
    let asked = tree
        .iter()
        .any(|filter| filter.variables().any(|name| name == IP));
    if asked && !given {
        all.push((IP.into(), address.to_string()));
    }
    all
}

/// What libvirt says of a filter: a refusal, unless libvirt itself is gone.
pub fn refused(lab: &Lab, error: VerifyError) -> VerifyError {
    if lab.libvirt.alive() {
        VerifyError::Refused(Box::new(error))
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::cache::Cache;
    use crate::verify::filter::FilterUnderTest;
    use rstest::rstest;

    const USES: &str = "<filter name='f'><rule action='drop' direction='out'><ip match='no' srcipaddr='$IP'/></rule></filter>";
    const USES_NOT: &str = "<filter name='f'><rule action='drop' direction='out'><ip srcipaddr='10.0.0.1'/></rule></filter>";

    #[rstest]
    #[case::asked_for(USES, None, Some("192.168.1.50"))]
    #[case::given(USES, Some("10.0.0.9"), Some("10.0.0.9"))]
    #[case::not_asked_for(USES_NOT, None, None)]
    fn the_guests_address_is_given_where_it_is_asked_for(
        #[case] xml: &str,
        #[case] given: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let pair = |value: &str| (IP.to_owned(), value.to_owned());
        let dir = tempfile::tempdir().expect("a directory");
        let (cache, none) = (Cache::at(dir.path()), FilterUnderTest::none());
        let job = Job::new(("", "test"), &none, &cache).expect("a cache");
        let job = Job {
            parameters: given.map(pair).into_iter().collect(),
            ..job
        };
        let tree = [nwfilter::read(xml, "test").unwrap()];
        let all = parameters(&job, &tree, Ipv4Addr::new(192, 168, 1, 50));
        assert_eq!(all, expected.map(pair).into_iter().collect::<Vec<_>>());
    }
}
