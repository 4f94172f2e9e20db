//! One manual page. clap_mangen writes names and options; the text after a command's help, which it would fill into one
//! paragraph, is read here: what stands under `Examples:` and other indented lines stay as they are.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::collections::BTreeMap;
use std::io;

/// Section 1: commands.
const SECTION: &str = "1";

/// `lastseen-user-add`
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// The commands in it that are shown.
pub(super) fn inner(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
}

/// The page of a command that has been built.
pub(super) fn render(command: &Command, parent: Option<&Command>) -> io::Result<Vec<u8>> {
    // Neither date nor version, so that a page changes only when what it says does.
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .section(SECTION)
        .source("lastseen")
        .manual("lastseen");
    let after = After::read(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // What is typed must not be broken, least of all where no hyphen is.
    page.extend(b".nh\n.ad l\n");
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    prose(&after.text).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if inner(command).next().is_some() {
        let mut heading = Roff::new();
        heading.control("SH", ["COMMANDS"]);
        for inner in inner(command) {
            heading.control("TP", []);
            heading.text([bold(format!("{}({SECTION})", name(inner)))]);
            let about = inner.get_about().map(ToString::to_string);
            heading.text([roman(about.unwrap_or_default())]);
        }
        heading.to_writer(&mut page)?;
    }
    exit_status(command).to_writer(&mut page)?;
    environment(command, &after).to_writer(&mut page)?;
    if has_database(command) {
        files().to_writer(&mut page)?;
    }
    examples(&after.examples).to_writer(&mut page)?;
    see_also(command, parent).to_writer(&mut page)?;
    Ok(tidy(&page))
}

/// Each of the parts begins with the definition of the apostrophe; once is enough. No line ends in a space.
fn tidy(page: &[u8]) -> Vec<u8> {
    let page = String::from_utf8_lossy(page);
    let mut text = String::with_capacity(page.len());
    let mut is_defined = false;
    for line in page.lines() {
        let defines = line.starts_with(".ie \\n(.g .ds Aq") || line.starts_with(".el .ds Aq");
        if defines && is_defined {
            continue;
        }
        is_defined |= line.starts_with(".el .ds Aq");
        text += line.trim_end();
        text.push('\n');
    }
    text.into_bytes()
}

fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:");
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (index, line) in usage.lines().map(str::trim).enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        let full = command.get_bin_name().unwrap_or(command.get_name());
        match line.strip_prefix(full) {
            Some(rest) => roff.text([bold(full), roman(rest)]),
            None => roff.text([roman(line)]),
        };
    }
    roff
}

/// What a command says after its help.
struct After {
    /// Lines of text and indented ones, as they come.
    text: Vec<String>,
    examples: Vec<String>,
}

impl After {
    fn read(command: &Command) -> Self {
        let help = command.get_after_help().map(ToString::to_string);
        let (mut text, mut examples) = (Vec::new(), Vec::new());
        let mut is_example = false;
        for line in help.unwrap_or_default().lines() {
            let indented = line.strip_prefix("  ");
            match indented {
                _ if line == "Examples:" => is_example = true,
                Some(example) if is_example => examples.push(example.to_owned()),
                _ => {
                    is_example = false;
                    text.push(line.to_owned());
                }
            }
        }
        Self { text, examples }
    }
}

/// Lines that are not indented are paragraphs, the others stay lines.
fn prose(lines: &[String]) -> Roff {
    let mut roff = Roff::new();
    let mut is_kept = false;
    for line in lines {
        let kept = line.strip_prefix("  ");
        if kept.is_some() != is_kept {
            is_kept = kept.is_some();
            set_kept(&mut roff, is_kept);
        }
        match kept {
            Some(line) => {
                roff.text([roman(line)]);
            }
            None if line.trim().is_empty() => {}
            None => {
                roff.control("PP", []);
                roff.text([roman(line.as_str())]);
            }
        }
    }
    if is_kept {
        set_kept(&mut roff, false);
    }
    roff
}

/// From here on lines are kept, and indented; or not any more.
fn set_kept(roff: &mut Roff, is_kept: bool) {
    if is_kept {
        roff.control("PP", [])
            .control("RS", ["4"])
            .control("nf", []);
    } else {
        roff.control("fi", []).control("RE", []);
    }
}

