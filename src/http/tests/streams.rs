//! The activity log as CSV and JSON lines.

use super::world::{Answer, World, request};
use crate::model::*;
use crate::store::ActivityBatch;
use futures_util::StreamExt as _;
use poem::{Endpoint as _, Request};
use serde_json::Value;
use std::pin::pin;

const PATH: &str = "/admin/analytics/user-activity";
const COLUMNS: &str = "id,userId,username,action,targetType,targetId,metadata,ipAddress,deviceType,countryCode,region,timestamp";
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

fn asking(world: &World, query: &str, accept: &str) -> Request {
    request("GET", &format!("{PATH}?{query}"))
        .header("Authorization", format!("Bearer {}", world.boss))
        .header("Accept", accept)
        .finish()
}

async fn ask(world: &World, query: &str, accept: &str) -> Answer {
    world.send(asking(world, query, accept)).await
}

/// Rows by Ann and Bob in turn, a second apart from 2026-03-01 on, with what is hard to write in some of them.
async fn log(world: &World, count: i64) {
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        let user = world.store.user_by_username(name).await;
        ids.push(user.expect("an answer").expect("a user").id);
    }
    let first = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").expect("a time");
    let rows = (0..count).map(|n| {
        let at = Timestamp::from_millis(first.as_millis() + n * 1_000);
        let is_odd = n % 2 == 1;
        let text = |text: &str| is_odd.then(|| text.to_owned());
        Activity {
            id: ActivityId::new(at),
            user_id: ids[usize::from(is_odd)],
            action: if n % 3 == 0 { "login" } else { "looked" }.into(),
            target_type: text("wall"),
            target_id: text("\"a\", b\r\nc; ü\u{1f600}"),
            metadata: text(r#"{"deep":{"list":[1,null,"é"]},"text":"line\nline, \"q\""}"#),
            ip_address: text("2001:db8::1"),
            device_type: is_odd.then_some(DeviceType::Ios),
            country_code: text("FR"),
            region: text("Île-de-France"),
            timestamp: at,
        }
    });
    let batch = ActivityBatch {
        rows: rows.collect(),
        ..ActivityBatch::default()
    };
    world.store.log_activities(batch).await.expect("logged");
}

