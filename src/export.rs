//! Rows as text for other programs: CSV (RFC 4180) or JSON lines, in the columns that `import` reads.
//!
//! What the columns are is said once, by [`Row`]: `export`, the archives of `prune` and the HTTP API all write through
//! here, and `import` looks for the same. How rows are read and where the text goes is theirs.

use crate::model::{DeviceType, EndReason, LoggedActivity, Timestamp, User};
use crate::store::{FollowNames, SessionEntry};
use serde_json::value::RawValue;
use std::io::Write as _;
use uuid::Uuid;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV with a header; lines end in LF, an empty cell is null.
    Csv,
    /// One JSON object a line, with every column.
    Jsonl,
}

/// A kind of row.
pub trait Row {
    /// Its columns.
    const COLUMNS: &'static [&'static str];

    /// Gives the value of each column to `write`, in their order.
    fn fields(&self, write: &mut impl FnMut(Field<'_>));
}

/// The value of a column.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// None.
    Null,
    /// Text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// A time.
    Time(Timestamp),
    /// An id.
    Id(Uuid),
    /// JSON as text.
    Json(&'a str),
}

impl<'a> Field<'a> {
    /// Empty text is null: a cell of CSV cannot tell the two apart, and an import refuses a text without characters.
    fn text(text: Option<&'a str>) -> Self {
        let text = text.filter(|text| !text.is_empty());
        text.map_or(Self::Null, Self::Text)
    }

    /// The value in a cell of CSV; `buffer` is for what has to be made.
    fn cell<'b>(&'b self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        buffer.clear();
        match self {
            Self::Null => return b"",
            Self::Text(text) | Self::Json(text) => return text.as_bytes(),
            Self::Number(number) => write(buffer, format_args!("{number}")),
            Self::Time(time) => write(buffer, format_args!("{time}")),
            Self::Id(id) => write(buffer, format_args!("{}", id.hyphenated())),
        }
        buffer
    }

    /// The value as JSON, at the end of `text`.
    fn push_json(&self, text: &mut Vec<u8>) {
        match self {
            Self::Null => text.extend_from_slice(b"null"),
            Self::Text(value) => push_string(text, value),
            Self::Number(number) => write(text, format_args!("{number}")),
            Self::Time(time) => write(text, format_args!("\"{time}\"")),
            Self::Id(id) => write(text, format_args!("\"{}\"", id.hyphenated())),
            Self::Json(json) => push_checked(text, json),
        }
    }
}

/// What the memory of a `Vec` always takes.
const IN_MEMORY: &str = "memory takes everything";

fn write(text: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect(IN_MEMORY);
}

fn push_string(text: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(text, value).expect(IN_MEMORY);
}

/// What is stored was JSON on one line when it was; what another program has made of it must not spoil the file. In JSON
/// a line break stands only where a space may.
fn push_checked(text: &mut Vec<u8>, json: &str) {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(raw) => text.extend(raw.get().bytes().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            other => other,
        })),
        Err(_) => text.extend_from_slice(b"null"),
    }
}

/// What stands before the first row: the names of the columns in CSV, nothing in JSON lines.
pub fn header<R: Row>(format: Format) -> Vec<u8> {
    match format {
        Format::Csv => {
            let mut text = R::COLUMNS.join(",").into_bytes();
            text.push(b'\n');
            text
        }
        Format::Jsonl => Vec::new(),
    }
}

/// A row as a JSON object, without a line break.
pub fn json<R: Row>(row: &R) -> String {
    let mut text = Vec::new();
    push_object(&mut text, row);
    String::from_utf8(text).expect("made of text")
}

/// Rows one after another, without a header.
pub fn text<R: Row>(format: Format, rows: &[R]) -> Vec<u8> {
    match format {
        Format::Csv => csv(rows),
        Format::Jsonl => jsonl(rows),
    }
}

fn csv<R: Row>(rows: &[R]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut buffer = Vec::new();
    for row in rows {
        row.fields(&mut |field| {
            writer
                .write_field(field.cell(&mut buffer))
                .expect(IN_MEMORY);
        });
        // Ends the record.
        writer.write_record(None::<&[u8]>).expect(IN_MEMORY);
    }
    writer.into_inner().expect(IN_MEMORY)
}

fn jsonl<R: Row>(rows: &[R]) -> Vec<u8> {
    let mut text = Vec::new();
    for row in rows {
        push_object(&mut text, row);
        text.push(b'\n');
    }
    text
}

fn push_object<R: Row>(text: &mut Vec<u8>, row: &R) {
    let mut separator = b'{';
    let mut columns = R::COLUMNS.iter();
    row.fields(&mut |field| {
        text.push(separator);
        separator = b',';
        push_string(text, columns.next().expect("a column for each field"));
        text.push(b':');
        field.push_json(text);
    });
    text.push(b'}');
}

impl Row for User {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "externalId",
        "username",
        "displayName",
        "email",
        "bio",
        "profilePictureUrl",
    ];

    fn fields(&self, write: &mut impl FnMut(Field<'_>)) {
        write(Field::Number(self.id.0));
        write(Field::text(self.external_id.as_deref()));
        write(Field::Text(self.username.as_str()));
        write(Field::text(self.display_name.as_deref()));
        write(Field::text(self.email.as_deref()));
        write(Field::text(self.bio.as_deref()));
        write(Field::text(self.profile_picture_url.as_deref()));
    }
}

