//! What administrators ask of the log, of sessions and of counts.

use super::world::World;
use crate::model::*;
use crate::store::{ActivityBatch, Durability, FlushBatch, PruneRules, Pruner};
use serde_json::Value;
use std::sync::Arc;

const PATHS: &[&str] = &[
    "/admin/analytics/user-activity",
    "/admin/analytics/user-sessions",
    "/admin/analytics/overview",
    "/admin/analytics/actions",
    "/admin/analytics/timeseries?interval=hour&metric=online",
    "/admin/analytics/heatmap",
    "/admin/analytics/online-at?at=2026-01-01T00:00:00Z",
    "/admin/sessions",
];

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

/// The id of `name` in the world.
async fn id(world: &World, name: &str) -> UserId {
    let user = world.store.user_by_username(name).await;
    user.expect("an answer").expect("a user").id
}

async fn log(world: &World, rows: &[(UserId, &str, Option<&str>, &str)]) {
    let rows = rows.iter().map(|(user, action, target_type, at)| Activity {
        id: ActivityId::new(time(at)),
        user_id: *user,
        action: (*action).into(),
        target_type: target_type.map(Into::into),
        target_id: None,
        metadata: Some(r#"{"k":1}"#.into()),
        ip_address: None,
        device_type: None,
        country_code: None,
        region: None,
        timestamp: time(at),
    });
    let batch = ActivityBatch {
        rows: rows.collect(),
        ..ActivityBatch::default()
    };
    world.store.log_activities(batch).await.expect("logged");
}

async fn sessions(world: &World, rows: &[(UserId, &str, Option<&str>)]) {
    let store = &world.store;
    let boot = store.begin_boot(world.clock.now()).await.expect("a boot");
    let rows = rows.iter().map(|(user, from, to)| SessionRow {
        id: SessionId(ActivityId::new(time(from)).0),
        user_id: *user,
        device_id: None,
        client: Arc::default(),
        started_at: time(from),
        ended: to.map(|to| (time(to), EndReason::Client)),
    });
    let batch = FlushBatch {
        sessions: rows.collect(),
        ..FlushBatch::default()
    };
    store.flush(boot, batch).await.expect("written");
}

#[tokio::test]
async fn only_for_admins() {
    let world = World::new().await;
    for path in PATHS {
        for (token, status) in [
            ("", 401),
            ("nonsense", 401),
            (&*world.ann, 403),
            (&*world.service_key, 403),
            (&*world.boss, 200),
            (&*world.admin_key, 200),
        ] {
            let answer = world.get(path, token).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text);
            assert!(answer.json["success"].is_boolean(), "{path}");
        }
    }
}

