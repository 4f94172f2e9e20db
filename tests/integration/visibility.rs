//! Activity status and blocks hold on every surface: hidden looks exactly like never seen.
//!
//! For each kind of viewer and each rule that hides, the test walks the surfaces by name. On each of them what is
//! said of somebody hidden must be byte for byte what is said of somebody who was never seen, in the same place of
//! the same graph; and where nothing hides it must not be, or the surface would prove nothing.

mod surfaces;

use crate::harness::{Client, Http, NEVER, Server, Transport, User, now};
use lastseen::model::{KeyRole, Role, UserId};
use serde_json::{Value, json};
use surfaces::{Surface, walk};

/// How the viewer stands to those looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Follower,
    Partner,
    Stranger,
}

/// What hides, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The control.
    Nothing,
    SubjectNobody,
    /// The viewer is none of the subject's contacts.
    SubjectContacts,
    ViewerNobody,
    /// The subject is none of the viewer's contacts, unless the viewer follows them.
    ViewerContacts,
    SubjectBlocks,
    ViewerBlocks,
}

const RULES: [Rule; 7] = [
    Rule::Nothing,
    Rule::SubjectNobody,
    Rule::SubjectContacts,
    Rule::ViewerNobody,
    Rule::ViewerContacts,
    Rule::SubjectBlocks,
    Rule::ViewerBlocks,
];

impl Rule {
    fn hides(self, kind: Kind) -> bool {
        match self {
            Self::Nothing => false,
            Self::ViewerContacts => kind != Kind::Follower,
            _ => true,
        }
    }
}

/// One of the two who are compared.
#[derive(Clone)]
struct Subject {
    id: i64,
    name: String,
}

/// A small graph of its own on a shared server.
struct Scene<'a> {
    server: &'a Server,
    kind: Kind,
    rule: Rule,
    /// Has been online, and comes and goes.
    hilda: User,
    app: Client,
    hidden: Subject,
    /// Stands in every place that Hilda stands in, but never came.
    never: Subject,
    viewer: User,
    /// Is followed by both and follows both.
    hub: User,
}

impl<'a> Scene<'a> {
    async fn new(server: &'a Server, kind: Kind, rule: Rule) -> Self {
        let number = server.read::<i64>("SELECT count(*) FROM users");
        let name = |word: &str| format!("{word}{number}");
        let hilda = server.user(&name("hilda")).await;
        // She has not even signed in.
        let nelly = server.never_seen(&name("nelly"), Role::User).await;
        let viewer = server.user(&name("vera")).await;
        let hub = server.user(&name("hub")).await;
        let subject = |id: i64, word: &str| Subject {
            id,
            name: name(word),
        };
        let (hidden, never) = (subject(hilda.id, "hilda"), subject(nelly, "nelly"));
        for subject in [&hidden, &never] {
            server.follow(&hub, &subject.name).await;
            let (follower, followee) = (UserId(subject.id), UserId(hub.id));
            let followed = server.side.follow(follower, followee, now()).await;
            followed.expect("followed");
            if kind == Kind::Follower {
                server.follow(&viewer, &subject.name).await;
            }
            if kind == Kind::Partner {
                let with = |more: &[&str]| {
                    let mut names = vec![subject.name.clone()];
                    names.extend(more.iter().map(|name| (*name).to_owned()));
                    json!({ "participants": names })
                };
                for body in [with(&[]), with(&[&hub.name])] {
                    let opened = viewer.http.post("/messages/conversations", body).await;
                    opened.data(201);
                }
            }
        }
        // Two stretches, so that there is a last seen while she is online.
        let mut app = Client::connect(server, Transport::Raw, &hilda).await;
        app.go("offline").await;
        app.go("online").await;
        let scene = Self {
            server,
            kind,
            rule,
            hilda,
            app,
            hidden,
            never,
            viewer,
            hub,
        };
        scene.apply().await;
        scene
    }

