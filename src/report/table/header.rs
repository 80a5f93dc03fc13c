//! What ran: filter, policy, accelerator, versions.

use super::page::Page;
use crate::nwfilter::Parameter;
use crate::report::color::Paint;
use crate::report::matrix;
use crate::report::model::{Cell, FilterInfo, Host, Run};
use crate::report::text::{clean, plural};
use crate::report::titles;

/// Column at which the values start.
const COLUMN: usize = 13;

pub(super) fn print(page: &mut Page, run: &Run) {
    page.entry("lanfence", &clean(&run.version), Paint::bold);
    let started = run.started.as_deref().map(clean).unwrap_or_default();
    let without = titles::left_out(&run.filter.left_out).unwrap_or_default();
    let fields = [
        ("filter", filter_line(&run.filter)),
        ("with", parameters_line(&run.filter)),
        ("without", clean(&without)),
        ("policy", clean(&run.policy)),
        ("cells", cells(run)),
        ("accelerator", accelerator_line(&run.host)),
        ("host", host_line(&run.host)),
        ("guest", with_name("Linux", &run.host.guest_kernel)),
        ("LAN", segment(&run.host)),
        ("sysctls", clean(&run.host.sysctls.join(" "))),
        ("started", started),
    ];
    for (name, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
        page.field(0, name, COLUMN, text, Paint::bold);
    }
}

/// The filter under test in one line; also for the other renderers.
pub(in crate::report) fn filter_line(filter: &FilterInfo) -> String {
    let source = clean(&filter.source);
    match &filter.name {
        None => "none: every frame must get through".to_owned(),
        Some(name) => format!(
            "{}, {source}, {}",
            clean(name),
            plural(filter.rules, "rule")
        ),
    }
}

/// What the filter is bound with; also for the other renderers.
pub(in crate::report) fn parameters_line(filter: &FilterInfo) -> String {
    let texts = filter.parameters.iter().map(Parameter::text);
    clean(&join(texts, ", "))
}

/// `tcg (asked for)`.
pub(in crate::report) fn accelerator_line(host: &Host) -> String {
    let (accel, reason) = (clean(&host.accel), clean(&host.accel_reason));
    if reason.is_empty() {
        accel
    } else {
        format!("{accel} ({reason})")
    }
}

/// Kernel, libvirt, QEMU and privilege in one line.
pub(in crate::report) fn host_line(host: &Host) -> String {
    let parts = [
        with_name("Linux", &host.kernel),
        libvirt(host),
        with_name("QEMU", &host.qemu),
        clean(&host.privilege),
    ];
    join(parts.into_iter().filter(|part| !part.is_empty()), ", ")
}

/// What the LAN was to libvirt, where it was not a bridge as usual.
fn segment(host: &Host) -> String {
    match clean(&host.segment).as_str() {
        "" | "bridge" => String::new(),
        "network" => {
            "as in a network of libvirt's: the checksums of the DHCP server are finished".into()
        }
        other => other.to_owned(),
    }
}

/// `libvirt 12.9.0 with nftables`.
fn libvirt(host: &Host) -> String {
    let (libvirt, backend) = (with_name("libvirt", &host.libvirt), clean(&host.backend));
    if backend.is_empty() {
        libvirt
    } else {
        format!("{libvirt} with {backend}")
    }
}

fn with_name(name: &str, version: &str) -> String {
    let version = clean(version);
    if version.is_empty() {
        version
    } else {
        format!("{name} {version}")
    }
}

/// Each with its driver, or how many where the grid has a line for each.
fn cells(run: &Run) -> String {
    if matrix::suits(run) {
        return run.cells.len().to_string();
    }
    join(run.cells.iter().map(cell), ", ")
}

fn cell(cell: &Cell) -> String {
    let driver = cell.driver.as_deref().map(|it| with_name("driver", it));
    let back_end = cell.back_end.map(|it| with_name("back end", it.name()));
    let facts = join(driver.into_iter().chain(back_end), ", ");
    if facts.is_empty() {
        clean(&cell.name)
    } else {
        format!("{} ({facts})", clean(&cell.name))
    }
}

fn join(parts: impl Iterator<Item = String>, by: &str) -> String {
    parts.collect::<Vec<_>>().join(by)
}
