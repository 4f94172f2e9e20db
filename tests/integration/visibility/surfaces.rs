//! The surfaces by name: where the server says something of somebody's presence.

use super::{Kind, Rule, Scene, Subject};
use crate::harness::{Answer, Client, Http, Transport};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is said of the two on one surface; byte for byte, but for name and id.
#[derive(Debug)]
pub struct Surface {
    pub name: &'static str,
    pub hidden: String,
    pub never: String,
}

/// Said where somebody is not mentioned.
const ABSENT: &str = "absent";

impl Surface {
    /// Whether this is a surface on which somebody seen differs from somebody never seen, in this state.
    pub fn shows(&self, state: &str) -> bool {
        match self.name {
            "snapshot" => self.is_there() && state == "online",
            // A place in the graph that this kind of viewer does not have.
            _ => self.is_there(),
        }
    }

    fn is_there(&self) -> bool {
        self.hidden != ABSENT || self.never != ABSENT
    }
}

/// Walks what can be asked over HTTP; `is_user`: as a user, or for one.
pub async fn walk(scene: &Scene<'_>, asking: &Http, is_user: bool) -> Vec<Surface> {
    let both = [scene.hidden.clone(), scene.never.clone()];
    let mut said: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for subject in &both {
        let mut say = |name, text: String| said.entry(name).or_default().push(text);
        let whole = |answer: Answer| {
            answer.data(200);
            subject.normalized(&answer.text)
        };
        let path = format!("/users/{}", subject.name);
        say("profile", whole(asking.get(&path).await));
        let path = format!("{path}/presence");
        say("presence", whole(asking.get(&path).await));
        for (name, body) in [
            ("query by name", json!({ "usernames": [subject.name] })),
            ("query by id", json!({ "userIds": [subject.id] })),
        ] {
            say(name, whole(asking.post("/presence/query", body).await));
        }
        if !is_user {
            continue;
        }
        let hub = &scene.hub.name;
        for (name, path) in [
            ("followers", format!("/users/{hub}/followers")),
            ("following", format!("/users/{hub}/following")),
            (
                "own following",
                format!("/users/{}/following", scene.viewer.name),
            ),
            ("blocks", "/users/me/blocks".to_owned()),
        ] {
            let answer = asking.get(&path).await;
            answer.data(200);
            say(name, subject.entry(&at(&answer.text, &["data", "users"])));
        }
        let list = asking.get("/messages/conversations").await;
        list.data(200);
        let mut found = BTreeMap::from([
            ("conversations: other user", ABSENT.to_owned()),
            ("conversations: participants", ABSENT.to_owned()),
            ("groups: participants", ABSENT.to_owned()),
            ("conversation", ABSENT.to_owned()),
        ]);
        for row in items(&at(&list.text, &["data"])) {
            let participants = subject.entry(&at(&row, &["participants"]));
            if participants == ABSENT {
                continue;
            }
            let other = at(&row, &["otherUser"]);
            if other == "null" {
                found.insert("groups: participants", participants);
                continue;
            }
            found.insert("conversations: other user", subject.normalized(&other));
            found.insert("conversations: participants", participants);
            let id = at(&row, &["conversationId"]);
            let detail = asking.get(&format!("/messages/conversations/{id}")).await;
            detail.data(200);
            let people = at(&detail.text, &["data", "participants"]);
            found.insert("conversation", subject.entry(&people));
        }
        let is_there = |text: &String| text != ABSENT;
        let all = found.values().all(is_there);
        assert_eq!(all, scene.kind == Kind::Partner, "{found:?}");
        found.into_iter().for_each(|(name, text)| say(name, text));
    }
    let surface = |(name, said): (&'static str, Vec<String>)| Surface {
        name,
        hidden: said[0].clone(),
        never: said[1].clone(),
    };
    said.into_iter().map(surface).collect()
}

