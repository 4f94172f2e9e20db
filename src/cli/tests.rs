use super::*;

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn every_command_and_flag_has_help_and_every_command_examples() {
    fn check(command: &clap::Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name}");
        let after = command.get_after_help().map(ToString::to_string);
        let has_examples = after.is_some_and(|after| after.contains("Examples:\n  "));
        assert!(has_examples, "{name} has no examples");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{name} {}",
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(check);
    }
    check(&command());
}

#[test]
fn a_failure_is_one_line_without_control_characters() {
    let error = anyhow::anyhow!("a\nb\u{1b}[31m").context("c");
    assert_eq!(one_line(&error), "c: a b [31m");
}
