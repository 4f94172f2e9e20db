//! `lastseen man`: manual pages, one for each command, made from the definitions.

mod page;
#[cfg(test)]
mod tests;

use super::{command, output};
use anyhow::Context as _;
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// Print the manual page of lastseen, or write those of all commands to a directory
#[derive(Args, Debug)]
#[command(
    after_help = "Pages that are there are replaced.\n\nExamples:\n  lastseen man | man -l -\n  lastseen man ~/.local/share/man/man1\n  man lastseen-prune"
)]
pub(super) struct Arguments {
    /// The directory, which is made where it is missing; without it the main page goes to standard output
    dir: Option<PathBuf>,
    /// With DIR: report as a JSON object
    #[arg(long, requires = "dir")]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut pages = pages()?;
    let Some(folder) = &arguments.dir else {
        let main = pages.remove(0);
        return output::write(&main.text);
    };
    let shown = folder.display();
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {shown}; give a directory that can be written"))?;
    for page in &pages {
        let file = folder.join(&page.file);
        fs::write(&file, &page.text).with_context(|| {
            format!(
                "cannot write {}; give a directory that can be written",
                file.display()
            )
        })?;
    }
    if arguments.json {
        let files: Vec<_> = pages.iter().map(|page| &page.file).collect();
        return output::print_json(&serde_json::json!({ "dir": folder, "files": files }));
    }
    let shown = output::plain(&shown.to_string());
    output::print(format!("wrote {} pages to {shown}\n", pages.len()))
}

/// A manual page.
struct Page {
    /// `lastseen-user-add.1`
    file: String,
    text: Vec<u8>,
}

/// Every page, that of `lastseen` itself first, each command before those in it.
fn pages() -> anyhow::Result<Vec<Page>> {
    let mut root = command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages)?;
    Ok(pages)
}

fn add(
    command: &clap::Command,
    parent: Option<&clap::Command>,
    pages: &mut Vec<Page>,
) -> anyhow::Result<()> {
    pages.push(Page {
        file: format!("{}.1", page::name(command)),
        text: page::render(command, parent).context("cannot write a page")?,
    });
    for inner in page::inner(command) {
        add(inner, Some(command), pages)?;
    }
    Ok(())
}
