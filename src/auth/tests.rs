//! The services against a real store on a temporary file, the time in hand.

use super::*;
use crate::model::*;
use crate::store::{Durability, NewUser, Options, UserChange};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tempfile::TempDir;
use token::{Token, TokenKind};

mod limits;

const PASSWORD: &str = "correct horse";
const WRONG: &str = "wrong horse";
const SECRET: &str = "a shared secret of thirty-two bytes or more";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

struct Bench {
    auth: Auth,
    store: Store,
    clock: Clock,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with_jwt(jwt_sub: JwtSub) -> Self {
        Self::with(Settings {
            host_key: Secret::new(SECRET).map(HostKey::Secret),
            jwt_sub,
            ..Settings::default()
        })
    }

    fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = Options {
            create: true,
            migrate: true,
            durability: Durability::Normal,
            mark_changes: false,
            ..Options::default()
        };
        let store = Store::open(&dir.path().join("auth.db"), options).expect("opens");
        // From the system's time, since the store knows no other where it asks for itself.
        let clock = Clock::manual(Clock::system().now());
        Self {
            auth: Auth::new(store.clone(), clock.clone(), settings),
            store,
            clock,
            _dir: dir,
        }
    }

    async fn sign_up(&self, name: &str) -> Result<SignedIn> {
        let new = NewAccount {
            username: name.into(),
            password: PASSWORD.into(),
            profile: ProfileFields {
                email: Some(format!("{name}@example.com")),
                ..ProfileFields::default()
            },
        };
        self.auth.sign_up(new, &ClientInfo::default(), HOME).await
    }

    async fn sign_in(&self, login: &str, password: &str, from: IpAddr) -> Result<SignedIn> {
        self.auth
            .sign_in(login, password, &ClientInfo::default(), from)
            .await
    }

    async fn host_user(&self, id: i64, external_id: Option<&str>, role: Role) -> UserId {
        let user = NewUser {
            id: Some(UserId(id)),
            external_id: external_id.map(Into::into),
            username: Username::new(&format!("host{id}")).expect("a name"),
            password_hash: None,
            profile: ProfileFields::default(),
            role,
            created_at: self.clock.now(),
        };
        self.store.create_user(user).await.expect("created")
    }

    fn jwt(&self, sub: &str, more: Value) -> String {
        let mut claims = json!({"sub": sub, "exp": self.clock.now().as_millis() / 1000 + 600});
        let more = more.as_object().expect("an object").clone();
        claims.as_object_mut().expect("an object").extend(more);
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signs")
    }

    async fn role_of(&self, bearer: &str) -> Result<Role> {
        let identity = self.auth.authenticate(bearer).await?;
        Ok(identity.principal.user().expect("a user").role)
    }
}

