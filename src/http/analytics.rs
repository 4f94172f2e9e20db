//! What administrators ask of the log, of sessions and of counts.

mod stream;
mod types;

use super::Services;
use super::accept::Form;
use super::document::Tag;
use super::envelope::{Reply, ok};
use super::error::Failure;
use super::extract::AsAdmin;
use super::page::{bound_cursor, bound_key, long_limit};
use crate::analytics::{Interval, Metric};
use crate::error::{Error, Result};
use crate::export::Format;
use crate::model::{ActivityId, Range, Timestamp, UserId, Zone};
use crate::store::{ActivityFilter, ActivityPlace, SessionCursor, SessionFilter};
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use std::sync::Arc;
use stream::ActivityReply;
use types::*;

/// Rows that `offset` may skip; a cursor goes further.
const MAX_OFFSET: i64 = 10_000;

/// Analytics, and the list of sessions.
pub struct AnalyticsApi(pub Arc<Services>);

#[OpenApi(tag = "Tag::Analytics")]
impl AnalyticsApi {
    /// What users did
    ///
    /// Newest first; `total` is how many rows there are in all. An unknown `username` is an empty list, and so are a
    /// `userId` and a `username` of two users.
    ///
    /// With `Accept: text/csv` or `application/x-ndjson` the whole selection is streamed instead, without `limit`,
    /// `offset` and `cursor`. What is logged meanwhile is not in it. If it breaks off (the database could not answer
    /// any more), the answer is, as HTTP has it, incomplete.
    #[oai(
        path = "/admin/analytics/user-activity",
        method = "get",
        operation_id = "getUserActivity"
    )]
    #[allow(clippy::too_many_arguments)] // They are the parameters of the request.
    async fn user_activity(
        &self,
        _admin: AsAdmin,
        form: Form,
        /// Whose.
        #[oai(name = "userId")]
        user_id: Query<Option<i64>>,
        /// Whose, by name.
        username: Query<Option<String>>,
        /// Which action.
        action: Query<Option<String>>,
        /// On what kind of thing.
        #[oai(name = "targetType")]
        target_type: Query<Option<String>>,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
        /// 1 to 1,000; 100 if left out.
        limit: Query<Option<i64>>,
        /// How many of the newest to skip, at most 10,000; not with `cursor`.
        offset: Query<Option<i64>>,
        /// The `nextCursor` of a page with the same filters.
        cursor: Query<Option<String>>,
    ) -> Result<ActivityReply, Failure> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let format = match form {
            Form::Json => None,
            Form::Csv => Some(Format::Csv),
            Form::Ndjson => Some(Format::Jsonl),
        };
        if format.is_some() {
            refuse_pages(limit.0, offset.0, cursor.0.as_deref())?;
        }
        let limit = long_limit(limit.0)?;
        let filters = format!(
            "a{:?}",
            (user_id.0, &username.0, &action.0, &target_type.0, range)
        );
        let place = place(&filters, offset.0, cursor.0.as_deref())?;
        let whose = self.whose(user_id.0, username.0.as_deref()).await?;
        let filter = whose.map(|user_id| ActivityFilter {
            user_id,
            action: action.0,
            target_type: target_type.0,
            from: range.from,
            to: range.to,
        });
        if let Some(format) = format {
            return Ok(ActivityReply::all(&self.0.store, filter, format).await?);
        }
        let Some(filter) = filter else {
            return Ok(ActivityReply::page(UserActivity::none(zone)));
        };
        let page = self.0.store.activities(filter, place, limit, true).await?;
        let next = page.next.map(|id| bound_cursor(&filters, &id.to_string()));
        Ok(ActivityReply::page(UserActivity::new(page, next, zone)))
    }

    /// How many sessions, how long, and when
    ///
    /// A session counts in the range that holds its start, with its whole length, so far if it is open.
    #[oai(
        path = "/admin/analytics/user-sessions",
        method = "get",
        operation_id = "getUserSessions"
    )]
    async fn user_sessions(
        &self,
        _admin: AsAdmin,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
    ) -> Reply<SessionFigures> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let sessions = self.0.analytics.user_sessions(zone, range).await?;
        ok(SessionFigures::new(sessions, zone))
    }

    /// The figures at a glance
    ///
    /// Who is online is now; `peakOnline`, `signIns`, `sessions` and `activities` are of the range, by default today.
    #[oai(
        path = "/admin/analytics/overview",
        method = "get",
        operation_id = "getOverview"
    )]
    async fn overview(
        &self,
        _admin: AsAdmin,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
    ) -> Reply<OverviewFigures> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let overview = self.0.analytics.overview(zone, range).await?;
        ok(OverviewFigures::new(overview, zone))
    }

    /// How often each action was done
    ///
    /// Busiest first, ties by name, those that were done at all; by default today.
    #[oai(
        path = "/admin/analytics/actions",
        method = "get",
        operation_id = "getActions"
    )]
    async fn actions(
        &self,
        _admin: AsAdmin,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
        /// 1 to 1,000; 100 if left out.
        limit: Query<Option<i64>>,
    ) -> Reply<ActionFigures> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let limit = long_limit(limit.0)?;
        let actions = self.0.analytics.actions(zone, range, limit).await?;
        ok(ActionFigures::new(actions, zone))
    }

    /// Values over time
    ///
    /// By default of the last 24 hours; at most 10,000 points, empty ones 0. Hours and days are the zone's own, and a
    /// bucket that the range cuts begins before it but counts only what is in it.
    #[oai(
        path = "/admin/analytics/timeseries",
        method = "get",
        operation_id = "getTimeseries"
    )]
    #[allow(clippy::too_many_arguments)] // They are the parameters of the request.
    async fn timeseries(
        &self,
        _admin: AsAdmin,
        /// `15m`, `hour` or `day`.
        interval: Query<String>,
        /// `online` (the highest in the bucket), `activities`, `sessions` or `signins`.
        metric: Query<String>,
        /// Only this action; with `activities`.
        action: Query<Option<String>>,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
    ) -> Reply<Values> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let kind = match interval.0.as_str() {
            "15m" => Interval::Quarter,
            "hour" => Interval::Hour,
            "day" => Interval::Day,
            _ => return Err(Error::invalid("interval", "must be one of: 15m, hour, day").into()),
        };
        let metric = metric_of(&metric.0, action.0)?;
        let values = self
            .0
            .analytics
            .timeseries(zone, range, kind, metric)
            .await?;
        ok(Values::new(values, interval.0, zone))
    }

    /// Sessions by weekday and hour
    ///
    /// All 168 cells, empty ones 0.
    #[oai(
        path = "/admin/analytics/heatmap",
        method = "get",
        operation_id = "getHeatmap"
    )]
    async fn heatmap(
        &self,
        _admin: AsAdmin,
        /// From then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
    ) -> Reply<HeatmapCells> {
        let (zone, range) = self.dates(&tz, &start_date, &end_date)?;
        let heatmap = self.0.analytics.heatmap(zone, range).await?;
        ok(HeatmapCells::new(&heatmap, zone))
    }

    /// Who was online at a moment
    #[oai(
        path = "/admin/analytics/online-at",
        method = "get",
        operation_id = "getOnlineAt"
    )]
    async fn online_at(
        &self,
        _admin: AsAdmin,
        /// The moment, RFC 3339.
        at: Query<String>,
        /// 1 to 1,000; 100 if left out.
        limit: Query<Option<i64>>,
        /// The `nextCursor` of a page of the same moment.
        cursor: Query<Option<String>>,
    ) -> Reply<OnlineThen> {
        let at = Timestamp::parse_rfc3339(&at.0)
            .map_err(|_| Error::invalid("at", "must be an RFC 3339 time"))?;
        let limit = long_limit(limit.0)?;
        let filters = format!("o{}", at.as_millis());
        let after = bound_key(&filters, cursor.0.as_deref(), |text| {
            text.parse().ok().map(UserId)
        })?;
        let found = self.0.store.online_at(at, after, limit).await?;
        let next = found
            .next
            .map(|id| bound_cursor(&filters, &id.0.to_string()));
        ok(OnlineThen::new(at, found, next))
    }

    /// Sessions
    ///
    /// Newest first. An unknown `username` is an empty list.
    #[oai(path = "/admin/sessions", method = "get", operation_id = "getSessions")]
    #[allow(clippy::too_many_arguments)] // They are the parameters of the request.
    async fn sessions(
        &self,
        _admin: AsAdmin,
        /// Whose.
        #[oai(name = "userId")]
        user_id: Query<Option<i64>>,
        /// Whose, by name.
        username: Query<Option<String>>,
        /// Only open ones (`true`), or only ended ones (`false`).
        open: Query<Option<bool>>,
        /// Begun from then on: RFC 3339, or a day `YYYY-MM-DD` of the zone.
        #[oai(name = "startDate")]
        start_date: Query<Option<String>>,
        /// Begun before then if RFC 3339, to its end if a day.
        #[oai(name = "endDate")]
        end_date: Query<Option<String>>,
        /// IANA name of the zone.
        tz: Query<Option<String>>,
        /// 1 to 1,000; 100 if left out.
        limit: Query<Option<i64>>,
        /// The `nextCursor` of a page with the same filters.
        cursor: Query<Option<String>>,
    ) -> Reply<SessionList> {
        let (_, range) = self.dates(&tz, &start_date, &end_date)?;
        let limit = long_limit(limit.0)?;
        let filters = format!("s{:?}", (user_id.0, &username.0, open.0, range));
        let before = bound_key(&filters, cursor.0.as_deref(), |text| {
            let (at, row_id) = text.split_once('.')?;
            Some(SessionCursor {
                at: Timestamp::from_millis(at.parse().ok()?),
                row_id: row_id.parse().ok()?,
            })
        })?;
        let Some(user_id) = self.whose(user_id.0, username.0.as_deref()).await? else {
            return ok(SessionList::default());
        };
        let filter = SessionFilter {
            user_id,
            is_open: open.0,
            from: range.from,
            to: range.to,
        };
        let (found, has_more) = self.0.store.sessions(filter, before, limit).await?;
        let next = found.last().filter(|_| has_more).map(|entry| {
            let key = format!("{}.{}", entry.cursor.at.as_millis(), entry.cursor.row_id);
            bound_cursor(&filters, &key)
        });
        ok(SessionList::new(found, next))
    }
}

