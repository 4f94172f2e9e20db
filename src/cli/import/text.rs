//! Records and the lines they begin on, from CSV (RFC 4180) or JSON lines, whatever is in the file.
//!
//! No record takes more memory than [`MAX_RECORD_BYTES`]; a longer one is bad and is read over. A CSV parser of our
//! own, since bad records must be told with their line and neither end the reading nor fill the memory.

use clap::ValueEnum;
use std::io::{self, BufRead};
use std::path::Path;

/// A record of more bytes is bad.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// CSV with a header.
    Csv,
    /// One JSON object a line.
    #[value(alias = "ndjson")]
    Jsonl,
}

impl Format {
    /// By the name's ending, before that of a compressed file.
    pub(in crate::cli) fn of(path: &Path) -> Option<Self> {
        let inner;
        let path = if is_compressed(path) {
            inner = path.with_extension("");
            &inner
        } else {
            path
        };
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// Whether it is a file compressed as those of `prune --archive`.
pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("zst"))
}

/// A record as it stands in the file.
pub(super) enum Record<'a> {
    /// Its fields, unquoted.
    Csv(Vec<&'a str>),
    /// The line.
    Json(&'a [u8]),
}

/// Where the columns of a CSV file are.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Option<usize>>);

impl Columns {
    /// The cell of the wanted column with this index; `None` when it is empty or there is no such column.
    pub(super) fn cell<'a>(&self, fields: &[&'a str], wanted: usize) -> Option<&'a str> {
        let index = (*self.0.get(wanted)?)?;
        fields.get(index).copied().filter(|text| !text.is_empty())
    }
}

/// Reads records one after another.
pub(super) struct Records<R> {
    input: R,
    format: Format,
    /// The physical line last read, from 1.
    line: u64,
    position_bytes: u64,
    raw: Vec<u8>,
    csv: CsvRecord,
    /// Fields in the header.
    width: usize,
}

enum Physical {
    Line,
    TooLong,
    End,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(input: R, format: Format) -> Self {
        Self {
            input,
            format,
            line: 0,
            position_bytes: 0,
            raw: Vec::new(),
            csv: CsvRecord::default(),
            width: 0,
        }
    }

    /// How far the file has been read.
    pub(super) fn position_bytes(&self) -> u64 {
        self.position_bytes
    }

    /// Reads the header of a CSV file and finds the columns in it. JSON lines have none.
    ///
    /// # Errors
    /// The file is unreadable or empty, a column is there twice, or a required one is not.
    pub(super) fn columns(
        &mut self,
        wanted: &[&str],
        required: &[&str],
    ) -> anyhow::Result<Columns> {
        if self.format == Format::Jsonl {
            return Ok(Columns::default());
        }
        let Some((line, record)) = self.next()? else {
            anyhow::bail!("the file is empty; its first line must name the columns");
        };
        let header = match record {
            Ok(Record::Csv(fields)) => fields,
            Ok(Record::Json(_)) => Vec::new(),
            Err(why) => anyhow::bail!("line {line}: {why}; the first line must name the columns"),
        };
        let names: Vec<&str> = header.iter().map(|name| name.trim()).collect();
        let position = |name: &str| names.iter().position(|other| *other == name);
        for name in wanted {
            if names.iter().filter(|other| *other == name).count() > 1 {
                anyhow::bail!("line {line}: the column {name} is there twice; keep one");
            }
        }
        let missing: Vec<&str> = required
            .iter()
            .filter(|name| position(name).is_none())
            .copied()
            .collect();
        if !missing.is_empty() {
            anyhow::bail!(
                "line {line}: the header must name {}; the columns are {}",
                missing.join(" and "),
                wanted.join(", ")
            );
        }
        let columns = Columns(wanted.iter().map(|name| position(name)).collect());
        let width = names.len();
        self.width = width;
        Ok(columns)
    }