    async fn apply(&self) {
        let status = async |user: &User, status: &str| {
            let change = json!({ "activityStatus": status });
            user.http.patch("/users/me", change).await.data(200);
        };
        match self.rule {
            Rule::Nothing => {}
            Rule::SubjectNobody => status(&self.hilda, "nobody").await,
            Rule::SubjectContacts => status(&self.hilda, "contacts").await,
            Rule::ViewerNobody => status(&self.viewer, "nobody").await,
            Rule::ViewerContacts => status(&self.viewer, "contacts").await,
            Rule::SubjectBlocks => {
                let path = format!("/users/{}/block", self.viewer.name);
                self.hilda.http.post(&path, Value::Null).await.data(201);
                // A block ends the follow; the two stand in the same places.
                let path = format!("/users/{}/follow", self.never.name);
                self.viewer.http.delete(&path).await.data(200);
            }
            Rule::ViewerBlocks => {
                for subject in [&self.hidden, &self.never] {
                    let path = format!("/users/{}/block", subject.name);
                    self.viewer.http.post(&path, Value::Null).await.data(201);
                }
            }
        }
    }

    /// Compares what is said of the two on each surface that `asking` has.
    fn compare(&self, state: &str, surfaces: &[Surface], hides: bool) {
        for surface in surfaces {
            let Surface {
                name,
                hidden,
                never,
            } = surface;
            let place = format!("{name} ({:?}, {:?}, {state})", self.kind, self.rule);
            if hides {
                assert_eq!(hidden, never, "hidden differs from never seen: {place}");
            } else if surface.shows(state) {
                assert_ne!(hidden, never, "nothing is shown at all: {place}");
            } else {
                assert_eq!(hidden, never, "{place}");
            }
        }
    }

    /// Hilda herself and an admin see what there is, whatever is hidden from others.
    async fn check_who_sees_all(&self, admin: &User, state: &str) {
        let is_online = state == "online";
        let path = format!("/users/{}", self.hidden.name);
        let presence = format!("{path}/presence");
        for (asking, path) in [
            (&admin.http, &path),
            (&admin.http, &presence),
            (&self.hilda.http, &path),
            (&self.hilda.http, &presence),
            (&self.hilda.http, &"/users/me".to_owned()),
        ] {
            let seen = asking.get(path).await.data(200);
            assert_eq!(seen["isOnline"], is_online, "{path}: {seen}");
            for field in ["lastSeen", "lastLoginAt", "lastActiveAt"] {
                if let Some(value) = seen.get(field) {
                    assert!(value.is_string(), "{path} {field}: {seen}");
                }
            }
        }
        let mut client = Client::connect(self.server, Transport::Raw, admin).await;
        let whom = json!({ "userIds": [self.hidden.id] });
        let answer = client.succeed("watch", whom).await;
        assert_eq!(answer["users"][0]["status"], state, "{answer}");
        let last_seen = answer["users"][0].get("lastSeen");
        assert!(
            is_online || last_seen.is_some_and(Value::is_string),
            "{answer}"
        );
        client.close().await;
    }
}

async fn check(kind: Kind, transport: Transport) {
    let server = Server::with(|c| c.max_connections_per_user = 1000).await;
    let service = Http::new(server.address, &server.key("host", KeyRole::Service).await);
    let admin = server.user_with("boss", Role::Admin, NEVER).await;
    for rule in RULES {
        let mut scene = Scene::new(&server, kind, rule).await;
        let hides = rule.hides(kind);
        // Nobody in particular has neither a setting nor contacts nor blocks.
        let hides_from_all = matches!(rule, Rule::SubjectNobody | Rule::SubjectContacts);
        for state in ["online", "offline"] {
            scene.app.go(state).await;
            let own = walk(&scene, &scene.viewer.http, true).await;
            scene.compare(&format!("{state}, the viewer"), &own, hides);
            let acting = service.acting_as(scene.viewer.id);
            let acting = walk(&scene, &acting, true).await;
            scene.compare(&format!("{state}, acting as the viewer"), &acting, hides);
            let nobody = walk(&scene, &service, false).await;
            scene.compare(&format!("{state}, a service key"), &nobody, hides_from_all);
            let told = surfaces::realtime(&mut scene, transport, state).await;
            scene.compare(state, &told, hides);
            scene.check_who_sees_all(&admin, state).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_is_never_seen_to_a_follower() {
    check(Kind::Follower, Transport::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_is_never_seen_to_a_partner() {
    check(Kind::Partner, Transport::Upgrade).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_is_never_seen_to_a_stranger() {
    check(Kind::Stranger, Transport::Raw).await;
}
