use super::*;
use crate::model::SignInId;
use crate::presence::link::{CloseReason, Encoded, NewMessage, Transport, Update, Vitals};

struct NoLink;

impl Link for NoLink {
    fn push_presence(&self, _: &Arc<Encoded<Update>>) {}
    fn forget_presence(&self, _: UserId) {}
    fn hold_presence(&self) {}
    fn release_presence(&self) {}
    fn push_message(&self, _: &Arc<Encoded<NewMessage>>) {}
    fn flush(self: Arc<Self>) {}
    fn close(&self, _: CloseReason) {}
    fn shut_down(&self, _: Duration) {}
    fn vitals(&self) -> Vitals {
        Vitals {
            transport: Transport::Raw,
            heard_at: at(0),
        }
    }
}

const RULES: Rules = Rules {
    grace: Duration::from_secs(5),
    resume: Duration::from_secs(30),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + seconds * 1000)
}

fn connection(device: Option<&str>, sign_in: i64) -> NewConnection {
    NewConnection {
        user_id: UserId(1),
        username: "ann".into(),
        device_id: device.map(Into::into),
        credential: Credential::SignIn(SignInId(sign_in)),
        expires_at: None,
        client: Arc::default(),
        link: Arc::new(NoLink),
    }
}

struct Ann(Tracked);

impl Ann {
    fn new() -> Self {
        Self(Tracked::new(UserId(1), "ann".into()))
    }
    fn attach(&mut self, id: u64, device: Option<&str>, now: i64) -> Effects {
        self.0.attach(
            ConnectionId(id),
            connection(device, id as i64),
            at(now),
            RULES,
        )
    }
    fn detach(&mut self, id: u64, now: i64, ending: Ending) -> Effects {
        self.0
            .detach(ConnectionId(id), at(now), ending, RULES)
            .expect("is there")
    }
    fn status(&mut self, id: u64, foreground: bool, now: i64) -> Effects {
        self.0
            .set_status(ConnectionId(id), foreground, at(now), RULES)
    }
}

#[test]
fn a_reload_within_the_grace_makes_no_noise_and_continues_the_session() {
    let mut ann = Ann::new();
    let first = ann.attach(1, Some("phone"), 0);
    assert!(first.transition);
    let session = first.sessions[0].id;
    let closed = ann.detach(1, 10, Ending::Client);
    assert!(!closed.transition && ann.0.standing.is_online);
    let grace = closed.grace.expect("a grace begins");
    assert_eq!(closed.sessions[0].ended, Some((at(10), EndReason::Client)));
    let back = ann.attach(2, Some("phone"), 12);
    assert!(!back.transition);
    assert_eq!(back.sessions[0].id, session);
    assert_eq!(back.sessions[0].ended, None);
    assert!(
        !ann.0.grace_over(grace).transition,
        "an overtaken grace does nothing"
    );
    assert!(ann.0.standing.is_online);
}

#[test]
fn last_seen_is_the_moment_of_closing_not_the_end_of_the_grace() {
    let mut ann = Ann::new();
    ann.attach(1, None, 0);
    let grace = ann
        .detach(1, 10, Ending::Lost)
        .grace
        .expect("a grace begins");
    assert!(ann.0.grace_over(grace).transition);
    assert_eq!(
        ann.0.standing,
        Standing {
            version: 0,
            is_online: false,
            last_seen: Some(at(10))
        }
    );
}

#[test]
fn last_seen_is_the_latest_end_also_when_an_earlier_loss_is_noticed_later() {
    let mut ann = Ann::new();
    ann.attach(1, Some("phone"), 0);
    ann.attach(2, Some("laptop"), 0);
    assert!(
        ann.detach(2, 30, Ending::Client).grace.is_none(),
        "the phone is still there"
    );
    // The phone's last frame came at 10 s, which is noticed long after.
    let grace = ann
        .detach(1, 10, Ending::Lost)
        .grace
        .expect("a grace begins");
    ann.0.grace_over(grace);
    assert_eq!(ann.0.standing.last_seen, Some(at(30)));
}

#[test]
fn a_second_device_is_a_second_session_and_no_transition() {
    let mut ann = Ann::new();
    ann.attach(1, Some("phone"), 0);
    let second = ann.attach(2, Some("laptop"), 1);
    assert!(!second.transition);
    assert_eq!(second.sessions.len(), 1);
    let third = ann.attach(3, Some("laptop"), 2);
    assert!(
        third.sessions.is_empty(),
        "the same device again is the same session"
    );
    assert!(
        ann.detach(2, 3, Ending::Client).sessions.is_empty(),
        "its last connection has not ended"
    );
    let ended = ann.detach(3, 4, Ending::Client);
    assert_eq!(ended.sessions[0].ended, Some((at(4), EndReason::Client)));
    assert!(!ended.transition && ended.grace.is_none());
}

