//! `lastseen completions`: what a shell needs to complete commands and flags, made from the definitions.

use super::{command, output};
use clap::Args;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen completions bash > /usr/share/bash-completion/completions/lastseen\n  lastseen completions zsh > /usr/share/zsh/site-functions/_lastseen\n  lastseen completions fish > ~/.config/fish/completions/lastseen.fish\n  source <(lastseen completions bash)"
)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    output::write(&script(arguments.shell))
}

/// In memory first: its reader may go, which is for [`output`] to tell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "lastseen", &mut script);
    script
}
