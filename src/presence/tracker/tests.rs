use super::*;
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