impl Row for FollowNames {
    const COLUMNS: &'static [&'static str] = &["follower", "followee"];

    fn fields(&self, write: &mut impl FnMut(Field<'_>)) {
        write(Field::Text(self.follower.as_str()));
        write(Field::Text(self.followee.as_str()));
    }
}

impl Row for LoggedActivity {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "userId",
        "username",
        "action",
        "targetType",
        "targetId",
        "metadata",
        "ipAddress",
        "deviceType",
        "countryCode",
        "region",
        "timestamp",
    ];

    fn fields(&self, write: &mut impl FnMut(Field<'_>)) {
        let activity = &self.activity;
        write(Field::Id(activity.id.0));
        write(Field::Number(activity.user_id.0));
        write(Field::Text(self.username.as_str()));
        write(Field::Text(&activity.action));
        write(Field::text(activity.target_type.as_deref()));
        write(Field::text(activity.target_id.as_deref()));
        let metadata = activity.metadata.as_deref();
        write(metadata.map_or(Field::Null, Field::Json));
        write(Field::text(activity.ip_address.as_deref()));
        write(Field::text(activity.device_type.map(DeviceType::as_str)));
        write(Field::text(activity.country_code.as_deref()));
        write(Field::text(activity.region.as_deref()));
        write(Field::Time(activity.timestamp));
    }
}

impl Row for SessionEntry {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "userId",
        "username",
        "deviceId",
        "deviceType",
        "ipAddress",
        "countryCode",
        "userAgent",
        "startedAt",
        "endedAt",
        "endReason",
    ];

    fn fields(&self, write: &mut impl FnMut(Field<'_>)) {
        let session = &self.session;
        let client = &session.client;
        write(Field::Id(session.id.0));
        write(Field::Number(session.user_id.0));
        write(Field::Text(self.username.as_str()));
        write(Field::text(session.device_id.as_deref()));
        write(Field::text(client.device_type.map(DeviceType::as_str)));
        write(Field::text(client.ip_address.as_deref()));
        write(Field::text(client.country_code.as_deref()));
        write(Field::text(client.user_agent.as_deref()));
        write(Field::Time(session.started_at));
        let ended_at = session.ended.map(|(at, _)| at);
        write(ended_at.map_or(Field::Null, Field::Time));
        let reason = session.ended.map(|(_, reason)| reason);
        write(Field::text(reason.map(EndReason::as_str)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value of each kind.
    struct Values<'a>(&'a [Field<'a>]);

    impl Row for Values<'_> {
        const COLUMNS: &'static [&'static str] = &["a", "b", "c"];

        fn fields(&self, write: &mut impl FnMut(Field<'_>)) {
            self.0.iter().for_each(|field| write(*field));
        }
    }

    fn written(format: Format, fields: &[Field<'_>]) -> String {
        String::from_utf8(text(format, &[Values(fields)])).expect("UTF-8")
    }

    #[test]
    fn what_csv_and_json_would_misread_is_quoted() {
        let fields = [
            Field::Text("a, \"b\"\r\n\u{2028}ü"),
            Field::Text("\r"),
            Field::Null,
        ];
        assert_eq!(
            written(Format::Csv, &fields),
            "\"a, \"\"b\"\"\r\n\u{2028}ü\",\"\r\",\n"
        );
        assert_eq!(
            written(Format::Jsonl, &fields),
            "{\"a\":\"a, \\\"b\\\"\\r\\n\u{2028}ü\",\"b\":\"\\r\",\"c\":null}\n"
        );
        let fields = [
            Field::Time(Timestamp::from_millis(5)),
            Field::Id(Uuid::nil()),
            Field::Number(-7),
        ];
        assert_eq!(
            written(Format::Csv, &fields),
            "1970-01-01T00:00:00.005Z,00000000-0000-0000-0000-000000000000,-7\n"
        );
        assert_eq!(
            written(Format::Jsonl, &fields),
            "{\"a\":\"1970-01-01T00:00:00.005Z\",\"b\":\"00000000-0000-0000-0000-000000000000\",\"c\":-7}\n"
        );
        assert_eq!(header::<Values<'_>>(Format::Csv), b"a,b,c\n");
        assert_eq!(header::<Values<'_>>(Format::Jsonl), b"");
        assert_eq!(text::<Values<'_>>(Format::Csv, &[]), b"");
    }

    #[test]
    fn empty_text_is_null_as_it_is_for_an_import() {
        assert!(matches!(Field::text(Some("")), Field::Null));
        assert!(matches!(Field::text(Some("x")), Field::Text("x")));
    }

    #[test]
    fn metadata_stays_on_its_line_whoever_wrote_it() {
        let fields = [
            Field::Json("{\"k\":\"a\\nb\"}"),
            Field::Json("{\n\"k\": 12345678901234567890123}"),
            Field::Json("{broken"),
        ];
        assert_eq!(
            written(Format::Jsonl, &fields),
            "{\"a\":{\"k\":\"a\\nb\"},\"b\":{ \"k\": 12345678901234567890123},\"c\":null}\n"
        );
        assert_eq!(
            written(Format::Csv, &fields),
            "\"{\"\"k\"\":\"\"a\\nb\"\"}\",\"{\n\"\"k\"\": 12345678901234567890123}\",{broken\n"
        );
    }
}
