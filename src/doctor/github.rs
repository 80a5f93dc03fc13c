//! The step of a GitHub workflow that cures a runner.

use super::trial::{State, Subject, Trial};
use std::fmt::Write as _;

/// A step with the commands of all cures; none where no cure is a command. A command for what a run
/// can do without does not end the step where it fails.
pub fn step(trials: &[Trial], needs_kvm: bool) -> Option<String> {
    let line = |trial: &Trial| {
        let command = command(trial)?;
        let needed =
            trial.subject.without().is_none() || (needs_kvm && trial.subject == Subject::Kvm);
        let spared = if needed { "" } else { " || true" };
        Some(format!("{command}{spared}"))
    };
    let commands: Vec<String> = trials.iter().filter_map(line).collect();
    if commands.is_empty() {
        return None;
    }
    let mut out = "- name: Let lanfence run its lab\n  run: |\n".to_owned();
    for command in commands {
        let _ = writeln!(out, "    {command}");
    }
    Some(out)
}

/// The first command of a cure that fails: what stands between the first backticks.
fn command(trial: &Trial) -> Option<&str> {
    let cure = match &trial.state {
        State::Fails { cure, .. } => cure,
        State::NotTried { cure, .. } => cure.as_ref()?,
        State::Works { .. } => return None,
    };
    cure.split('`').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_every_command() {
        let trials = [
            Trial::works(Subject::Dnsmasq, "it does `this`"),
            Trial::fails(
                Subject::Tun,
                "closed",
                "`sudo chmod 0666 /dev/net/tun`, or be root",
            ),
            Trial::fails(Subject::Namespaces, "no", "run as root"),
            Trial::fails(Subject::Kvm, "closed", "`sudo chmod 0666 /dev/kvm`"),
        ];
        insta::assert_snapshot!(step(&trials, true).unwrap(), @r"
        - name: Let lanfence run its lab
          run: |
            sudo chmod 0666 /dev/net/tun
            sudo chmod 0666 /dev/kvm
        ");
        assert_eq!(step(&trials[..1], true), None);
        let spared = step(&trials, false).unwrap();
        assert!(
            spared.contains("sudo chmod 0666 /dev/kvm || true\n"),
            "{spared}"
        );
        assert!(
            spared.contains("sudo chmod 0666 /dev/net/tun\n"),
            "{spared}"
        );
    }
}
