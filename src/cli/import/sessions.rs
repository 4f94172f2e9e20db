//! Rows of sessions.

use super::history::{self, Reading, Scalar};
use super::rows::{Row, Rules, Written, from_json};
use super::text::{Columns, Record};
use crate::export;
use crate::model::{ClientInfo, EndReason, SessionId, SessionRow, UserId};
use crate::store::{self, CatchUp, SessionEntry, SessionImport, Store};
use serde::Deserialize;
use std::sync::Arc;

/// A session that has ended.
#[derive(Clone)]
pub(super) struct EndedSession(SessionImport);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    id: Option<String>,
    user_id: Option<Scalar>,
    username: Option<String>,
    device_id: Option<String>,
    device_type: Option<String>,
    ip_address: Option<String>,
    country_code: Option<String>,
    user_agent: Option<String>,
    started_at: Option<Scalar>,
    ended_at: Option<Scalar>,
    end_reason: Option<String>,
}

impl Row for EndedSession {
    const COLUMNS: &'static [&'static str] = <SessionEntry as export::Row>::COLUMNS;
    const REQUIRED: &'static [&'static str] = &["startedAt", "endedAt"];
    const ROWS_ALONE: usize = 50_000;

    fn read(record: Record<'_>, columns: &Columns, reading: &mut Reading) -> Result<Self, String> {
        let fields = match record {
            Record::Json(line) => from_json(line)?,
            Record::Csv(cells) => {
                let cell = |index| columns.cell(&cells, index).map(str::to_owned);
                let scalar = |index| cell(index).map(Scalar::Text);
                Fields {
                    id: cell(0),
                    user_id: scalar(1),
                    username: cell(2),
                    device_id: cell(3),
                    device_type: cell(4),
                    ip_address: cell(5),
                    country_code: cell(6),
                    user_agent: cell(7),
                    started_at: scalar(8),
                    ended_at: scalar(9),
                    end_reason: cell(10),
                }
            }
        };
        fields.check(reading)
    }

    async fn write(store: &Store, rows: Vec<Self>, rules: Rules) -> store::Result<Written> {
        let rows = rows.into_iter().map(|row| row.0).collect();
        store.import_sessions(rows, rules.source).await
    }

    async fn finish(store: &Store, reading: &Reading) -> store::Result<()> {
        store.catch_up(CatchUp::Sessions, reading.now).await?;
        match reading.span {
            Some((first, last)) => store.recount_peaks(first, last).await,
            None => Ok(()),
        }
    }
}

impl Fields {
    fn check(self, reading: &mut Reading) -> Result<EndedSession, String> {
        let text = |value: Option<Scalar>| value.map(Scalar::into_text);
        let user = history::user(text(self.user_id).as_deref(), self.username.as_deref())?;
        let started_at = reading.time("startedAt", text(self.started_at).as_deref())?;
        let Some(ended_at) = text(self.ended_at) else {
            return Err(
                "endedAt is missing: an open session cannot be imported, only one that has ended"
                    .to_owned(),
            );
        };
        let ended_at = reading.time("endedAt", Some(&ended_at))?;
        if ended_at < started_at {
            return Err("endedAt is before startedAt".to_owned());
        }
        let reason = match self.end_reason.as_deref() {
            Some(word) => word
                .parse::<EndReason>()
                .map_err(|why| format!("endReason {why}"))?,
            None => EndReason::Client,
        };
        let device_id = history::text("deviceId", self.device_id.as_deref(), 100)?;
        let client = ClientInfo {
            device_type: history::device_type(self.device_type.as_deref())?,
            ip_address: reading.address(self.ip_address.as_deref())?,
            country_code: history::country(self.country_code.as_deref())?,
            user_agent: history::text("userAgent", self.user_agent.as_deref(), 512)?,
            // Sessions have none.
            region: None,
        };
        let whose = history::user_text(&user);
        let end = ended_at.to_string();
        let id = reading.id(
            self.id.as_deref(),
            started_at,
            &[
                Some(&whose),
                device_id.as_deref(),
                self.device_type.as_deref(),
                client.ip_address.as_deref(),
                client.country_code.as_deref(),
                client.user_agent.as_deref(),
                Some(&end),
                Some(reason.as_str()),
            ],
        )?;
        reading.include(ended_at);
        let session = SessionRow {
            id: SessionId(id),
            // Found out when it is written.
            user_id: UserId(0),
            device_id: device_id.map(Arc::from),
            client: Arc::new(client),
            started_at,
            ended: Some((ended_at, reason)),
        };
        Ok(EndedSession(SessionImport { user, session }))
    }
}