impl AnalyticsApi {
    /// The zone, and the range in it.
    fn dates(
        &self,
        tz: &Option<String>,
        start: &Option<String>,
        end: &Option<String>,
    ) -> Result<(Zone, Range)> {
        let zone = self.0.analytics.zone(tz.as_deref())?;
        Ok((zone, zone.range(start.as_deref(), end.as_deref())?))
    }

    /// Whose rows are asked for: `Some(None)` is anyone's, `None` no one's.
    async fn whose(&self, id: Option<i64>, name: Option<&str>) -> Result<Option<Option<UserId>>> {
        let id = id.map(UserId);
        let Some(name) = name else {
            return Ok(Some(id));
        };
        let user = self.0.store.user_by_username(name).await?;
        let user = user.map(|user| user.id);
        Ok(user
            .filter(|user| id.is_none_or(|id| id == *user))
            .map(Some))
    }
}

/// A stream is the whole selection.
fn refuse_pages(limit: Option<i64>, offset: Option<i64>, cursor: Option<&str>) -> Result<()> {
    let given = [
        ("limit", limit.is_some()),
        ("offset", offset.is_some()),
        ("cursor", cursor.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((field, _)) => {
            let message = "is for pages of JSON; CSV and JSON lines have the whole selection";
            Err(Error::invalid(field, message))
        }
        None => Ok(()),
    }
}

fn metric_of(metric: &str, action: Option<String>) -> Result<Metric> {
    if action.is_some() && metric != "activities" {
        return Err(Error::invalid("action", "is only for metric=activities"));
    }
    match metric {
        "online" => Ok(Metric::Online),
        "activities" => Ok(Metric::Activities(action)),
        "sessions" => Ok(Metric::Sessions),
        "signins" => Ok(Metric::SignIns),
        _ => {
            let words = "must be one of: online, activities, sessions, signins";
            Err(Error::invalid("metric", words))
        }
    }
}

fn place(filters: &str, offset: Option<i64>, cursor: Option<&str>) -> Result<ActivityPlace> {
    let before: Option<ActivityId> = bound_key(filters, cursor, |text| text.parse().ok())?;
    match (before, offset) {
        (Some(_), Some(_)) => Err(Error::invalid("offset", "is not for use with cursor")),
        (Some(id), None) => Ok(ActivityPlace::Before(id)),
        (None, None) => Ok(ActivityPlace::Offset(0)),
        (None, Some(n)) if n > MAX_OFFSET => {
            let message = format!("is needed to go further than an offset of {MAX_OFFSET}");
            Err(Error::invalid("cursor", message))
        }
        (None, Some(n)) => u32::try_from(n)
            .map(ActivityPlace::Offset)
            .map_err(|_| Error::invalid("offset", format!("must be 0 to {MAX_OFFSET}"))),
    }
}
