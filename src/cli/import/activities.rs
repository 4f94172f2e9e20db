//! Rows of the activity log.

use super::history::{self, Reading, Scalar};
use super::rows::{Row, Rules, Stretch, Written, from_json};
use super::text::{Columns, Record};
use crate::activity::{actions, items};
use crate::export;
use crate::model::{Activity, ActivityId, FieldError, LoggedActivity, UserId};
use crate::store::{
    self, ActivityFilter, ActivityImport, ActivityPlace, CatchUp, Store, StretchRows, UpsertCounts,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Rows in one stretch, unless there are more already: what is interrupted has to be imported again, and until it ends
/// takes up room beside the database.
const MIN_STRETCH_ROWS: u64 = 8_000_000;

/// An activity.
#[derive(Clone)]
pub(super) struct ActivityRow(ActivityImport);

/// The fields as they stand in the file.
#[derive(Default)]
struct Fields<'a> {
    id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    username: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
    target_type: Option<Cow<'a, str>>,
    target_id: Option<Cow<'a, str>>,
    metadata: Option<Cow<'a, str>>,
    ip_address: Option<Cow<'a, str>>,
    device_type: Option<Cow<'a, str>>,
    country_code: Option<Cow<'a, str>>,
    region: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonFields<'a> {
    id: Option<String>,
    user_id: Option<Scalar>,
    username: Option<String>,
    action: Option<String>,
    target_type: Option<String>,
    target_id: Option<Scalar>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    ip_address: Option<String>,
    device_type: Option<String>,
    country_code: Option<String>,
    region: Option<String>,
    timestamp: Option<Scalar>,
}

impl Row for ActivityRow {
    const COLUMNS: &'static [&'static str] = <LoggedActivity as export::Row>::COLUMNS;
    const REQUIRED: &'static [&'static str] = &["action", "timestamp"];
    // The indexes by user have some 80,000 leaves at five million rows, and a batch writes nearly all of them.
    const ROWS_ALONE: usize = 200_000;

    fn read(record: Record<'_>, columns: &Columns, reading: &mut Reading) -> Result<Self, String> {
        let fields = match record {
            Record::Json(line) => Fields::from(from_json::<JsonFields<'_>>(line)?),
            Record::Csv(cells) => {
                let cell = |index| columns.cell(&cells, index).map(Cow::Borrowed);
                return Fields {
                    id: cell(0),
                    user_id: cell(1),
                    username: cell(2),
                    action: cell(3),
                    target_type: cell(4),
                    target_id: cell(5),
                    metadata: cell(6),
                    ip_address: cell(7),
                    device_type: cell(8),
                    country_code: cell(9),
                    region: cell(10),
                    timestamp: cell(11),
                }
                .check(reading);
            }
        };
        fields.check(reading)
    }

    async fn write(store: &Store, rows: Vec<Self>, rules: Rules) -> store::Result<Written> {
        let rows = rows.into_iter().map(|row| row.0).collect();
        store.import_activities(rows, rules.source).await
    }

    async fn begin_stretch(
        store: &Store,
        rules: Rules,
        expected: u64,
    ) -> store::Result<Option<Stretch>> {
        let filter = ActivityFilter::default();
        let page = store.activities(filter, ActivityPlace::Offset(0), 1, true);
        let there = page.await?.total.unwrap_or_default();
        let there = u64::try_from(there).unwrap_or_default();
        // All indexes are built anew, for the rows that are there as well.
        Ok((expected >= there).then(|| Stretch {
            activities: store.import_many_activities(rules.source),
            room: there.max(MIN_STRETCH_ROWS),
            counts: UpsertCounts::default(),
        }))
    }

    async fn write_in(stretch: &StretchRows, rows: Vec<Self>) -> Option<Written> {
        let rows = rows.into_iter().map(|row| row.0).collect();
        stretch.import(rows).await
    }

    async fn finish(store: &Store, reading: &Reading) -> store::Result<()> {
        store.catch_up(CatchUp::Activities, reading.now).await
    }
}

impl<'a> From<JsonFields<'a>> for Fields<'a> {
    fn from(json: JsonFields<'a>) -> Self {
        let text = |text: Option<String>| text.map(Cow::Owned);
        let scalar = |value: Option<Scalar>| value.map(|value| Cow::Owned(value.into_text()));
        Self {
            id: text(json.id),
            user_id: scalar(json.user_id),
            username: text(json.username),
            action: text(json.action),
            target_type: text(json.target_type),
            target_id: scalar(json.target_id),
            metadata: json.metadata.map(|raw| Cow::Borrowed(raw.get())),
            ip_address: text(json.ip_address),
            device_type: text(json.device_type),
            country_code: text(json.country_code),
            region: text(json.region),
            timestamp: scalar(json.timestamp),
        }
    }
}

impl Fields<'_> {
    fn check(self, reading: &mut Reading) -> Result<ActivityRow, String> {
        let user = history::user(self.user_id.as_deref(), self.username.as_deref())?;
        let wrong = |error: FieldError| error.to_string();
        let action = self.action.as_deref().ok_or("action is missing")?;
        let known = actions::check_name(action, reading.strict_actions).map_err(wrong)?;
        let target_type = self.target_type.map(Cow::into_owned);
        let metadata = match self.metadata.as_deref() {
            Some(text) => {
                let metadata = serde_json::from_str(text)
                    .map_err(|_| "metadata must be a JSON object".to_owned())?;
                Some(actions::check_metadata(known, &metadata).map_err(wrong)?)
            }
            None => None,
        };
        let timestamp = reading.time("timestamp", self.timestamp.as_deref())?;
        let mut activity = Activity {
            // Both are found out below and when it is written.
            id: ActivityId::of(timestamp, [0; 16]),
            user_id: UserId(0),
            action: action.to_owned(),
            target_type: actions::check_target_type(known, target_type).map_err(wrong)?,
            target_id: history::text(
                "targetId",
                self.target_id.as_deref(),
                actions::MAX_TARGET_ID,
            )?,
            metadata,
            ip_address: reading.address(self.ip_address.as_deref())?,
            device_type: history::device_type(self.device_type.as_deref())?,
            country_code: history::country(self.country_code.as_deref())?,
            region: self
                .region
                .as_deref()
                .map(items::region)
                .transpose()
                .map_err(wrong)?,
            timestamp,
        };
        let whose = history::user_text(&user);
        activity.id = ActivityId(reading.id(
            self.id.as_deref(),
            timestamp,
            &[
                Some(&whose),
                Some(&activity.action),
                activity.target_type.as_deref(),
                activity.target_id.as_deref(),
                activity.metadata.as_deref(),
                activity.ip_address.as_deref(),
                self.device_type.as_deref(),
                activity.country_code.as_deref(),
                activity.region.as_deref(),
            ],
        )?);
        Ok(ActivityRow(ActivityImport { user, activity }))
    }
}