    /// The next record and the line it begins on, or why it is none; `None` at the end. Blank lines are passed over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<Record<'_>, String>)>> {
        let too_long = || Err(format!("is longer than {MAX_RECORD_BYTES} bytes"));
        let line = loop {
            match self.read_line()? {
                Physical::End => return Ok(None),
                Physical::TooLong => return Ok(Some((self.line, too_long()))),
                Physical::Line if self.raw.iter().all(u8::is_ascii_whitespace) => {}
                Physical::Line => break self.line,
            }
        };
        if self.format == Format::Jsonl {
            return Ok(Some((line, check(&self.raw).map(Record::Json))));
        }
        self.csv.clear();
        let mut size_bytes = self.raw.len();
        while !self.csv.take_line(&self.raw) {
            match self.read_line()? {
                Physical::Line => size_bytes += self.raw.len(),
                Physical::TooLong => return Ok(Some((line, too_long()))),
                Physical::End => {
                    let why = "a quoted field does not end".to_owned();
                    return Ok(Some((line, Err(why))));
                }
            }
            if size_bytes > MAX_RECORD_BYTES {
                return Ok(Some((line, too_long())));
            }
        }
        let fields = self.csv.fields();
        let fields = fields.and_then(|fields| match self.width {
            0 => Ok(fields),
            width if width == fields.len() => Ok(fields),
            width => Err(format!(
                "has {} fields where the header has {width}",
                fields.len()
            )),
        });
        Ok(Some((line, fields.map(Record::Csv))))
    }

    /// Reads one line into `raw`, with its line break.
    fn read_line(&mut self) -> io::Result<Physical> {
        self.raw.clear();
        let mut is_too_long = false;
        let mut is_begun = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(available.len(), |end| end + 1);
            if count > 0 && !is_begun {
                is_begun = true;
                self.line += 1;
            }
            if self.raw.len() + count > MAX_RECORD_BYTES {
                is_too_long = true;
                self.raw.clear();
            } else if !is_too_long {
                self.raw.extend_from_slice(&available[..count]);
            }
            self.input.consume(count);
            self.position_bytes += count as u64;
            if end.is_some() || count == 0 {
                break;
            }
        }
        // Editors on Windows put a byte order mark first.
        if self.line == 1 && self.raw.starts_with(b"\xef\xbb\xbf") {
            self.raw.drain(..3);
        }
        Ok(match (is_begun, is_too_long) {
            (false, _) => Physical::End,
            (_, true) => Physical::TooLong,
            _ => Physical::Line,
        })
    }
}

/// Text without NUL.
fn check(bytes: &[u8]) -> Result<&[u8], String> {
    if bytes.contains(&0) {
        return Err("must not contain NUL".to_owned());
    }
    std::str::from_utf8(bytes)
        .map(|_| bytes)
        .map_err(|_| "is not UTF-8".to_owned())
}

/// One CSV record, unquoted: the fields' bytes one after another, and where each ends.
#[derive(Default)]
struct CsvRecord {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    Quote,
}