fn far(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn unauthorized<T: fmt::Debug>(answer: Result<T>) {
    assert!(matches!(answer, Err(Error::Unauthorized)), "{answer:?}");
}

fn limited<T: fmt::Debug>(answer: Result<T>) {
    assert!(
        matches!(answer, Err(Error::RateLimited { .. })),
        "{answer:?}"
    );
}

fn wrong<T: fmt::Debug>(answer: Result<T>) {
    assert!(matches!(answer, Err(Error::WrongCredentials)), "{answer:?}");
}

#[tokio::test]
async fn signing_up_and_in_gives_tokens_that_work() {
    let bench = Bench::new();
    let up = bench.sign_up("Ann").await.expect("signed up");
    assert_eq!(up.user.username.as_str(), "Ann");
    assert_eq!(up.user.email.as_deref(), Some("Ann@example.com"));
    assert_eq!(up.user.last_login_at, Some(bench.clock.now()));
    let by_name = bench
        .sign_in("aNN", PASSWORD, HOME)
        .await
        .expect("signed in");
    let by_mail = bench
        .sign_in("ann@example.com", PASSWORD, HOME)
        .await
        .expect("signed in");
    for signed_in in [&up, &by_name, &by_mail] {
        let bearer = signed_in.token.expose();
        for _ in 0..2 {
            let identity = bench.auth.authenticate(bearer).await.expect("known");
            let user = identity.principal.user().expect("a user");
            assert_eq!(user.id, up.user.id);
            assert_eq!(user.credential, Credential::SignIn(signed_in.sign_in));
            assert_eq!(identity.expires_at, Some(signed_in.expires_at));
            assert!(!identity.principal.is_admin());
        }
    }
    wrong(bench.sign_in("ann", WRONG, HOME).await);
    wrong(bench.sign_in("nobody", PASSWORD, HOME).await);
    wrong(bench.sign_in("nobody@example.com", PASSWORD, HOME).await);
    wrong(bench.sign_in("", "", HOME).await);
    wrong(bench.sign_in("a\0b", &"x".repeat(100_000), HOME).await);
}

#[tokio::test]
async fn a_bad_account_is_refused_with_its_field() {
    let bench = Bench::new();
    let field = |answer: Result<SignedIn>| match answer {
        Err(Error::Invalid(error)) => error.field,
        Err(Error::Conflict { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(bench.sign_up("Admin").await), "username");
    assert_eq!(field(bench.sign_up("a b").await), "username");
    let new = |username: &str, password: &str, email: &str| NewAccount {
        username: username.into(),
        password: password.into(),
        profile: ProfileFields {
            email: Some(email.into()),
            ..ProfileFields::default()
        },
    };
    let client = ClientInfo::default();
    let sign_up = |new| bench.auth.sign_up(new, &client, HOME);
    assert_eq!(
        field(sign_up(new("ann", "short", "a@b.c")).await),
        "password"
    );
    assert_eq!(field(sign_up(new("ann", PASSWORD, "no")).await), "email");
    sign_up(new("ann", PASSWORD, "a@b.c"))
        .await
        .expect("signed up");
    assert_eq!(
        field(sign_up(new("ANN", PASSWORD, "x@b.c")).await),
        "username"
    );
    assert_eq!(field(sign_up(new("bob", PASSWORD, "a@b.c")).await), "email");
    assert!(
        bench
            .store
            .user_by_username("bob")
            .await
            .expect("answers")
            .is_none()
    );
}

#[tokio::test]
async fn where_ids_are_the_hosts_nobody_signs_up() {
    let bench = Bench::with_jwt(JwtSub::Id);
    let answer = bench.sign_up("ann").await;
    assert!(matches!(answer, Err(Error::Forbidden(_))), "{answer:?}");
}

#[tokio::test]
async fn signing_out_ends_that_token_at_once() {
    let bench = Bench::new();
    let one = bench.sign_up("ann").await.expect("signed up");
    let two = bench
        .sign_in("ann", PASSWORD, HOME)
        .await
        .expect("signed in");
    let identity = bench
        .auth
        .authenticate(one.token.expose())
        .await
        .expect("known");
    bench
        .auth
        .authenticate(two.token.expose())
        .await
        .expect("known");
    let user = one.user.id;
    bench
        .auth
        .sign_out(user, one.sign_in)
        .await
        .expect("signed out");
    unauthorized(bench.auth.authenticate(one.token.expose()).await);
    unauthorized(bench.auth.renew(&identity).await);
    bench
        .auth
        .authenticate(two.token.expose())
        .await
        .expect("stays");
    let again = bench.auth.sign_out(user, one.sign_in).await;
    assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
    let others = bench.auth.sign_out(UserId(user.0 + 1), two.sign_in).await;
    assert!(matches!(others, Err(Error::NotFound(_))), "{others:?}");
    assert_eq!(
        bench.auth.revoke_all(user).await.expect("revoked"),
        [two.sign_in]
    );
    unauthorized(bench.auth.authenticate(two.token.expose()).await);
}

#[tokio::test]
async fn what_another_process_changed_is_heeded() {
    let bench = Bench::new();
    let one = bench.sign_up("ann").await.expect("signed up");
    let bearer = one.token.expose();
    assert_eq!(bench.role_of(bearer).await.expect("known"), Role::User);
    let change = UserChange {
        role: Some(Role::Admin),
        ..UserChange::default()
    };
    bench
        .store
        .update_user(one.user.id, change)
        .await
        .expect("changed");
    assert_eq!(
        bench.role_of(bearer).await.expect("known"),
        Role::User,
        "from the cache"
    );
    bench.auth.forget_user(one.user.id);
    assert_eq!(bench.role_of(bearer).await.expect("known"), Role::Admin);
    bench.store.delete_user(one.user.id).await.expect("erased");
    bench.auth.forget_users();
    unauthorized(bench.auth.authenticate(bearer).await);
}

#[tokio::test]
async fn tokens_expire_also_in_the_cache() {
    let bench = Bench::with(Settings {
        token_ttl: Duration::from_secs(60),
        ..Settings::default()
    });
    let one = bench.sign_up("ann").await.expect("signed up");
    bench.clock.advance(Duration::from_millis(59_999));
    bench
        .auth
        .authenticate(one.token.expose())
        .await
        .expect("known");
    bench.clock.advance(Duration::from_millis(1));
    unauthorized(bench.auth.authenticate(one.token.expose()).await);
    unauthorized(bench.auth.authenticate(one.token.expose()).await);
}

#[tokio::test]
async fn rubbish_is_unauthorized_and_an_unknown_token_is_not_remembered() {
    let bench = Bench::with_jwt(JwtSub::ExternalId);
    for bearer in ["", "x", "lst_x", "a.b.c", &"x".repeat(1_000_000)] {
        unauthorized(bench.auth.authenticate(bearer).await);
    }
    let key = Token::generate(TokenKind::ApiKey).expect("a key");
    unauthorized(bench.auth.authenticate(key.expose()).await);
    let now = bench.clock.now();
    let made = bench
        .store
        .create_api_key("k", KeyRole::Admin, key.hash(), now);
    let id = made.await.expect("made");
    let identity = bench.auth.authenticate(key.expose()).await.expect("known");
    assert!(
        matches!(identity.principal, Principal::Key { id: found, role: KeyRole::Admin } if found == id)
    );
    assert!(identity.principal.is_admin());
    assert!(bench.store.revoke_api_key("k", now).await.expect("revoked"));
    bench.auth.forget_keys();
    unauthorized(bench.auth.authenticate(key.expose()).await);
    unauthorized(bench.auth.renew(&identity).await);
}

#[tokio::test]
async fn tokens_of_the_host_by_external_id() {
    let bench = Bench::with_jwt(JwtSub::ExternalId);
    let user = bench.host_user(41, Some("u-1"), Role::User).await;
    let identity = bench
        .auth
        .authenticate(&bench.jwt("u-1", json!({})))
        .await
        .expect("known");
    assert_eq!(identity.principal.user().expect("a user").id, user);
    let admin = bench.jwt("u-1", json!({"role": "admin"}));
    assert_eq!(bench.role_of(&admin).await.expect("known"), Role::Admin);
    assert_eq!(
        bench
            .role_of(&bench.jwt("u-1", json!({})))
            .await
            .expect("known"),
        Role::User
    );
    bench.host_user(42, Some("u-2"), Role::Admin).await;
    let plain = bench.jwt("u-2", json!({"role": "user"}));
    assert_eq!(
        bench.role_of(&plain).await.expect("known"),
        Role::Admin,
        "own role"
    );
    unauthorized(bench.auth.authenticate(&bench.jwt("41", json!({}))).await);
    unauthorized(bench.auth.authenticate(&bench.jwt("U-1", json!({}))).await);
    let late = bench.jwt("u-3", json!({}));
    unauthorized(bench.auth.authenticate(&late).await);
    bench.host_user(43, Some("u-3"), Role::User).await;
    let identity = bench.auth.authenticate(&late).await.expect("known now");
    bench.clock.advance(Duration::from_secs(600 + 60));
    unauthorized(bench.auth.authenticate(&late).await);
    unauthorized(bench.auth.renew(&identity).await);
}

#[tokio::test]
async fn tokens_of_the_host_by_id() {
    let bench = Bench::with_jwt(JwtSub::Id);
    let user = bench.host_user(41, Some("99"), Role::User).await;
    let bearer = bench.jwt("41", json!({}));
    let identity = bench.auth.authenticate(&bearer).await.expect("known");
    assert_eq!(identity.principal.user().expect("a user").id, user);
    for other in ["99", "041", "+41", "42", "x"] {
        unauthorized(bench.auth.authenticate(&bench.jwt(other, json!({}))).await);
    }
    bench.store.delete_user(user).await.expect("erased");
    bench.auth.forget_user(user);
    unauthorized(bench.auth.authenticate(&bearer).await);
}

#[tokio::test]
async fn without_a_secret_no_token_of_a_host_is_accepted() {
    let bench = Bench::new();
    bench.host_user(41, Some("u-1"), Role::User).await;
    unauthorized(bench.auth.authenticate(&bench.jwt("u-1", json!({}))).await);
}

#[test]
fn debug_shows_no_secret() {
    let new = NewAccount {
        username: "ann".into(),
        password: PASSWORD.into(),
        profile: ProfileFields::default(),
    };
    let settings = Settings {
        host_key: Secret::new(SECRET).map(HostKey::Secret),
        ..Settings::default()
    };
    let token = Token::generate(TokenKind::SignIn).expect("a token");
    let identity = Identity {
        principal: Principal::Key {
            id: ApiKeyId(1),
            role: KeyRole::Service,
        },
        expires_at: None,
        proof: identity::Proof::Key([77; 32]),
    };
    let shown = format!("{new:?} {settings:?} {token:?} {identity:?}");
    for hidden in [
        PASSWORD,
        "shared secret",
        "97, 32",
        &token.expose()[4..],
        "77",
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