fn examples(lines: &[String]) -> Roff {
    let mut roff = Roff::new();
    if lines.is_empty() {
        return roff;
    }
    roff.control("SH", ["EXAMPLES"]);
    set_kept(&mut roff, true);
    for line in lines {
        roff.text([roman(line.as_str())]);
    }
    set_kept(&mut roff, false);
    roff
}

fn item(roff: &mut Roff, head: Inline, body: impl Into<String>) {
    roff.control("TP", []);
    roff.text([head]);
    roff.text([roman(body)]);
}

fn exit_status(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    item(
        &mut roff,
        bold("0"),
        "Done; also where the reader of its output went away.",
    );
    let failed = match name(command) {
        "lastseen-import" => {
            "It failed. One line for each bad line of the file, and one that begins with lastseen: and says what to do next, are on standard error."
        }
        _ => {
            "It failed, also by a bad value in the environment or the config file. One line on standard error says what to do next."
        }
    };
    item(&mut roff, bold("1"), failed);
    item(&mut roff, bold("2"), "The command line is wrong.");
    if matches!(name(command), "lastseen-serve" | "lastseen-demo") {
        item(
            &mut roff,
            bold("130, 143"),
            "A second SIGINT or SIGTERM came while it stopped.",
        );
    }
    roff
}

/// The variables that its help names: those of flags, and others.
fn environment(command: &Command, after: &After) -> Roff {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for line in &after.text {
        for variable in variables(line) {
            named.insert(variable, "See above.".to_owned());
        }
    }
    for argument in command.get_arguments() {
        let help = argument.get_help().map(ToString::to_string);
        for variable in variables(&help.unwrap_or_default()) {
            let body = match argument.get_long() {
                Some(flag) => format!("The same as --{flag}, which beats it."),
                None => "See above.".to_owned(),
            };
            named.insert(variable, body);
        }
    }
    let mut roff = Roff::new();
    if named.is_empty() {
        return roff;
    }
    roff.control("SH", ["ENVIRONMENT"]);
    if named.contains_key("LASTSEEN_CONFIG") {
        roff.text([roman(
            "Variables beat the config file, and flags beat variables. An empty LASTSEEN_CONFIG is none.",
        )]);
    }
    for (variable, body) in named {
        item(&mut roff, bold(variable), body);
    }
    if name(command) == "lastseen-demo" {
        item(
            &mut roff,
            bold("TMPDIR"),
            "Where the temporary folder is made; /tmp where it is not set.",
        );
    }
    if has_database(command) {
        item(
            &mut roff,
            bold("NO_COLOR"),
            "Where it is set, nothing is coloured, a terminal or not.",
        );
    }
    roff
}

/// Every `LASTSEEN_…` in it, but for a pattern such as `LASTSEEN_*`.
fn variables(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(move |c| !is_part(c));
    let ours = words.filter(|word| word.starts_with("LASTSEEN_") && !word.ends_with('_'));
    ours.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn has_database(command: &Command) -> bool {
    let mut arguments = command.get_arguments();
    arguments.any(|argument| argument.get_long() == Some("database"))
}

fn files() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    item(
        &mut roff,
        italic("lastseen.db"),
        "The database in the current directory, where --database names no other. While it is open, lastseen.db-wal and lastseen.db-shm belong to it; lastseen-backup(1) copies all of it.",
    );
    item(
        &mut roff,
        italic("lastseen.db-lock"),
        "Locked by the server that runs on the database, and by an import without one. It stays; lastseen.db-prune-lock likewise, of lastseen-prune(1).",
    );
    item(
        &mut roff,
        italic("lastseen.toml"),
        "A config file, by any name, is read only where --config or LASTSEEN_CONFIG names it.",
    );
    roff
}

fn see_also(command: &Command, parent: Option<&Command>) -> Roff {
    let own = name(command);
    let mut pages: Vec<&str> = inner(command).map(name).collect();
    if let Some(parent) = parent {
        pages.push(name(parent));
        pages.extend(inner(parent).map(name).filter(|sibling| *sibling != own));
    }
    pages.sort_unstable();
    let mut text = Vec::new();
    for (index, page) in pages.iter().enumerate() {
        if index > 0 {
            text.push(roman(", "));
        }
        text.push(bold(*page));
        text.push(roman(format!("({SECTION})")));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(text);
    roff
}
