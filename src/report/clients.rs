//! The DHCP clients of the cells: the grid that table and Markdown share, and
//! what its checksums mean for old guests.

use crate::frame::Checksum;
use crate::report::findings::{labels, list};
use crate::report::matrix;
use crate::report::model::{BackEnd, Cell, ClientRun, DhcpClient, DhcpClients, Run};
use crate::report::text::clean;

/// Title of the section.
pub const TITLE: &str = "DHCP clients of other systems";

/// What to know to read the grid.
pub const REMARK: &str =
    "milliseconds to get the lease + to renew it; in parentheses: without the filter";

/// What the NIC's owner can do.
const CURE: &str = "The cure is pcnet, rtl8139 or e1000, or <driver name='qemu'/>.";

/// Where the unfinished checksums come from (measured: docs/measurements.md#M46).
const WHERE: &str = "So it is where the DHCP server runs on the host itself, at a bridge of the host's \
                     own. libvirt's own networks finish these checksums (an iptables CHECKSUM rule, or \
                     a tc filter with firewall_backend = \"nftables\").";

/// A grid: what the first column is called, the others, and the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Name of the first column.
    pub corner: &'static str,
    /// Names of the others.
    pub columns: Vec<String>,
    /// The first entry of each row, and the rest.
    pub rows: Vec<(String, Vec<String>)>,
}

/// The clients by cell, or the cells by client where there are many; none where no
/// cell had clients.
pub fn grid(run: &Run) -> Option<Grid> {
    let cells = cells(run);
    let (_, longest) = cells.iter().max_by_key(|(_, of)| of.clients.len())?;
    let columns: Vec<Vec<String>> = cells.iter().map(|(_, of)| entries(of, longest)).collect();
    let labels = cells.iter().map(|(label, _)| label.clone());
    if matrix::suits(run) {
        let names = longest.clients.iter().map(|client| clean(&client.name));
        return Some(Grid {
            corner: "cell",
            columns: names.chain(["tap".into(), "guest".into()]).collect(),
            rows: labels.zip(columns).collect(),
        });
    }
    let sums = ["checksums at the tap", "checksums at the guest"];
    let names = longest.clients.iter().map(heading);
    let names = names.chain(sums.map(str::to_owned)).enumerate();
    let row = |at: usize| columns.iter().map(|column| column[at].clone()).collect();
    Some(Grid {
        corner: "client",
        columns: labels.collect(),
        rows: names.map(|(at, name)| (name, row(at))).collect(),
    })
}

fn cells(run: &Run) -> Vec<(String, &DhcpClients)> {
    let labelled = labels(run).into_iter().zip(&run.cells);
    labelled
        .filter_map(|(label, cell)| Some((label, cell.dhcp.as_ref()?)))
        .filter(|(_, of)| !of.clients.is_empty())
        .collect()
}

fn heading(client: &DhcpClient) -> String {
    let how = if client.strict { ", checks sums" } else { "" };
    format!("{}{how}", clean(&client.system))
}

/// A cell's entries: one a client of `like`, then the checksums.
fn entries(of: &DhcpClients, like: &DhcpClients) -> Vec<String> {
    let entry = |wanted: &DhcpClient| {
        let found = of.clients.iter().find(|client| client.name == wanted.name);
        found.map_or_else(|| "-".into(), entry)
    };
    let mut all: Vec<String> = like.clients.iter().map(entry).collect();
    all.extend([of.at_tap(), of.at_guest()].map(|sum| sum.map_or("-", word).to_owned()));
    all
}

fn entry(client: &DhcpClient) -> String {
    match &client.filtered {
        Some(run) => figures(run),
        None => format!("({})", figures(&client.control)),
    }
}

fn figures(run: &ClientRun) -> String {
    let ms = |us: Option<u64>| {
        us.map_or_else(
            || "-".into(),
            |us| format!("{}.{}", us / 1000, us % 1000 / 100),
        )
    };
    if run.refused {
        return "refused".into();
    }
    if run.failure.is_some() {
        return "failed".into();
    }
    format!("{} + {}", ms(run.bound_us), ms(run.renewed_us))
}

/// A checksum in words.
fn word(sum: Checksum) -> &'static str {
    match sum {
        Checksum::Complete => "complete",
        Checksum::Partial => "left to offload",
        Checksum::Zero => "none",
        Checksum::Bad => "bad",
    }
}

/// What the checksums mean: one text for each effect, with the cells that have it.
pub fn consequences(run: &Run) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (label, cell) in labels(run).into_iter().zip(&run.cells) {
        for text in of_cell(cell) {
            match found.iter_mut().find(|(known, _)| *known == text) {
                Some((_, cells)) => cells.push(label.clone()),
                None => found.push((text, vec![label.clone()])),
            }
        }
    }
    let print = |(text, cells): (String, Vec<String>)| format!("{}: {text}", list(&cells, run));
    found.into_iter().map(print).collect()
}