#[test]
fn background_is_immediate_and_its_later_close_changes_nothing() {
    let mut ann = Ann::new();
    ann.attach(1, None, 0);
    let background = ann.status(1, false, 10);
    assert!(background.transition && background.grace.is_none());
    assert_eq!(
        background.sessions[0].ended,
        Some((at(10), EndReason::Client))
    );
    let closed = ann.detach(1, 20, Ending::Lost);
    assert!(!closed.transition && closed.grace.is_none() && closed.sessions.is_empty());
    assert_eq!(ann.0.standing.last_seen, Some(at(10)));
}

#[test]
fn sign_out_is_immediate_also_within_the_grace_of_its_own_connection() {
    let mut ann = Ann::new();
    ann.attach(1, None, 0);
    let out = ann.detach(1, 5, Ending::SignedOut);
    assert!(out.transition);
    assert_eq!(out.sessions[0].ended, Some((at(5), EndReason::Signout)));
    ann.attach(2, None, 10);
    ann.detach(2, 15, Ending::Client);
    assert!(
        !ann.0
            .end_grace(Some(&Credential::SignIn(SignInId(1))))
            .transition
    );
    assert!(
        ann.0
            .end_grace(Some(&Credential::SignIn(SignInId(2))))
            .transition
    );
    assert_eq!(ann.0.standing.last_seen, Some(at(15)));
}

#[test]
fn a_session_is_resumed_only_within_the_window_and_only_after_client_or_lost() {
    for (ending, back_at, resumed) in [
        (Ending::Client, 39, true),
        (Ending::Lost, 40, true),
        (Ending::Client, 41, false),
        (Ending::SignedOut, 12, false),
        (Ending::Revoked, 12, false),
        (Ending::Kicked, 12, false),
    ] {
        let mut ann = Ann::new();
        let session = ann.attach(1, Some("phone"), 0).sessions[0].id;
        if let Some(grace) = ann.detach(1, 10, ending).grace {
            ann.0.grace_over(grace);
        }
        let back = ann.attach(2, Some("phone"), back_at).sessions.remove(0);
        assert_eq!(back.id == session, resumed, "{ending:?} {back_at}");
        assert_eq!(back.started_at, if resumed { at(0) } else { at(back_at) });
    }
}

#[test]
fn without_a_grace_a_loss_takes_effect_at_once() {
    let mut ann = Ann::new();
    let rules = Rules {
        grace: Duration::ZERO,
        ..RULES
    };
    ann.attach(1, None, 0);
    let lost = ann
        .0
        .detach(ConnectionId(1), at(3), Ending::Lost, rules)
        .expect("is there");
    assert!(lost.transition && lost.grace.is_none());
    assert!(
        ann.0
            .detach(ConnectionId(1), at(3), Ending::Lost, rules)
            .is_none()
    );
}

#[test]
fn shutdown_ends_sessions_now_and_keeps_the_moment_of_a_grace() {
    let mut ann = Ann::new();
    ann.attach(1, Some("phone"), 0);
    let down = ann.0.shut_down(at(7));
    assert!(down.transition);
    assert_eq!(down.sessions[0].ended, Some((at(7), EndReason::Shutdown)));
    assert_eq!(ann.0.standing.last_seen, Some(at(7)));

    let mut ann = Ann::new();
    ann.attach(1, Some("phone"), 0);
    ann.detach(1, 3, Ending::Lost);
    let down = ann.0.shut_down(at(7));
    assert!(down.transition && down.sessions.is_empty());
    assert_eq!(ann.0.standing.last_seen, Some(at(3)));
}

#[test]
fn idle_only_when_nothing_can_be_resumed() {
    let mut ann = Ann::new();
    ann.attach(1, None, 0);
    assert!(!ann.0.is_idle(at(0), RULES));
    let grace = ann
        .detach(1, 10, Ending::Client)
        .grace
        .expect("a grace begins");
    assert!(!ann.0.is_idle(at(11), RULES));
    ann.0.grace_over(grace);
    assert!(!ann.0.is_idle(at(40), RULES));
    assert!(ann.0.is_idle(at(41), RULES));
}
