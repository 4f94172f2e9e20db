//! One connected user as one who is told of others: their connections, what these watch, and what decides what they
//! may see.

use super::link::Link;
use super::subject::Subject;
use super::visibility::Viewer;
use crate::model::{ActivityStatus, ConnectionId, Role, User, UserId};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What of a user's own row decides what they show and see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Privacy {
    /// Their activity status.
    pub setting: ActivityStatus,
    /// Whether their role is admin.
    pub is_admin: bool,
}

impl Privacy {
    pub fn of(user: &User) -> Self {
        Self {
            setting: user.activity_status,
            is_admin: user.role == Role::Admin,
        }
    }
}

/// A connected user as one who is told of others.
pub(super) struct ViewerNode {
    pub id: UserId,
    is_admin: AtomicBool,
    /// The credential says admin where the user's own row does not.
    claims_admin: bool,
    setting: AtomicU8,
    /// Their connections. A leaf lock: only links are called under it, and they take no lock of the hub.
    pub listeners: Mutex<Vec<Listener>>,
    /// Whom they are registered with, in no order.
    pub interests: Mutex<Vec<Arc<Subject>>>,
    /// Grows when facts about this user changed, so that a load that read older ones begins again.
    pub facts_version: AtomicU64,
    /// The last connection is gone; nothing is registered any more.
    pub is_gone: AtomicBool,
    /// One load at a time.
    pub load: tokio::sync::Mutex<bool>,
}

/// One connection of a viewer.
pub(super) struct Listener {
    pub id: ConnectionId,
    pub link: Arc<dyn Link>,
    /// Whom this connection watches beside the audiences its user is in. Most watch nobody.
    #[expect(
        clippy::box_collection,
        reason = "eight bytes instead of 48 for each connection that watches nobody"
    )]
    pub watching: Option<Box<HashSet<UserId>>>,
}

impl Listener {
    pub fn watches(&self, subject: UserId) -> bool {
        self.watching
            .as_ref()
            .is_some_and(|set| set.contains(&subject))
    }
}

impl ViewerNode {
    pub fn new(id: UserId, claims_admin: bool, row: Privacy) -> Self {
        Self {
            id,
            is_admin: AtomicBool::new(claims_admin || row.is_admin),
            claims_admin,
            setting: AtomicU8::new(row.setting as u8),
            listeners: Mutex::default(),
            interests: Mutex::default(),
            facts_version: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
            load: tokio::sync::Mutex::new(false),
        }
    }

    /// What decides their view of others changed.
    pub fn set_privacy(&self, row: Privacy) {
        self.setting.store(row.setting as u8, Ordering::SeqCst);
        self.is_admin
            .store(self.claims_admin || row.is_admin, Ordering::SeqCst);
    }

    pub fn viewer(&self) -> Viewer {
        if self.is_admin.load(Ordering::SeqCst) {
            return Viewer::Admin;
        }
        let setting = match self.setting.load(Ordering::SeqCst) {
            s if s == ActivityStatus::Everyone as u8 => ActivityStatus::Everyone,
            s if s == ActivityStatus::Contacts as u8 => ActivityStatus::Contacts,
            _ => ActivityStatus::Nobody,
        };
        Viewer::User {
            id: self.id,
            activity_status: setting,
        }
    }

    pub fn is_watching(&self, subject: UserId) -> bool {
        self.listeners.lock().iter().any(|l| l.watches(subject))
    }
}
