//! Who is online, since when not, and who is told: over each way to connect.

mod audience;
mod ends;
mod scenario;
mod sessions;

use crate::harness::{Client, Server, Transport, User};
use serde_json::{Value, json};

/// Somebody's presence as somebody else may see it.
async fn presence_of(asking: &User, of: &str) -> Value {
    let path = format!("/users/{of}/presence");
    asking.http.get(&path).await.data(200)
}

/// Somebody else who is followed and whose coming and going proves that nothing came before it.
struct Marker {
    user: User,
    client: Client,
}

impl Marker {
    /// Followed by `follower`, connected, and in the background.
    async fn new(server: &Server, follower: &User) -> Self {
        let user = server.user("marker").await;
        server.follow(follower, &user.name).await;
        let mut client = Client::connect(server, Transport::Raw, &user).await;
        client.go("offline").await;
        Self { user, client }
    }

    /// Reads what `watching` was told while nobody waited for it: that the marker came, perhaps, and that it went.
    async fn settles(&self, watching: &mut Client) {
        let told = watching.event("presence_update").await;
        assert_eq!(told["userId"], self.user.id, "{told}");
        if told["status"] == "online" {
            watching.update(&self.user, "offline").await;
        }
    }

    /// Comes and goes; whoever follows must be told of that next, and of nothing before it.
    async fn proves_silence(&mut self, watching: &mut Client) {
        self.client.go("online").await;
        watching.update(&self.user, "online").await;
        self.client.go("offline").await;
        watching.update(&self.user, "offline").await;
    }
}

/// An entry of a snapshot or of a watch answer for somebody online.
fn online(user: &User) -> Value {
    json!({ "userId": user.id, "username": user.name, "status": "online" })
}

/// For somebody offline.
fn offline(user: &User, last_seen: &Value) -> Value {
    json!({ "userId": user.id, "username": user.name, "status": "offline", "lastSeen": last_seen })
}
