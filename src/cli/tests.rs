use super::*;

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn every_command_and_flag_has_help() {
    fn check(command: &clap::Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name}");
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
