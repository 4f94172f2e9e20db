//! Server-sent events, read as they come (WHATWG HTML, section 9.2.6), in memory that is bounded.

/// Bytes of an event at most; those of a server of ours are a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its word; `message` where it has none.
    pub name: String,
    /// Its lines, joined by line feeds.
    pub data: String,
}

/// An event is longer than any of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// Takes a stream apart, wherever it was cut.
#[derive(Default)]
pub struct Parser {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// A line feed that comes now is the rest of the line's end before.
    after_return: bool,
    has_begun: bool,
}

impl Parser {
    /// Takes what came; the events that it completes.
    ///
    /// # Errors
    /// An event is too long.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() + self.data.len() >= MAX_BYTES => return Err(TooLong),
                _ => self.line.push(*byte),
            }
        }
        Ok(events)
    }

    /// Takes the line that is whole now; the event that it ends.
    fn end_line(&mut self) -> Option<Event> {
        let taken = std::mem::take(&mut self.line);
        let mut line = taken.as_slice();
        if !std::mem::replace(&mut self.has_begun, true) {
            // A byte order mark may come first.
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // A comment, an id or a time to wait, none of which is of use here, or nothing known.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let has_data = std::mem::take(&mut self.has_data);
        if !has_data || data.is_empty() {
            return None;
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Some(Event {
            name: if name.is_empty() {
                "message".into()
            } else {
                text(name)
            },
            data: text(data),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&str]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let fed = chunks
            .iter()
            .flat_map(|chunk| parser.feed(chunk.as_bytes()).expect("short"));
        fed.map(|event| (event.name, event.data)).collect()
    }

    fn of(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, data): &(&str, &str)| ((*name).into(), (*data).into());
        expected.iter().map(own).collect()
    }

    #[test]
    fn as_the_standard_has_it() {
        for (text, expected) in [
            ("event: add\ndata: 73857293\n\n", &[("add", "73857293")][..]),
            // The examples of the standard.
            (
                "data: YHOO\ndata: +2\ndata: 10\n\n",
                &[("message", "YHOO\n+2\n10")],
            ),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
                &[("message", "first event"), ("message", "second event")],
            ),
            ("data\n\ndata\ndata\n\ndata:\n", &[("message", "\n")]),
            (
                "data:test\n\ndata: test\n\n",
                &[("message", "test"), ("message", "test")],
            ),
            // A word without data is none, and does not stay for the next.
            ("event: x\n\ndata: 1\n\n", &[("message", "1")]),
            (
                "\u{feff}data: 1\n\n\u{feff}data: 2\n\n",
                &[("message", "1")],
            ),
            (
                "retry: 5\nunknown: x\nnothing\ndata: a:b: c\n\n",
                &[("message", "a:b: c")],
            ),
        ] {
            assert_eq!(events(&[text]), of(expected), "{text:?}");
        }
    }

    #[test]
    fn however_lines_end_and_wherever_it_is_cut() {
        let text = "event: a\ndata: 1\ndata: é\n\n: c\n\nevent: b\ndata: 2\n\n";
        let expected = of(&[("a", "1\né"), ("b", "2")]);
        for end in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', end);
            for at in 0..=text.len() {
                let mut parser = Parser::default();
                let mut found = parser.feed(&text.as_bytes()[..at]).expect("short");
                found.extend(parser.feed(&text.as_bytes()[at..]).expect("short"));
                let found: Vec<_> = found.into_iter().map(|e| (e.name, e.data)).collect();
                assert_eq!(found, expected, "{end:?} {at}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let line = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat();
        let mut parser = Parser::default();
        let fed = (0..MAX_BYTES).find(|_| parser.feed(&line).is_err());
        assert!(fed.is_some_and(|times| times < MAX_BYTES / 900), "{fed:?}");
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b':'; MAX_BYTES + 1]), Err(TooLong));
    }
}