/// The rows of the selection by pages of JSON.
async fn by_pages(world: &World, query: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("limit=700&{query}{cursor}");
        let data = ask(world, &path, "*/*").await.data(200);
        rows.extend(data["activities"].as_array().expect("rows").clone());
        match data["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    rows
}

/// A row of JSON as the cells of CSV.
fn cells(row: &Value) -> Vec<String> {
    let cell = |column| match &row[column] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    COLUMNS.split(',').map(cell).collect()
}

#[tokio::test]
async fn streams_have_the_rows_of_the_pages() {
    let world = World::new().await;
    // Two full pages of each user and one row more: a selection that ends with a page, and one that does not.
    log(&world, 4_001).await;
    for (query, count) in [
        ("", 4_001),
        ("username=BOB", 2_000),
        ("username=ann", 2_001),
        ("action=login", 1_334),
        ("username=bob&action=login", 667),
        ("targetType=wall", 2_000),
        ("username=bob&targetType=wall", 2_000),
        (
            "startDate=2026-03-01T00:00:10Z&endDate=2026-03-01T00:00:20Z",
            10,
        ),
        (
            "startDate=2026-03-01&endDate=2026-03-01&tz=America/Los_Angeles",
            0,
        ),
        ("username=nobody", 0),
        ("username=bob&userId=1", 0),
    ] {
        let pages = by_pages(&world, query).await;
        // In that zone the day begins hours after the last row.
        assert_eq!(pages.len(), count, "{query}");

        let answer = ask(&world, query, NDJSON).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(answer.header("content-type"), NDJSON);
        let disposition = "attachment; filename=\"user-activity.ndjson\"";
        assert_eq!(answer.header("content-disposition"), disposition);
        let lines = answer.text.lines().map(serde_json::from_str::<Value>);
        let lines: Vec<_> = lines.map(|line| line.expect("JSON")).collect();
        assert!(lines == pages, "{query}: JSON lines");

        let answer = ask(&world, query, CSV).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
        let disposition = "attachment; filename=\"user-activity.csv\"";
        assert_eq!(answer.header("content-disposition"), disposition);
        assert_eq!(answer.text.lines().next(), Some(COLUMNS));
        let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
        let rows: Vec<Vec<String>> = reader
            .records()
            .map(|row| row.expect("CSV").iter().map(str::to_owned).collect())
            .collect();
        let expected: Vec<_> = pages.iter().map(cells).collect();
        assert_eq!(rows.len(), count, "{query}");
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn the_form_is_negotiated() {
    let world = World::new().await;
    log(&world, 3).await;
    for (accept, content_type) in [
        ("*/*", "application/json; charset=utf-8"),
        ("text/html, */*;q=0.8", "application/json; charset=utf-8"),
        ("image/png", "application/json; charset=utf-8"),
        ("text/csv;q=0.9, application/x-ndjson", NDJSON),
        ("text/csv, */*;q=0.1", "text/csv; charset=utf-8"),
    ] {
        let answer = ask(&world, "", accept).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.header("content-type"), content_type, "{accept}");
        assert_eq!(answer.header("vary"), "Accept", "{accept}");
    }
    let document = world.get("/openapi.json", "").await.json;
    let content = &document["paths"][PATH]["get"]["responses"]["200"]["content"];
    let types: Vec<_> = content.as_object().expect("forms").keys().collect();
    let expected = [
        "application/json; charset=utf-8",
        NDJSON,
        "text/csv; charset=utf-8",
    ];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn what_is_wrong_is_answered_in_json_also_to_who_wants_a_stream() {
    let world = World::new().await;
    log(&world, 3).await;
    let next = ask(&world, "limit=1", "*/*").await.data(200)["nextCursor"].clone();
    let cursor = format!("cursor={}", next.as_str().expect("more"));
    for (query, field, status) in [
        ("limit=10", "limit", 422),
        ("limit=10&offset=0", "limit", 422),
        ("offset=0", "offset", 422),
        (&*cursor, "cursor", 422),
        ("limit=x", "limit", 400),
        ("userId=x", "userId", 400),
        ("tz=Mars", "tz", 422),
        ("startDate=2026-01-02&endDate=2026-01-01", "endDate", 422),
    ] {
        for accept in [CSV, NDJSON] {
            let code = if status == 400 {
                "bad_request"
            } else {
                "invalid"
            };
            let error = ask(&world, query, accept).await.fails(status, code);
            let message = error["message"].as_str().expect("text");
            assert!(message.contains(field), "{query}: {message}");
        }
    }
    for (token, status, code) in [
        ("nonsense", 401, "unauthorized"),
        (&*world.ann, 403, "forbidden"),
        (&*world.service_key, 403, "forbidden"),
    ] {
        let request = request("GET", PATH)
            .header("Authorization", format!("Bearer {token}"))
            .header("Accept", CSV);
        world.send(request.finish()).await.fails(status, code);
    }
}

#[tokio::test]
async fn the_next_page_is_read_when_the_one_before_was_sent() {
    let world = World::new().await;
    log(&world, 2_500).await;
    let begun = world.api.get_response(asking(&world, "", NDJSON)).await;
    let mut chunks = pin!(begun.into_body().into_bytes_stream());
    let mut lines = Vec::new();
    for expected in [1_000, 1_000, 500] {
        let chunk = chunks.next().await.expect("a page").expect("readable");
        let text = String::from_utf8(chunk.to_vec()).expect("UTF-8");
        let before = lines.len();
        lines.extend(text.lines().map(str::to_owned));
        assert_eq!(lines.len() - before, expected);
        // What comes meanwhile is newer than all that is still to be sent.
        let user = world.store.user_by_username("bob").await;
        let bob = user.expect("an answer").expect("a user").id;
        let now = world.clock.now();
        let newer = Activity {
            id: ActivityId::new(now),
            user_id: bob,
            action: "login".into(),
            target_type: None,
            target_id: None,
            metadata: None,
            ip_address: None,
            device_type: None,
            country_code: None,
            region: None,
            timestamp: now,
        };
        let rows = vec![newer];
        let batch = ActivityBatch {
            rows,
            ..ActivityBatch::default()
        };
        world.store.log_activities(batch).await.expect("logged");
    }
    assert!(chunks.next().await.is_none());
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 2_500, "each once");

    // A stream that cannot go on never looks whole.
    for accept in [CSV, NDJSON] {
        let world = World::new().await;
        log(&world, 1_001).await;
        let begun = world.api.get_response(asking(&world, "", accept)).await;
        assert_eq!(begun.status(), 200);
        world.store.close().await;
        assert!(begun.into_body().into_string().await.is_err(), "{accept}");
        // One that cannot begin is refused as everything is.
        ask(&world, "", accept).await.fails(503, "unavailable");
    }
}
