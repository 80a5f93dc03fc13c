//! Binding the filter under test to the guest's NIC.

use super::VerifyError;
use super::cell::CellContext;
use super::faults::{self, InjectedFault};
use super::filter::FilterText;
use super::job::Job;
use crate::guest::{FilterRef, Interface, Machine};
use crate::lab::{Binding, BindingSpec, Lab, ruleset};
use crate::layout::Host;
use crate::nwfilter::learning::Learning;
use crate::nwfilter::{self, Filter};

/// Binds the filter through libvirt and checks that its rules are really in the kernel; all the
/// rules that are there then.
///
/// # Errors
/// [`VerifyError::Refused`] where libvirt does not take it, [`VerifyError::NoRules`] where
/// that has no effect.
pub fn bind(context: &CellContext<'_>, guest: &mut Machine) -> Result<String, VerifyError> {
    let Some(reference) = reference(context.job) else {
        return Ok(ruleset::evidence());
    };
    let bound = guest.set_filter(Some(reference));
    bound.map_err(|error| match error {
        error if guest.alive() => refused(context.lab, error.into()),
        // A guest that died meanwhile is no refusal.
        error => error.into(),
    })?;
    in_force(context, guest)
}

/// What the NIC refers to, with the parameters that the user gave and no others; none where there
/// is no filter to verify.
pub fn reference(job: &Job) -> Option<FilterRef> {
    Some(FilterRef {
        filter: job.bind.clone()?,
        parameters: job.parameters.clone(),
    })
}

/// Binds the filter to a tap without a guest, and checks the same; no binding where
/// there is no filter to verify.
///
/// # Errors
/// As of [`bind`].
pub fn bind_tap(
    context: &CellContext<'_>,
    tap: &str,
    guest: &Host,
) -> Result<(Option<Binding>, String), VerifyError> {
    let Some(reference) = reference(context.job) else {
        return Ok((None, ruleset::evidence()));
    };
    let mut spec = BindingSpec {
        device: tap,
        mac: guest.mac,
        filter: &reference.filter,
        parameters: &reference.parameters,
    };
    if !faults::spoil_binding(context.job.inject, &mut spec) {
        let rules = has_rules(context, tap, &reference.filter)?;
        return Ok((None, rules));
    }
    let bound = context.lab.libvirt.bind(&spec);
    let bound = bound.map_err(|error| refused(context.lab, error.into()))?;
    let rules = has_rules(context, tap, &reference.filter)?;
    Ok((Some(bound), rules))
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
fn in_force(context: &CellContext<'_>, guest: &Machine) -> Result<String, VerifyError> {
    let Interface { tap, filter, .. } = guest.interface();
    let filter = filter.as_ref().map_or("no filter", |filter| &filter.filter);
    has_rules(context, tap, filter)
}

/// That libvirt lists a binding proves nothing, so the rules themselves are looked for. While
/// libvirt learns the guest's address they come and go, and the probes tell what passes.
fn has_rules(context: &CellContext<'_>, tap: &str, filter: &str) -> Result<String, VerifyError> {
    is_as_defined(context)?;
    let rules = ruleset::evidence();
    if context.job.learning.is_some() {
        return Ok(rules);
    }
    let installed = ruleset::installed(&rules, tap, context.lab.libvirt.backend())?;
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
    Ok(rules)
}

/// Waits for libvirt before a filter is taken away whose rules it makes anew by itself.
///
/// # Errors
/// When the kernel's rules cannot be read.
pub async fn settled(context: &CellContext<'_>) -> Result<(), VerifyError> {
    if context.job.learning == Some(Learning::Dhcp) {
        ruleset::settled(context.lab.libvirt.backend(), context.lab.slowness).await?;
    }
    Ok(())
}

/// That libvirt still has the filters as they were given to it: it makes rules of what it has.
fn is_as_defined(context: &CellContext<'_>) -> Result<(), VerifyError> {
    let given = context.job.filters.iter().filter(|filter| !filter.shipped);
    for filter in given {
        let dumped = context.lab.libvirt.filter_xml(&filter.name)?;
        if let Some(difference) = difference(filter, &dumped)? {
            let filter = filter.name.clone();
            return Err(VerifyError::FilterChanged { filter, difference });
        }
    }
    Ok(())
}

/// In what libvirt's dump of a filter differs from what was given to it: libvirt silently
/// ignores what it does not know (measured: docs/measurements.md#M6).
///
/// # Errors
/// [`VerifyError::UnreadableFilter`] when one of both cannot be read.
pub fn difference(filter: &FilterText, dumped: &str) -> Result<Option<String>, VerifyError> {
    let read = |text: &str, origin: &str| {
        let read = nwfilter::read(text, origin);
        read.map_err(|source| VerifyError::UnreadableFilter {
            filter: filter.name.clone(),
            source,
        })
    };
    let given = read(&filter.xml, "the filter")?;
    let dumped = read(dumped, "libvirt's dump")?;
    Ok(nwfilter::difference(&given, &dumped))
}

fn tree(job: &Job) -> Vec<Filter> {
    let read = |filter: &FilterText| nwfilter::read(&filter.xml, &filter.name).ok();
    job.filters.iter().filter_map(read).collect()
}

/// What libvirt says of a filter: a refusal, unless libvirt itself is gone.
pub fn refused(lab: &Lab, error: VerifyError) -> VerifyError {
    if lab.libvirt.alive() {
        VerifyError::Refused(Box::new(error))
    } else {
        error
    }
}
