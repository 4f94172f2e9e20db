use super::*;
use crate::model::{ClientInfo, ConversationId, ProfileFields, Role, Username};
use crate::store::NewUser;

/// One thread, so that no background task runs between what is noticed and the stop.
#[tokio::test]
async fn what_waits_to_be_logged_is_written_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        database: folder.path().join("lastseen.db"),
        ..Config::defaults()
    };
    let app = App::start(&config).await.expect("a new database");
    let name = Username::new("ann").expect("a name");
    let new = NewUser {
        id: None,
        external_id: None,
        username: name.clone(),
        password_hash: None,
        profile: ProfileFields::default(),
        role: Role::User,
        created_at: app.services.clock.now(),
    };
    let ann = app.store.create_user(new).await.expect("a new user");
    for conversation in 1..=700 {
        let to = ConversationId(conversation);
        let client = ClientInfo::default();
        app.services.activity.message_sent(ann, &name, to, &client);
    }
    app.close().await;
    let database = rusqlite::Connection::open(&config.database).expect("a database");
    let count = "SELECT count(DISTINCT target_id) FROM user_activity_logs";
    let rows: i64 = database
        .query_row(count, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(rows, 700);
    assert_eq!(app.services.activity.dropped(), 0);
}
