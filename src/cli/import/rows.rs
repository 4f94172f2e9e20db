//! A kind of row: from a record, checked as far as it can be without the database, and into the store. Here are users
//! and follows; the log and sessions have files of their own.

use super::history::Reading;
use super::text::{Columns, Record};
use crate::export;
use crate::model::{Clock, FieldError, ProfileFields, User, UserId, Username, validate};
use crate::store::{
    self, ActivityStretch, FollowNames, FollowUpsert, ImportSource, Store, StretchRows,
    UpsertCounts, UpsertRules, UserUpsert,
};
use serde::Deserialize;

/// What the settings ask of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A row that makes a user must have an id.
    pub(super) require_id: bool,
    /// Whether rows were counted here before.
    pub(super) source: ImportSource,
}

/// What a batch came to: counts, or the bad rows by index.
pub(super) type Written = Result<UpsertCounts, Vec<(usize, FieldError)>>;

/// Many rows in one transaction.
pub(super) struct Stretch {
    pub(super) activities: ActivityStretch,
    /// How many rows it may still take.
    pub(super) room: u64,
    /// What its batches came to, which is nothing before its end.
    pub(super) counts: UpsertCounts,
}

/// A kind of row.
pub(super) trait Row: Clone + Send + 'static {
    /// The columns it may have, in the order of [`Columns`].
    const COLUMNS: &'static [&'static str];
    /// Those it must have.
    const REQUIRED: &'static [&'static str];

    /// Rows in one transaction where no server runs that would have to wait.
    const ROWS_ALONE: usize = 20_000;

    /// Reads and checks a record.
    fn read(record: Record<'_>, columns: &Columns, reading: &mut Reading) -> Result<Self, String>;

    /// Writes all rows or none.
    fn write(
        store: &Store,
        rows: Vec<Self>,
        rules: Rules,
    ) -> impl Future<Output = store::Result<Written>> + Send;

    /// Begins to write many rows in one transaction, where that is faster for this kind of row. `expected` is about how
    /// many there are still to come.
    fn begin_stretch(
        _store: &Store,
        _rules: Rules,
        _expected: u64,
    ) -> impl Future<Output = store::Result<Option<Stretch>>> {
        async { Ok(None) }
    }

    /// Writes all rows or none as a part of it; `None` when the transaction is lost.
    fn write_in(
        _stretch: &StretchRows,
        _rows: Vec<Self>,
    ) -> impl Future<Output = Option<Written>> + Send {
        async { None }
    }

    /// What remains to be done after the last row, also when the import stopped before the end of the file.
    fn finish(_store: &Store, _reading: &Reading) -> impl Future<Output = store::Result<()>> {
        async { Ok(()) }
    }
}

/// A user.
#[derive(Clone)]
pub(super) struct UserRow(UserUpsert);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserFields {
    id: Option<i64>,
    external_id: Option<String>,
    username: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    bio: Option<String>,
    profile_picture_url: Option<String>,
}

impl Row for UserRow {
    const COLUMNS: &'static [&'static str] = <User as export::Row>::COLUMNS;
    const REQUIRED: &'static [&'static str] = &["username"];

    fn read(record: Record<'_>, columns: &Columns, _reading: &mut Reading) -> Result<Self, String> {
        let fields = match record {
            Record::Json(line) => from_json(line)?,
            Record::Csv(fields) => {
                let cell = |index| columns.cell(&fields, index).map(str::to_owned);
                let id = columns.cell(&fields, 0).map(str::parse).transpose();
                UserFields {
                    id: id.map_err(|_| "id must be a whole number")?,
                    external_id: cell(1),
                    username: cell(2),
                    display_name: cell(3),
                    email: cell(4),
                    bio: cell(5),
                    profile_picture_url: cell(6),
                }
            }
        };
        fields.check().map(Self)
    }

    async fn write(store: &Store, rows: Vec<Self>, rules: Rules) -> store::Result<Written> {
        let rules = UpsertRules {
            require_id: rules.require_id,
            may_change_admins: true,
            now: Clock::system().now(),
        };
        let rows = rows.into_iter().map(|row| row.0).collect();
        store.upsert_users(rows, rules).await
    }
}

impl UserFields {
    fn check(self) -> Result<UserUpsert, String> {
        let username = self.username.ok_or("username is missing")?;
        let wrong = |error: FieldError| error.to_string();
        if self.id.is_some_and(|id| id < 1) {
            return Err("id must be at least 1".to_owned());
        }
        if let Some(id) = &self.external_id {
            validate::text("externalId", id, 1, 255).map_err(wrong)?;
        }
        let profile = ProfileFields {
            display_name: self.display_name,
            bio: self.bio,
            profile_picture_url: self.profile_picture_url,
            email: self.email,
        };
        profile.check().map_err(wrong)?;
        Ok(UserUpsert {
            id: self.id.map(UserId),
            external_id: self.external_id,
            username: Username::new(&username).map_err(wrong)?,
            profile,
            role: None,
        })
    }
}

/// A follow.
#[derive(Clone)]
pub(super) struct Follow(FollowUpsert);

#[derive(Deserialize)]
struct FollowFields {
    follower: Option<String>,
    followee: Option<String>,
}

impl Row for Follow {
    const COLUMNS: &'static [&'static str] = <FollowNames as export::Row>::COLUMNS;
    const REQUIRED: &'static [&'static str] = Self::COLUMNS;

    fn read(record: Record<'_>, columns: &Columns, _reading: &mut Reading) -> Result<Self, String> {
        let fields = match record {
            Record::Json(line) => from_json(line)?,
            Record::Csv(fields) => {
                let cell = |index| columns.cell(&fields, index).map(str::to_owned);
                FollowFields {
                    follower: cell(0),
                    followee: cell(1),
                }
            }
        };
        let name = |field: &'static str, name: Option<String>| match name {
            Some(name) => match Username::new(&name) {
                Ok(_) => Ok(name),
                Err(_) => Err(format!("{field} is no username")),
            },
            None => Err(format!("{field} is missing")),
        };
        Ok(Self(FollowUpsert {
            follower: name("follower", fields.follower)?,
            followee: name("followee", fields.followee)?,
        }))
    }

    async fn write(store: &Store, rows: Vec<Self>, _rules: Rules) -> store::Result<Written> {
        let rows = rows.into_iter().map(|row| row.0).collect();
        store.upsert_follows(rows).await
    }
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    // serde would take the values of an array one after another.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    serde_json::from_slice(line).map_err(|error| {
        // Its "line 1" is the record's own and would mislead beside the file's.
        let text = error.to_string();
        let why = text.split(" at line ").next().unwrap_or(&text);
        format!(
            "not a good JSON object: {why} (character {})",
            error.column()
        )
    })
}