fn of_cell(cell: &Cell) -> Vec<String> {
    let Some(of) = &cell.dhcp else {
        return Vec::new();
    };
    let unfinished = |sum: Option<Checksum>| sum.is_some_and(|sum| !sum.adds_up());
    let mut texts = Vec::new();
    if unfinished(of.at_guest()) && cell.back_end == Some(BackEnd::VhostNet) {
        let state = of.at_guest().map_or("", word);
        texts.push(format!(
            "vhost-net carries the NIC and hands the guest the server's answers as they reach the \
             tap, with UDP checksums that do not add up ({state}). A client that checks checksums \
             ignores them. {WHERE} {CURE}"
        ));
    } else if unfinished(of.at_guest()) {
        let state = of.at_guest().map_or("", word);
        texts.push(format!(
            "the server's answers reach the guest with UDP checksums that do not add up ({state}). \
             A client that checks checksums ignores them. {CURE}"
        ));
    } else if unfinished(of.at_tap()) && of.vhost.is_empty() {
        texts.push(
            "the server's answers reach the tap with unfinished UDP checksums, and QEMU's model of \
             the NIC finishes them: a client that checks checksums accepts them"
                .to_owned(),
        );
    } else if unfinished(of.at_tap()) {
        let shown = shown_on_vhost(of);
        texts.push(format!(
            "the server's answers reach the tap with unfinished UDP checksums, and QEMU's own back \
             end finishes them for DHCP. vhost-net does not{shown}. A client that checks checksums \
             would not hear them. {WHERE} {CURE}"
        ));
    }
    let failed = of
        .clients
        .iter()
        .filter(|client| client.control.failure.is_some());
    texts.extend(failed.map(|client| {
        let why = client.control.failure.as_deref().unwrap_or_default();
        format!(
            "without the filter, the client of {}: {}",
            clean(&client.system),
            clean(why)
        )
    }));
    texts
}

/// What was seen on a tap as vhost-net reads it.
fn shown_on_vhost(of: &DhcpClients) -> String {
    let names = |refused: bool| {
        let some = of
            .vhost
            .iter()
            .filter(|client| client.control.refused == refused);
        let names: Vec<String> = some.map(|client| clean(&client.system)).collect();
        names.join(", ")
    };
    match (names(true).as_str(), names(false).as_str()) {
        ("", _) => String::new(),
        (refused, "") => format!(" (on a tap that is read as it does, {refused} refused them)"),
        (refused, took) => {
            format!(" (on a tap that is read as it does, {refused} refused them; {took} took them)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use rstest::rstest;

    #[rstest]
    #[case::done(ClientRun { bound_us: Some(12_345), renewed_us: Some(950), ..ClientRun::default() }, "12.3 + 0.9")]
    #[case::refused(ClientRun { refused: true, failure: Some("x".into()), ..ClientRun::default() }, "refused")]
    #[case::failed(ClientRun { bound_us: Some(1), failure: Some("x".into()), ..ClientRun::default() }, "failed")]
    fn entries_are_short(#[case] run: ClientRun, #[case] expected: &str) {
        assert_eq!(figures(&run), expected);
    }

    #[test]
    fn what_the_guest_gets_counts_more_than_what_the_tap_gets() {
        let mut run = examples::clients();
        let told = consequences(&run).join("\n");
        assert!(
            told.starts_with("virtio: ") && told.contains("QEMU's own back end"),
            "{told}"
        );
        // Only virtio can be given to vhost-net.
        run.cells[1].dhcp.as_mut().unwrap().vhost.clear();
        let told = consequences(&run).join("\n");
        assert!(
            told.contains("model of the NIC finishes them") && !told.contains(CURE),
            "{told}"
        );
        for client in &mut run.cells[1].dhcp.as_mut().unwrap().clients {
            client.control.at_guest = Some(Checksum::Partial);
        }
        let told = consequences(&run).join("\n");
        assert!(
            told.contains("reach the guest") && told.contains(CURE),
            "{told}"
        );
    }

    #[test]
    fn many_cells_get_a_line_each() {
        let mut run = examples::clients();
        while !matrix::suits(&run) {
            let mut more = run.cells[0].clone();
            more.name = format!("linux/{}", run.cells.len());
            run.cells.push(more);
        }
        let grid = grid(&run).unwrap();
        assert_eq!((grid.corner, grid.rows.len()), ("cell", run.cells.len()));
        assert!(
            grid.rows
                .iter()
                .all(|row| row.1.len() == grid.columns.len())
        );
    }

    #[test]
    fn a_run_without_clients_has_no_section() {
        assert_eq!(grid(&examples::green()), None);
        assert!(consequences(&examples::green()).is_empty());
    }
}
