//! Sign-ins, keys, secrets and remembered addresses.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use std::sync::Arc;

#[tokio::test]
async fn sign_ins_keys_secrets_and_addresses() {
    let f = fixture();
    let user = f.user("anna").await;
    let sign_in = |hash: u8, created: i64, expires: i64| NewSignIn {
        token_hash: [hash; 32],
        created_at: at(created),
        expires_at: at(expires),
        client: Arc::new(ClientInfo {
            device_type: Some(DeviceType::Web),
            ..ClientInfo::default()
        }),
    };
    let create = |new| f.store.create_sign_in(user, new);
    let (first, signed_in) = create(sign_in(1, 5_000, 9_000)).await.expect("signed in");
    create(sign_in(2, 4_000, 90_000)).await.expect("signed in");
    assert_eq!(
        (signed_in.id, signed_in.last_login_at),
        (user, Some(at(5_000)))
    );
    let row = f.store.user(user).await.expect("read").expect("there");
    assert_eq!(
        (row.last_login_at, row.last_active_at),
        (Some(at(5_000)), Some(at(5_000)))
    );
    let found = f.store.sign_in_by_hash([1; 32]).await.expect("read");
    let found = found.expect("there");
    assert_eq!((found.id, found.user_id), (first, user));
    assert!(
        f.store
            .sign_in_by_hash([9; 32])
            .await
            .expect("read")
            .is_none()
    );
    assert!(matches!(
        f.store.create_sign_in(UserId(99), sign_in(3, 1, 2)).await,
        Err(StoreError::NoSuchUser)
    ));
    let page = |before, limit| f.store.sign_ins(user, at(6_000), Page { before, limit });
    let (both, end) = page(None, 2).await.expect("listed");
    assert_eq!((both.len(), end), (2, None));
    let (newest, next) = page(None, 1).await.expect("listed");
    assert!(newest[0].id == both[0].id && newest[0].id > first);
    let (oldest, end) = page(next, 1).await.expect("listed");
    assert_eq!((oldest[0].id, end), (first, None));
    f.store
        .remember_address([7; 32], at(1))
        .await
        .expect("kept");
    let later = at(1)
        .plus(ADDRESS_MEMORY)
        .plus(std::time::Duration::from_secs(1));
    assert!(f.store.knows_address([7; 32], at(1)).await.expect("read"));
    assert!(!f.store.knows_address([7; 32], at(2)).await.expect("read"));
    assert_eq!(f.store.purge_expired(at(9_000)).await.expect("purged"), 1);
    assert!(f.store.knows_address([7; 32], at(1)).await.expect("read"));
    f.store.purge_expired(later).await.expect("purged");
    assert!(!f.store.knows_address([7; 32], at(1)).await.expect("read"));
    let (third, _) = create(sign_in(4, 1, 2)).await.expect("signed in");
    let revoked = f.store.revoke_sign_in(UserId(99), third).await;
    assert_eq!(revoked.expect("not theirs"), None);
    assert_eq!(
        f.store.revoke_sign_ins(user).await.expect("revoked"),
        [third]
    );

    let key = |name, hash: u8| {
        f.store
            .create_api_key(name, KeyRole::Service, [hash; 32], at(1))
    };
    let id = key("app", 1).await.expect("made");
    assert!(matches!(
        key("app", 2).await,
        Err(StoreError::Conflict("name"))
    ));
    assert_eq!(
        f.store
            .api_key_by_hash([1; 32])
            .await
            .expect("read")
            .map(|k| k.id),
        Some(id)
    );
    assert!(
        f.store
            .revoke_api_key(&id.to_string(), at(2))
            .await
            .expect("revoked")
    );
    assert!(
        f.store
            .api_key_by_hash([1; 32])
            .await
            .expect("read")
            .is_none()
    );
    key("app", 2).await.expect("the name is free again");
    assert!(f.store.revoke_api_key("app", at(2)).await.expect("revoked"));
    assert!(!f.store.revoke_api_key("app", at(2)).await.expect("gone"));
    assert!(f.store.api_keys().await.expect("listed").is_empty());

    let secret = f.store.secret("addresses").await.expect("made");
    assert_eq!(f.store.secret("addresses").await.expect("kept"), secret);
    assert_ne!(f.store.secret("other").await.expect("made"), secret);
}