#[tokio::test]
async fn wrong_values_are_named() {
    let world = World::new().await;
    let cases = [
        ("user-activity?limit=0", "limit", 422),
        ("user-activity?limit=1001", "limit", 422),
        ("user-activity?limit=x", "limit", 400),
        ("user-activity?offset=-1", "offset", 422),
        ("user-activity?offset=10001", "cursor", 422),
        ("user-activity?cursor=x", "cursor", 422),
        ("user-sessions?tz=Mars", "tz", 422),
        ("actions?limit=0", "limit", 422),
        ("actions?limit=1001", "limit", 422),
        ("actions?limit=x", "limit", 400),
        ("actions?tz=Mars", "tz", 422),
        ("actions?endDate=tomorrow", "endDate", 422),
        ("overview?startDate=yesterday", "startDate", 422),
        (
            "heatmap?startDate=2026-01-02&endDate=2026-01-01",
            "endDate",
            422,
        ),
        ("timeseries?metric=online", "interval", 400),
        ("timeseries?interval=1s&metric=online", "interval", 422),
        ("timeseries?interval=hour&metric=x", "metric", 422),
        (
            "timeseries?interval=hour&metric=online&action=login",
            "action",
            422,
        ),
        (
            "timeseries?interval=15m&metric=online&startDate=1971-01-01",
            "interval",
            422,
        ),
        ("online-at?at=2026-01-01", "at", 422),
        ("online-at", "at", 400),
    ];
    for (query, field, status) in cases {
        let answer = world
            .get(&format!("/admin/analytics/{query}"), &world.boss)
            .await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert!(answer.text.contains(field), "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn active_users_count_from_their_last_request_on() {
    let world = World::new().await;
    let overview = async || {
        let answer = world
            .get("/admin/analytics/overview", &world.admin_key)
            .await;
        let data = answer.data(200);
        ["dau", "wau", "mau"].map(|name| data[name].as_i64().expect("a count"))
    };
    // Three have signed in today. What follows is a request, of which nothing is written here.
    assert_eq!(overview().await, [3, 3, 3]);
    world
        .clock
        .advance(std::time::Duration::from_secs(3 * 86_400));
    assert_eq!(overview().await, [0, 3, 3]);
    world
        .clock
        .advance(std::time::Duration::from_secs(10 * 86_400));
    assert_eq!(overview().await, [0, 0, 3]);
}

#[tokio::test]
async fn the_log_by_filters_and_pages() {
    let world = World::new().await;
    let (ann, bob) = (id(&world, "ann").await, id(&world, "bob").await);
    let rows = [
        (ann, "login", None, "2026-03-01T10:00:00Z"),
        (ann, "video_posted", Some("video"), "2026-03-01T11:00:00Z"),
        (bob, "login", None, "2026-03-02T10:00:00Z"),
        (bob, "video_posted", Some("video"), "2026-03-02T11:00:00Z"),
        (bob, "video_posted", Some("video"), "2026-03-03T11:00:00Z"),
    ];
    log(&world, &rows).await;
    let ask = async |query: &str| {
        let path = format!("/admin/analytics/user-activity?{query}");
        world.get(&path, &world.boss).await
    };
    // Every combination of filters against a count by hand.
    for bits in 0..16 {
        let (by_user, by_action, by_type, by_day) =
            (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0, bits & 8 > 0);
        let expected = rows.iter().filter(|(user, action, kind, at)| {
            (!by_user || *user == bob)
                && (!by_action || *action == "video_posted")
                && (!by_type || *kind == Some("video"))
                && (!by_day || at.starts_with("2026-03-02"))
        });
        let mut query = String::from("limit=10");
        query += if by_user { "&username=BOB" } else { "" };
        query += if by_action {
            "&action=video_posted"
        } else {
            ""
        };
        query += if by_type { "&targetType=video" } else { "" };
        query += if by_day {
            "&startDate=2026-03-02&endDate=2026-03-02"
        } else {
            ""
        };
        let data = ask(&query).await.data(200);
        let count = expected.count();
        assert_eq!(data["total"], count, "{query}");
        assert_eq!(
            data["activities"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    assert_eq!(ask("username=nobody").await.data(200)["total"], 0);
    let other = format!("username=bob&userId={ann}");
    assert_eq!(ask(&other).await.data(200)["total"], 0);

    // A walk while rows arrive.
    let (mut seen, mut query) = (Vec::new(), String::from("limit=2"));
    loop {
        let data = ask(&query).await.data(200);
        for row in data["activities"].as_array().expect("rows") {
            assert_eq!(row["metadata"]["k"], 1);
            seen.push(row["timestamp"].to_string());
        }
        let Some(next) = data["nextCursor"].as_str() else {
            break;
        };
        let foreign = ask(&format!("limit=2&action=login&cursor={next}")).await;
        assert_eq!(foreign.status, 422, "a cursor of other filters");
        assert_eq!(ask(&format!("offset=0&cursor={next}")).await.status, 422);
        query = format!("limit=2&cursor={next}");
        log(&world, &[(ann, "login", None, "2026-03-04T10:00:00Z")]).await;
    }
    assert_eq!(seen.len(), rows.len());
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
}

#[tokio::test]
async fn sessions_in_two_zones_across_a_change_of_clocks() {
    let world = World::new().await;
    let (ann, bob) = (id(&world, "ann").await, id(&world, "bob").await);
    // In Los Angeles 01:30 before the clocks go forward, 03:30 and 04:00 after it.
    let rows = [
        (ann, "2026-03-08T09:30:00Z", Some("2026-03-08T09:40:00Z")),
        (ann, "2026-03-08T10:30:00Z", Some("2026-03-08T10:50:00Z")),
        (bob, "2026-03-08T10:31:00Z", Some("2026-03-08T10:32:00Z")),
        (bob, "2027-01-15T07:59:00Z", None),
    ];
    sessions(&world, &rows).await;
    let ask = async |query: &str| {
        let path = format!("/admin/analytics/user-sessions?{query}");
        world.get(&path, &world.boss).await.data(200)
    };
    let hours = |data: &Value| {
        let hours = data["topHours"].as_array().expect("hours").iter();
        let pair = |h: &Value| (h["hour"].as_i64(), h["sessions"].as_i64());
        hours
            .map(pair)
            .map(|(h, n)| (h.expect("an hour"), n.expect("a count")))
            .collect::<Vec<_>>()
    };
    let day = "startDate=2026-03-08&endDate=2026-03-08";
    let data = ask(&format!("{day}&tz=America/Los_Angeles")).await;
    assert_eq!(hours(&data), [(3, 2), (1, 1)]);
    assert_eq!(data["tz"], "America/Los_Angeles");
    assert_eq!(data["averageSessionDuration"], 620.0);
    assert_eq!(data.get("approximate"), None);
    assert_eq!(hours(&ask(day).await), [(10, 2), (9, 1)]);
    // An end within a quarter hour is exact.
    let cut = "startDate=2026-03-08T10:30:30Z&endDate=2026-03-08T10:40:00Z";
    assert_eq!(hours(&ask(cut).await), [(10, 1)]);
    // The clock stands at 08:00: the open session has lasted a minute.
    let all = ask("").await;
    assert_eq!(all["totalSessions"], 4);
    assert_eq!(all["averageSessionDuration"], 480.0);

    let series = "/admin/analytics/timeseries?interval=day&metric=sessions&tz=America/Los_Angeles&startDate=2026-03-07&endDate=2026-03-09";
    let points = world.get(series, &world.boss).await.data(200)["points"].clone();
    let values: Vec<_> = points
        .as_array()
        .expect("points")
        .iter()
        .map(|p| p["value"].as_i64())
        .collect();
    assert_eq!(values, [Some(0), Some(3), Some(0)]);
    assert_eq!(points[2]["timestamp"], "2026-03-09T07:00:00.000Z");
    let heat = world
        .get(
            "/admin/analytics/heatmap?tz=America/Los_Angeles",
            &world.boss,
        )
        .await
        .data(200);
    assert_eq!(heat["cells"].as_array().map(Vec::len), Some(168));
    assert_eq!(heat["cells"][6 * 24 + 3]["sessions"], 2);

    let at = "/admin/analytics/online-at?limit=1&at=2026-03-08T10:31:30Z";
    let page = world.get(at, &world.boss).await.data(200);
    assert_eq!(
        (&page["total"], &page["users"][0]["userId"]),
        (&2.into(), &ann.0.into())
    );
    let next = page["nextCursor"].as_str().expect("more");
    let page = world
        .get(&format!("{at}&cursor={next}"), &world.boss)
        .await
        .data(200);
    assert_eq!(page["users"][0]["userId"], bob.0);
    assert_eq!(page["nextCursor"], Value::Null);

    let list = world
        .get("/admin/sessions?open=true", &world.boss)
        .await
        .data(200);
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["sessions"][0]["endedAt"], Value::Null);
    let list = world
        .get("/admin/sessions?username=ann&limit=1", &world.boss)
        .await
        .data(200);
    let next = list["nextCursor"].as_str().expect("more");
    let rest = format!("/admin/sessions?username=ann&limit=1&cursor={next}");
    let list = world.get(&rest, &world.boss).await.data(200);
    assert_eq!(list["sessions"][0]["endReason"], "client");
    assert_eq!(list["nextCursor"], Value::Null);
}

#[tokio::test]
async fn actions_by_how_often_they_were_done() {
    let world = World::new().await;
    let ann = id(&world, "ann").await;
    let day = "2026-03-01T";
    let rows: Vec<_> = [
        ("login", "09:59:59"),
        ("login", "10:07:00"),
        ("zoom", "10:08:00"),
        ("zoom", "10:09:00"),
        ("archive", "10:30:00"),
        ("login", "11:00:00"),
        ("archive", "11:01:00"),
        ("login", "23:30:00"),
    ]
    .map(|(action, at)| (action, format!("{day}{at}Z")))
    .into();
    for (action, at) in &rows {
        log(&world, &[(ann, *action, None, at.as_str())]).await;
    }
    let ask = async |query: &str| {
        let path = format!("/admin/analytics/actions?{query}");
        let data = world.get(&path, &world.boss).await.data(200);
        let actions = data["actions"].as_array().expect("actions").clone();
        let shown = actions.iter().map(|row| {
            let name = row["action"].as_str().expect("a name").to_owned();
            (name, row["count"].as_i64().expect("a count"))
        });
        (shown.collect::<Vec<_>>(), data)
    };
    // Every edge within a quarter hour against a count by hand.
    for (from, to) in [
        ("00:00:00", "23:59:59"),
        ("10:07:00", "11:01:00"),
        ("10:07:01", "11:01:01"),
        ("10:08:30", "10:08:31"),
        ("12:00:00", "13:00:00"),
    ] {
        let (from, to) = (format!("{day}{from}Z"), format!("{day}{to}Z"));
        let (found, data) = ask(&format!("startDate={from}&endDate={to}")).await;
        let mut expected = std::collections::BTreeMap::<String, i64>::new();
        for (action, at) in &rows {
            if *at >= from && *at < to {
                *expected.entry((*action).to_owned()).or_default() += 1;
            }
        }
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        assert_eq!(found, expected, "{from}..{to}");
        assert_eq!(data.get("approximate"), None);
    }
    // The day of another zone begins at 11:00 and so ends before the last.
    let (found, data) = ask("tz=Etc/GMT-13&startDate=2026-03-02&endDate=2026-03-02&limit=1").await;
    assert_eq!(found, [("login".to_owned(), 2)]);
    assert_eq!(data["tz"], "Etc/GMT-13");
    // Today by default, and nothing of what was.
    assert!(ask("").await.0.iter().all(|(action, _)| action == "login"));
}

#[tokio::test]
async fn the_hour_that_comes_twice_in_autumn_counts_both_times() {
    let world = World::new().await;
    let ann = id(&world, "ann").await;
    // In Los Angeles 01:30 twice and then 02:10; the last one is open.
    let rows = [
        (ann, "2026-11-01T08:30:00Z", Some("2026-11-01T08:31:00Z")),
        (ann, "2026-11-01T09:30:00Z", Some("2026-11-01T09:33:00Z")),
        (ann, "2026-11-01T10:10:00Z", None),
    ];
    sessions(&world, &rows).await;
    let open = world.clock.now().since(time("2026-11-01T10:10:00Z"));
    let average = (60.0 + 180.0 + open.as_secs_f64()) / 3.0;
    for (zone, hours) in [
        ("America/Los_Angeles", vec![(1, 2), (2, 1)]),
        ("Asia/Kathmandu", vec![(14, 1), (15, 2)]),
    ] {
        let path = format!(
            "/admin/analytics/user-sessions?tz={zone}&startDate=2026-11-01&endDate=2026-11-01"
        );
        let data = world.get(&path, &world.boss).await.data(200);
        let mut found: Vec<_> = data["topHours"]
            .as_array()
            .expect("hours")
            .iter()
            .map(|hour| (hour["hour"].as_i64(), hour["sessions"].as_i64()))
            .collect();
        assert!(found.is_sorted_by_key(|(_, sessions)| std::cmp::Reverse(*sessions)));
        found.sort_unstable();
        let hours: Vec<_> = hours.into_iter().map(|(h, n)| (Some(h), Some(n))).collect();
        assert_eq!(found, hours, "{zone}");
        let seconds = data["averageSessionDuration"].as_f64().expect("a number");
        assert!((seconds - average).abs() < 0.001, "{zone}: {seconds}");
    }
    let day = "/admin/analytics/timeseries?interval=hour&metric=sessions&tz=America/Los_Angeles\
               &startDate=2026-11-01&endDate=2026-11-01";
    let points = world.get(day, &world.boss).await.data(200)["points"].clone();
    let values: Vec<_> = points
        .as_array()
        .expect("points")
        .iter()
        .map(|point| point["value"].as_i64().expect("a value"))
        .collect();
    assert_eq!(values.len(), 25);
    assert_eq!(values[..5], [0, 1, 1, 1, 0]);
}

#[tokio::test]
async fn in_a_pruned_quarter_hour_an_answer_says_that_it_is_approximate() {
    let world = World::new().await;
    let ann = id(&world, "ann").await;
    let times = ["10:01", "10:05", "10:14", "10:20"];
    for at in times {
        log(
            &world,
            &[(ann, "login", None, &format!("2026-03-01T{at}:00Z"))],
        )
        .await;
    }
    let ask = async |from: &str, to: &str| {
        let path = format!(
            "/admin/analytics/overview?startDate=2026-03-01T{from}:00Z&endDate=2026-03-01T{to}:00Z"
        );
        let data = world.get(&path, &world.boss).await.data(200);
        (
            data["signIns"].as_i64(),
            data["approximate"].as_bool().unwrap_or(false),
        )
    };
    assert_eq!(ask("10:03", "10:30").await, (Some(3), false));
    let rules = PruneRules {
        activities: Some(time("2026-03-01T10:03:00Z")),
        ..PruneRules::default()
    };
    let mut pruner = Pruner::open(&world.path(), Durability::Normal, false).expect("opens");
    for mut walk in rules.walks() {
        while let Some(going) = pruner.next_activities(&rules, &mut walk, 9).expect("rows") {
            pruner.delete_activities(&going).expect("deleted");
        }
    }
    pruner.finish();
    // Whole quarter hours are as exact as before; an end within the one that lost a row is widened to all of it.
    assert_eq!(ask("10:00", "10:30").await, (Some(4), false));
    assert_eq!(ask("10:03", "10:30").await, (Some(4), true));
    assert_eq!(ask("10:15", "10:21").await, (Some(1), false));
}
