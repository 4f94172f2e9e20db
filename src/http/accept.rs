//! Which form of an answer a request prefers, by its `Accept` (RFC 9110, section 12.5.1).

use poem::http::HeaderMap;
use poem::http::header::ACCEPT;
use poem::{FromRequest, Request, RequestBody};

/// The form of an answer that is a list of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page in the envelope; also where nothing else is asked for, or nothing that there is.
    Json,
    /// All rows as CSV.
    Csv,
    /// All rows as JSON lines.
    Ndjson,
}

/// The one first that is preferred among equals.
const FORMS: [(Form, &str, &str); 3] = [
    (Form::Json, "application", "json"),
    (Form::Csv, "text", "csv"),
    (Form::Ndjson, "application", "x-ndjson"),
];

/// A media range: what it covers, and how much that is wanted, in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u32,
}

impl<'a> Range<'a> {
    /// `None` for what is no range. Parameters but `q` make no difference to us.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = outside_quotes(text, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut quality = Some(1_000);
        for part in parts {
            if let Some((name, value)) = part.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                quality = thousandths(value.trim());
            }
        }
        Some(Self {
            kind,
            subtype,
            quality: quality?,
        })
    }

    /// How exactly it covers a type, if it does.
    fn precision(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(1),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// 0 to 1 with at most three decimals.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_good = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let part: u32 = format!("{part:0<3}").parse().ok().filter(|_| is_good)?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// The parts between separators that do not stand in a quoted string.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        c == separator && !is_quoted
    })
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let ranges: Vec<Range<'_>> = values
            .iter()
            .flat_map(|value| outside_quotes(value, ','))
            .filter_map(Range::parse)
            .collect();
        // How much a form is wanted is said by the range that covers it most exactly. Among equals one that is named
        // goes before one that is only covered.
        let mut best = (Self::Json, (0, 0));
        for (form, kind, subtype) in FORMS {
            let covering = ranges.iter().filter_map(|range| {
                let precision = range.precision(kind, subtype)?;
                Some((precision, range.quality))
            });
            if let Some((precision, quality)) = covering.max()
                && (quality, precision) > best.1
                && quality > 0
            {
                best = (form, (quality, precision));
            }
        }
        best.0
    }
}

impl<'a> FromRequest<'a> for Form {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::of(request.headers()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::http::HeaderValue;

    fn form(values: &[&'static str]) -> Form {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        Form::of(&headers)
    }

    #[test]
    fn the_form_that_is_wanted_most() {
        let cases = [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("image/png", Form::Json),
            ("text/csv", Form::Csv),
            ("TEXT/CSV ; header=present", Form::Csv),
            ("text/*", Form::Csv),
            ("application/*", Form::Json),
            ("application/x-ndjson", Form::Ndjson),
            // As browsers and clients of theirs send it.
            (
                "text/html,application/xml;q=0.9,image/webp,*/*;q=0.8",
                Form::Json,
            ),
            ("application/json, text/plain, */*", Form::Json),
            ("text/csv, */*", Form::Csv),
            ("text/csv;q=0.5, application/json", Form::Json),
            ("text/csv;q=0.5, application/json;Q=0.4", Form::Csv),
            ("text/csv, application/json", Form::Json),
            ("text/csv;q=0.9, application/x-ndjson;q=0.95", Form::Ndjson),
            // The most exact range counts, also against a broader one that wants it more.
            ("text/csv;q=0, */*", Form::Json),
            ("text/csv;q=0", Form::Json),
            ("application/json;q=0, */*;q=0.1", Form::Csv),
            ("text/csv;q=0.1, text/*;q=0.9, */*;q=0.2", Form::Json),
            // What stands in quotes separates nothing.
            ("text/html;a=\"x, text/csv\"", Form::Json),
            ("text/html;a=\"\\\", text/csv\"", Form::Json),
            ("text/html;a=\"\\\\\", text/csv", Form::Csv),
            // Rubbish is passed over.
            (
                "text/csv;q=2, text/csv;q=x, text/csv;q=0.0001, csv, ,;",
                Form::Json,
            ),
            ("nonsense, text/csv;q=1.000", Form::Csv),
        ];
        for (accept, expected) in cases {
            assert_eq!(form(&[accept]), expected, "{accept}");
        }
        assert_eq!(form(&[]), Form::Json);
        assert_eq!(
            form(&["application/json;q=0.1", "text/csv;q=0.2"]),
            Form::Csv
        );
    }
}
