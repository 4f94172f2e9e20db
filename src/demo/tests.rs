use super::*;
use std::collections::HashSet;

/// More than there are names.
const MOST_USERS: u32 = 2_000;

const SETTINGS: Settings = Settings {
    users: 300,
    seed: 7,
    speed: 288,
};

fn rows(settings: Settings) -> history::Rows {
    let town = Town::new(settings);
    let ids: Vec<UserId> = (1..=i64::from(settings.users)).map(UserId).collect();
    let now = Timestamp::from_millis(1_760_000_000_000);
    let mut rng = StdRng::seed_from_u64(settings.seed);
    history::make(&town.people, &ids, now, &mut rng)
}

#[test]
fn a_day_takes_five_minutes_by_default() {
    assert_eq!(SETTINGS.day(), Duration::from_secs(300));
}

#[test]
fn a_seed_gives_the_same_town_and_another_one_another() {
    let shown = |seed| {
        let settings = Settings { seed, ..SETTINGS };
        let town = Town::new(settings);
        let rows = rows(settings);
        format!("{town:?} {:?} {:?}", rows.sessions, rows.activities)
    };
    assert!(shown(7) == shown(7));
    assert!(shown(7) != shown(8));
}

#[test]
fn as_many_people_as_wanted_have_names_of_their_own() {
    let town = Town::new(Settings {
        users: MOST_USERS,
        ..SETTINGS
    });
    let names: HashSet<String> = town
        .people
        .iter()
        .map(|person| person.name.as_str().to_ascii_lowercase())
        .collect();
    assert_eq!(names.len(), MOST_USERS as usize);
    assert!(!names.contains(GUEST));
}

#[test]
fn a_few_are_followed_by_very_many() {
    let town = Town::new(SETTINGS);
    let mut followers = vec![0; town.people.len()];
    for (index, followees) in town.follows.iter().enumerate() {
        assert!(!followees.contains(&index), "nobody follows themselves");
        followees.iter().for_each(|one| followers[*one] += 1);
    }
    assert!(town.follows.iter().skip(1).all(|all| !all.is_empty()));
    followers.sort_unstable();
    let (median, most) = (followers[150], followers[299]);
    assert!(median <= 8 && most >= 40, "{median}, {most}");
}

#[test]
fn history_is_of_the_last_days_and_follows_the_hours() {
    let rows = rows(SETTINGS);
    let now = Timestamp::from_millis(1_760_000_000_000);
    let first = now.minus(Duration::from_secs(history::DAYS * 86_400));
    assert!(
        (2_000..4_000).contains(&rows.sessions.len()),
        "{}",
        rows.sessions.len()
    );
    assert!(rows.activities.len() > rows.sessions.len());
    let mut hours = [0; 24];
    for SessionImportAt { start, end } in rows.sessions.iter().map(SessionImportAt::of) {
        assert!(first <= start && start < end && end < now);
        hours[usize::try_from(start.as_millis() / 3_600_000 % 24).expect("an hour")] += 1;
    }
    assert!(hours[19] > 3 * hours[3], "{hours:?}");
    let ids: HashSet<_> = rows.activities.iter().map(|row| row.activity.id).collect();
    assert_eq!(ids.len(), rows.activities.len());
}

struct SessionImportAt {
    start: Timestamp,
    end: Timestamp,
}

impl SessionImportAt {
    fn of(row: &crate::store::SessionImport) -> Self {
        Self {
            start: row.session.started_at,
            end: row.session.ended.expect("an end").0,
        }
    }
}

#[test]
fn the_mean_of_the_hours_is_what_it_is_said_to_be() {
    let mean = (0..24).map(|hour| rhythm::at(f64::from(hour))).sum::<f64>() / 24.0;
    assert!((mean - rhythm::MEAN).abs() < 0.001, "{mean}");
    assert!(rhythm::at(-1.0) == rhythm::at(23.0) && rhythm::at(20.5) > rhythm::at(3.5));
}

#[tokio::test]
async fn the_database_has_everybody_and_opens_for_a_server() {
    let folder = Folder::new().expect("a folder");
    let keys = folder.keys().expect("keys");
    let town = Town::new(Settings {
        users: 20,
        ..SETTINGS
    });
    let now = Clock::system().now();
    let written = town.write(&folder.database(), &keys, now).await;
    let written = written.expect("written");
    assert!(
        written.sessions > 0 && written.activities > 0,
        "{written:?}"
    );
    let store = Store::open(&folder.database(), Options::default()).expect("a database");
    let page = store.users_page(None, 100).await.expect("users");
    assert_eq!(page.len(), 21);
    assert!(page.iter().any(|user| user.username.as_str() == GUEST));
    store.close().await;
    #[cfg(unix)]
    for file in [folder.admin_key(), folder.sign_in()] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let path = folder.path().to_owned();
    folder.remove().expect("removed");
    assert!(!path.exists());
}
