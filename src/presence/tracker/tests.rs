use super::*;
use crate::bus::live::Told;
use crate::model::SignInId;
use crate::presence::model_tests::world::Ear;
use tokio_util::sync::CancellationToken;

const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);

fn tracker(clock: &Clock) -> Arc<Tracker> {
    let settings = TrackerSettings {
        offline_grace: Duration::from_secs(5),
        session_resume: Duration::from_secs(30),
        max_connections_per_user: 2,
        max_connections: 3,
    };
    Tracker::new(settings, clock.clone(), Bus::new(), Arc::default())
}

fn attach(
    tracker: &Tracker,
    user: UserId,
    expires_at: Option<Timestamp>,
) -> Result<(ConnectionId, Arc<Ear>), TooMany> {
    let (id, ear) = (tracker.next_connection(), Arc::new(Ear::default()));
    let new = NewConnection {
        user_id: user,
        username: "name".into(),
        device_id: None,
        credential: Credential::SignIn(SignInId(1)),
        expires_at,
        client: Arc::default(),
        link: ear.clone(),
    };
    tracker.attach(id, new).map(|()| (id, ear))
}

fn start() -> Clock {
    Clock::manual(Timestamp::from_millis(1_800_000_000_000))
}

fn run(tracker: &Arc<Tracker>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let (stop, of) = (CancellationToken::new(), tracker.clone());
    let timers = tracker
        .timers
        .clone()
        .run(stop.clone(), move |due| of.fire(due));
    (stop, tokio::spawn(timers))
}