impl CsvRecord {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.state = State::FieldStart;
    }

    /// Adds a line; `true` when the record ends with it.
    fn take_line(&mut self, line: &[u8]) -> bool {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        for &byte in content {
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') => State::Quoted,
                (State::FieldStart | State::Plain | State::Quote, b',') => {
                    self.ends.push(self.bytes.len());
                    State::FieldStart
                }
                (State::Quoted, b'"') => State::Quote,
                (state, byte) => {
                    self.bytes.push(byte);
                    // Two quotes stand for one; what else follows a closing quote is taken as it is.
                    match (state, byte) {
                        (State::Quoted, _) | (State::Quote, b'"') => State::Quoted,
                        _ => State::Plain,
                    }
                }
            };
        }
        if self.state == State::Quoted {
            self.bytes.extend_from_slice(&line[content.len()..]);
            return false;
        }
        self.ends.push(self.bytes.len());
        true
    }

    fn fields(&self) -> Result<Vec<&str>, String> {
        let mut start = 0;
        let field = |end: &usize| {
            let bytes = check(&self.bytes[start..*end])?;
            start = *end;
            std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
        };
        self.ends.iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every record with its line: fields joined by `|`, or `!` and why not.
    fn all(text: &[u8], format: Format) -> Vec<(u64, String)> {
        let mut records = Records::new(io::BufReader::with_capacity(3, text), format);
        let mut found = Vec::new();
        while let Some((line, record)) = records.next().expect("readable") {
            let shown = match record {
                Ok(Record::Csv(fields)) => fields.join("|"),
                Ok(Record::Json(line)) => String::from_utf8(line.to_vec())
                    .expect("checked")
                    .trim()
                    .to_owned(),
                Err(why) => format!("!{why}"),
            };
            found.push((line, shown));
        }
        found
    }

    fn csv(text: &str) -> Vec<(u64, String)> {
        all(text.as_bytes(), Format::Csv)
    }

    fn own(records: &[(u64, &str)]) -> Vec<(u64, String)> {
        records
            .iter()
            .map(|(line, text)| (*line, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn csv_as_rfc_4180_has_it() {
        let text = "a,b\r\n\r\n1,\"x, \"\"y\"\"\"\n\"two\r\nlines\",\n5\" tall,\"q\"q\nlast,";
        let expected = [
            (1, "a|b"),
            (3, "1|x, \"y\""),
            (4, "two\r\nlines|"),
            (6, "5\" tall|qq"),
            (7, "last|"),
        ];
        assert_eq!(csv(text), own(&expected));
        assert_eq!(csv("\u{feff}a\n"), own(&[(1, "a")]));
        assert_eq!(csv(""), own(&[]));
        assert_eq!(
            csv("a\n\"b\n"),
            own(&[(1, "a"), (2, "!a quoted field does not end")])
        );
    }

    #[test]
    fn bad_bytes_spoil_one_record_only() {
        let text = b"a\n\xff\nb\0\nc\n";
        let expected = [
            (1, "a"),
            (2, "!is not UTF-8"),
            (3, "!must not contain NUL"),
            (4, "c"),
        ];
        assert_eq!(all(text, Format::Csv), own(&expected));
        assert_eq!(all(text, Format::Jsonl), own(&expected));
    }

    #[test]
    fn an_endless_record_is_read_over_in_bounded_memory() {
        let long = "x".repeat(MAX_RECORD_BYTES + 1);
        let many = format!("\"{}", "x\n".repeat(MAX_RECORD_BYTES / 2));
        let longest = "y".repeat(MAX_RECORD_BYTES - 1);
        let text = format!("a\n{long}\nb\n{longest}\n");
        let found = csv(&text);
        assert_eq!(
            found[1],
            (2, format!("!is longer than {MAX_RECORD_BYTES} bytes"))
        );
        assert_eq!(found[2], (3, "b".to_owned()));
        assert_eq!(found[3].1.len(), longest.len());
        let found = csv(&format!("a\n{many}"));
        assert_eq!(
            found[1],
            (2, format!("!is longer than {MAX_RECORD_BYTES} bytes"))
        );

        let mut records = Records::new(text.as_bytes(), Format::Jsonl);
        while let Some((_, record)) = records.next().expect("readable") {
            drop(record);
            assert!(records.raw.capacity() <= 2 * MAX_RECORD_BYTES);
        }
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let mut records = Records::new(&b"extra, b ,a\n1,2,3\n1,,3\n1,2\n"[..], Format::Csv);
        let columns = records.columns(&["a", "b", "c"], &["a"]).expect("good");
        let mut cells = Vec::new();
        while let Some((_, record)) = records.next().expect("readable") {
            cells.push(match record {
                Ok(Record::Csv(fields)) => {
                    let cell = |index| columns.cell(&fields, index).map(str::to_owned);
                    Ok((cell(0), cell(1), cell(2)))
                }
                Ok(Record::Json(_)) => panic!("no JSON"),
                Err(why) => Err(why),
            });
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(cells[0], Ok((text("3"), text("2"), None)));
        assert_eq!(cells[1], Ok((text("3"), None, None)));
        assert_eq!(
            cells[2],
            Err("has 2 fields where the header has 3".to_owned())
        );

        for (header, part) in [("", "empty"), ("b\n", "must name a"), ("a,a\n", "twice")] {
            let mut records = Records::new(header.as_bytes(), Format::Csv);
            let error = records.columns(&["a", "b"], &["a"]).expect_err(header);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