/// Walks what a connection of the viewer is told: of the snapshot, on watching, and when Hilda comes and goes.
pub async fn realtime(scene: &mut Scene<'_>, transport: Transport, state: &str) -> Vec<Surface> {
    let both = [scene.hidden.clone(), scene.never.clone()];
    let (mut plain, snapshot) = Client::with_snapshot(scene.server, transport, &scene.viewer).await;
    let mut watching = Client::connect(scene.server, transport, &scene.viewer).await;
    let names = json!({ "usernames": [both[0].name, both[1].name] });
    let answer = watching.succeed("watch", names).await;
    assert_eq!(answer["users"].as_array().map(Vec::len), Some(2));
    let compared = |name, from: &Value| {
        let people = from["users"].to_string();
        Surface {
            name,
            hidden: both[0].entry(&people),
            never: both[1].entry(&people),
        }
    };
    let mut surfaces = vec![compared("snapshot", &snapshot), compared("watch", &answer)];

    // There and back again; nobody comes or goes in Nelly's case.
    let back = if state == "online" {
        "offline"
    } else {
        "online"
    };
    for status in [back, state] {
        scene.app.go(status).await;
        for (name, client) in [
            ("presence_update", &mut plain),
            ("watch update", &mut watching),
        ] {
            let told = told(client).await;
            surfaces.push(Surface {
                name,
                hidden: told.unwrap_or_else(|| ABSENT.into()),
                never: ABSENT.into(),
            });
        }
    }
    // Whoever is in no audience is told nothing without watching, and that is no surface.
    let follows = scene.kind == Kind::Follower
        && !matches!(scene.rule, Rule::SubjectBlocks | Rule::ViewerBlocks);
    let in_audience = follows || scene.kind == Kind::Partner;
    if scene.rule == Rule::Nothing {
        for surface in &surfaces {
            let expected = match surface.name {
                "presence_update" => in_audience,
                "snapshot" => in_audience && state == "online",
                _ => true,
            };
            assert_eq!(surface.is_there(), expected, "{surface:?} {state}");
        }
    }
    plain.close().await;
    watching.close().await;
    surfaces
}

/// The update that a connection was told, if it was; more than one is a failure.
async fn told(client: &mut Client) -> Option<String> {
    // What was pushed before the first request is there before the second one's answer.
    for _ in 0..2 {
        client.succeed("heartbeat", json!({})).await;
    }
    let mut held = client.take_held().into_iter();
    let first = held.next().map(|said| format!("{said:?}"));
    let more = held.next();
    assert!(more.is_none(), "{first:?} and {more:?}");
    first
}

impl Subject {
    /// The entry of this one in a list of people, as it was written.
    fn entry(&self, list: &str) -> String {
        let ours = |entry: &String| at(entry, &["userId"]) == self.id.to_string();
        let found = items(list).into_iter().find(ours);
        found.map_or_else(|| ABSENT.to_owned(), |entry| self.normalized(&entry))
    }

    /// With a name and an id that say nothing.
    fn normalized(&self, text: &str) -> String {
        let mut text = text.replace(&format!("\"{}\"", self.name), "\"somebody\"");
        for end in [",", "}"] {
            for key in ["id", "userId"] {
                let (from, to) = (
                    format!("\"{key}\":{}{end}", self.id),
                    format!("\"{key}\":0{end}"),
                );
                text = text.replace(&from, &to);
            }
        }
        text
    }
}

/// The value at a path of keys, as it was written.
fn at(text: &str, path: &[&str]) -> String {
    path.iter().fold(text.to_owned(), |text, key| {
        let object: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let value = object.get(*key);
        let value = value.unwrap_or_else(|| panic!("no {key} in {text}"));
        value.get().to_owned()
    })
}

/// The items of an array, as they were written.
fn items(text: &str) -> Vec<String> {
    let items: Vec<Box<RawValue>> =
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    items
        .into_iter()
        .map(|item| item.get().to_owned())
        .collect()
}