#[tokio::test(start_paused = true)]
async fn a_credential_ends_its_connection_when_its_time_is_over_however_long_that_is() {
    let clock = start();
    let tracker = tracker(&clock);
    let (stop, task) = run(&tracker);
    let in_an_hour = clock.now().plus(Duration::from_secs(3600));
    let (_, hour) = attach(&tracker, ANN, Some(in_an_hour)).expect("room");
    let far = Timestamp::from_millis(253_402_300_799_000);
    let (_, ages) = attach(&tracker, ANN, Some(far)).expect("room");
    let past = clock.now().minus(Duration::from_secs(1));
    let (_, over) = attach(&tracker, BOB, Some(past)).expect("room");
    while over.closed().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..59 {
        clock.advance(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!((hour.closed(), ages.closed()), (None, None));
    clock.advance(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(hour.closed(), Some(CloseReason::Expired));
    assert_eq!(ages.closed(), None);
    assert_eq!(tracker.connections(), 1);
    stop.cancel();
    task.await.expect("ends");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_those_who_are_gone_while_others_change_all_the_time() {
    let clock = start();
    let tracker = tracker(&clock);
    let (stop, task) = run(&tracker);
    let in_a_month = clock.now().plus(Duration::from_secs(30 * 24 * 3600));
    let (id, _) = attach(&tracker, ANN, Some(in_a_month)).expect("room");
    tracker.detach(ANN, id, clock.now(), Ending::Client);
    // Everything is written when somebody else's change is there already.
    tracker.dirty.take().expect("a session");
    tracker.dirty.written();
    tokio::time::sleep(Duration::from_secs(6)).await;
    tracker.dirty.take().expect("offline");
    attach(&tracker, BOB, None).expect("room");
    tracker.dirty.written();
    clock.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(tracker.standing(ANN), None);
    assert_eq!(tracker.timers.len(), 0);
    stop.cancel();
    task.await.expect("ends");
}

#[tokio::test]
async fn refused_connections_are_not_counted_and_leave_nothing() {
    let clock = start();
    let tracker = tracker(&clock);
    let until = Some(clock.now().plus(Duration::from_secs(60)));
    let (first, _) = attach(&tracker, ANN, until).expect("room");
    attach(&tracker, ANN, until).expect("room");
    assert_eq!(attach(&tracker, ANN, until).err(), Some(TooMany));
    attach(&tracker, BOB, until).expect("room");
    assert_eq!(attach(&tracker, BOB, until).err(), Some(TooMany));
    assert_eq!((tracker.connections(), tracker.timers.len()), (3, 3));
    tracker.detach(ANN, first, clock.now(), Ending::Client);
    tracker.detach(ANN, first, clock.now(), Ending::Lost);
    assert_eq!(tracker.connections(), 2);
    assert_eq!(tracker.shut_down().len(), 2);
    assert_eq!((tracker.connections(), tracker.online()), (0, 0));
    assert_eq!(attach(&tracker, BOB, None).err(), Some(TooMany));
    assert_eq!(tracker.connections(), 0);
}

#[tokio::test]
async fn those_online_are_listed_by_id_a_page_at_a_time() {
    let clock = start();
    let settings = TrackerSettings {
        max_connections: 1000,
        ..tracker(&clock).settings
    };
    let tracker = Tracker::new(settings, clock.clone(), Bus::new(), Arc::default());
    // In no order, and more than there are shards.
    for id in (1..=150).rev() {
        let (connection, _) = attach(&tracker, UserId(id), None).expect("room");
        if id % 3 == 0 {
            tracker.set_status(UserId(id), connection, false);
        }
    }
    let online: Vec<i64> = (1..=150).filter(|id| id % 3 > 0).collect();
    for limit in [1, 7, 50, 99, 100, 101] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = tracker.online_page(after, limit);
            assert_eq!(page.total, online.len());
            assert!(page.users.len() <= limit);
            seen.extend(page.users.iter().map(|user| user.user_id.0));
            after = page.next;
            if after.is_none() {
                break;
            }
            assert_eq!(page.users.len(), limit, "only the last is short");
        }
        assert_eq!(seen, online, "{limit} at a time");
    }
}

#[tokio::test]
async fn an_ended_connection_leaves_its_user_the_grace() {
    let clock = start();
    let tracker = tracker(&clock);
    let (first, ear) = attach(&tracker, ANN, None).expect("room");
    clock.advance(Duration::from_secs(7));
    assert_eq!(tracker.kick(ConnectionId(u64::MAX)), None);
    let credential = Credential::SignIn(SignInId(1));
    assert_eq!(tracker.kick(first), Some((ANN, credential)));
    assert_eq!(ear.closed(), Some(CloseReason::Kicked));
    assert_eq!(tracker.kick(first), None, "once");
    assert_eq!((tracker.connections(), tracker.online()), (0, 1));
    let (open, until) = tracker.connections_of(ANN);
    assert!(open.is_empty());
    assert_eq!(until, Some(clock.now().plus(Duration::from_secs(5))));
    let page = tracker.online_page(None, 10);
    assert!(page.users[0].connections.is_empty(), "online all the same");
    attach(&tracker, ANN, None).expect("room");
    assert_eq!(tracker.connections_of(ANN).1, None, "back in time");
}

#[tokio::test]
async fn the_live_stream_is_told_what_happens_in_order() {
    let clock = start();
    let tracker = tracker(&clock);
    let mut follower = tracker.live().follow().expect("room");
    let mut told = || -> Vec<String> {
        let next = std::iter::from_fn(|| match follower.try_next()? {
            Told::Event(event) => Some(event),
            Told::Missed(n) => panic!("missed {n}"),
        });
        next.map(|event| match &*event {
            LiveEvent::Presence(change) => change.status.as_str().to_owned(),
            LiveEvent::Session(change) => match change.row.ended {
                Some((_, reason)) => reason.as_str().to_owned(),
                None if change.is_resumed => "resumed".to_owned(),
                None => "started".to_owned(),
            },
            LiveEvent::Activity(_) => panic!("none was logged"),
        })
        .collect()
    };
    let (first, _) = attach(&tracker, ANN, None).expect("room");
    assert_eq!(told(), ["started", "online"]);
    let (second, _) = attach(&tracker, ANN, None).expect("room");
    assert!(told().is_empty(), "the same device");
    tracker.detach(ANN, second, clock.now(), Ending::Lost);
    clock.advance(Duration::from_secs(1));
    tracker.set_status(ANN, first, false);
    assert_eq!(told(), ["client", "offline"]);
    tracker.set_status(ANN, first, true);
    assert_eq!(told(), ["resumed", "online"]);
    tracker.kick(first);
    assert_eq!(told(), ["revoked"], "online for the grace");
    tracker.shut_down();
    assert!(told().is_empty(), "nobody is told that the server stops");
}

#[tokio::test]
async fn a_peak_is_noted_however_short_and_in_every_quarter_hour_that_it_lasts() {
    let clock = start();
    let tracker = tracker(&clock);
    let quarter = clock.now().as_millis() / crate::store::QUARTER_MS;
    let (first, _) = attach(&tracker, ANN, None).expect("room");
    let (second, _) = attach(&tracker, BOB, None).expect("room");
    tracker.detach(BOB, second, clock.now(), Ending::Revoked);
    assert_eq!(tracker.online(), 1);
    assert_eq!(tracker.peaks().unwritten(), [(quarter, 2)]);
    tracker.peaks().written(quarter, 2);
    // Nobody comes or goes in the next one, and in the one after it she leaves at once.
    clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(tracker.peaks().unwritten(), [(quarter + 1, 1)]);
    clock.advance(Duration::from_secs(15 * 60));
    tracker.detach(ANN, first, clock.now(), Ending::Revoked);
    assert_eq!(
        tracker.peaks().unwritten(),
        [(quarter + 1, 1), (quarter + 2, 1)]
    );
}
