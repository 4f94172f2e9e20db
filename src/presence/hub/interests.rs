//! Registration of a viewer with those whom they are told of, and its end. What is registered is read from the store,
//! again where something changed meanwhile.

use super::{Hub, flush, shard};
use crate::model::{ConnectionId, Role, UserId};
use crate::presence::link::Link;
use crate::presence::subject::{Kicks, Registration, Subject};
use crate::presence::viewer::{Listener, Privacy, ViewerNode};
use crate::store::{Interest, StoreError};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Hub {
    pub(super) fn add_listener(
        &self,
        user: UserId,
        role: Role,
        row: Privacy,
        id: ConnectionId,
        link: Arc<dyn Link>,
    ) -> Arc<ViewerNode> {
        let mut shard = shard(&self.viewers, user).write();
        let claims_admin = role == Role::Admin && !row.is_admin;
        let viewer = shard
            .entry(user)
            .or_insert_with(|| Arc::new(ViewerNode::new(user, claims_admin, row)));
        viewer.listeners.lock().push(Listener {
            id,
            link,
            watching: None,
        });
        viewer.clone()
    }

    /// Reads whom the viewer is to be told of and registers it with them. With `announce`, the difference to what
    /// stands is told.
    pub(super) async fn load(
        &self,
        viewer: &Arc<ViewerNode>,
        announce: bool,
    ) -> Result<(), StoreError> {
        let audience = self.settings.audience;
        loop {
            let (facts, settings) = self.versions(viewer);
            // Also what an earlier turn has registered by facts that were old.
            let known: Vec<UserId> = viewer.interests.lock().iter().map(|s| s.id).collect();
            let rows = self
                .store
                .interests(
                    viewer.id,
                    audience.followers(),
                    audience.partners(),
                    known.clone(),
                )
                .await?;
            #[cfg(test)]
            crate::presence::model_tests::chance().await;
            self.register_all(viewer, &known, rows, settings, announce);
            if self.versions(viewer) == (facts, settings) {
                return Ok(());
            }
        }
    }

    /// Reads the facts of a few pairs again and registers them.
    pub(super) async fn refresh(
        &self,
        viewer: &Arc<ViewerNode>,
        subjects: Vec<UserId>,
        announce: bool,
    ) -> Result<(), StoreError> {
        loop {
            let (facts, settings) = self.versions(viewer);
            let rows = self
                .store
                .interests(viewer.id, false, false, subjects.clone())
                .await?;
            #[cfg(test)]
            crate::presence::model_tests::chance().await;
            self.register_all(viewer, &subjects, rows, settings, announce);
            if self.versions(viewer) == (facts, settings) {
                return Ok(());
            }
        }
    }

    pub(super) fn versions(&self, viewer: &ViewerNode) -> (u64, u64) {
        (
            viewer.facts_version.load(Ordering::SeqCst),
            self.settings_version.load(Ordering::SeqCst),
        )
    }

    /// Registers the viewer by `rows`; those of `asked` who have no row are no longer there.
    pub(super) fn register_all(
        &self,
        viewer: &Arc<ViewerNode>,
        asked: &[UserId],
        rows: Vec<Interest>,
        settings_read: u64,
        announce: bool,
    ) {
        let mut kicks = Kicks::new();
        let mut touched: HashSet<UserId> = asked.iter().copied().collect();
        let mut registered = Vec::new();
        let mut interests = viewer.interests.lock();
        for row in rows {
            touched.insert(row.id);
            let (subject, is_registered) =
                self.register(viewer, &row, settings_read, announce, &mut kicks);
            if is_registered {
                registered.push(subject);
            }
        }
        let present: HashSet<UserId> = registered.iter().map(|s| s.id).collect();
        for erased in interests
            .iter()
            .filter(|s| touched.contains(&s.id) && !present.contains(&s.id))
        {
            erased.lost(viewer, self.clock.now(), &mut kicks);
        }
        interests.retain(|s| !touched.contains(&s.id));
        interests.reserve_exact(registered.len());
        interests.append(&mut registered);
        drop(interests);
        for subject in touched.difference(&present) {
            self.retire(*subject);
        }
        flush(kicks);
    }

    pub(super) fn register(
        &self,
        viewer: &Arc<ViewerNode>,
        row: &Interest,
        settings_read: u64,
        announce: bool,
        kicks: &mut Kicks,
    ) -> (Arc<Subject>, bool) {
        let is_current = || self.settings_version.load(Ordering::SeqCst) == settings_read;
        loop {
            let subject = self.subject_for(row, kicks);
            let registration = Registration {
                facts: row.facts,
                in_audience: self.settings.audience.includes(row.facts),
                setting: row.activity_status,
                username: row.username.shared(),
                announce,
            };
            // Let go of in between: it is made anew.
            if let Ok(is_registered) =
                subject.register(viewer, registration, is_current, self.clock.now(), kicks)
            {
                return (subject, is_registered);
            }
        }
    }

    pub(super) fn subject_for(&self, row: &Interest, kicks: &mut Kicks) -> Arc<Subject> {
        if let Some(subject) = self.subject(row.id) {
            return subject;
        }
        let subject = shard(&self.subjects, row.id)
            .write()
            .entry(row.id)
            .or_insert_with(|| Arc::new(Subject::new(row.id, row.username.shared(), row.last_seen)))
            .clone();
        // In the map first, then the tracker's word: a transition in between reaches the subject by itself, and
        // the later version stands. Others may have found it in the map and registered meanwhile.
        if let Some(standing) = self.tracker.standing(row.id) {
            subject.adopt(standing, self.clock.now(), kicks);
        }
        subject
    }

    pub(super) fn forget_interests(&self, viewer: &Arc<ViewerNode>) {
        let interests = std::mem::take(&mut *viewer.interests.lock());
        for subject in interests {
            subject.leave(viewer);
            self.retire(subject.id);
        }
    }

    pub(super) fn drop_unneeded(
        &self,
        viewer: &Arc<ViewerNode>,
        subjects: impl IntoIterator<Item = UserId>,
    ) {
        let mut interests = viewer.interests.lock();
        let dropped: HashSet<UserId> = subjects
            .into_iter()
            .filter(|id| {
                self.subject(*id)
                    .is_some_and(|subject| subject.drop_if_unneeded(viewer))
            })
            .collect();
        interests.retain(|s| !dropped.contains(&s.id));
        drop(interests);
        dropped.into_iter().for_each(|id| self.retire(id));
    }

    pub(super) fn retire(&self, subject: UserId) {
        let mut shard = shard(&self.subjects, subject).write();
        if shard.get(&subject).is_some_and(|s| s.retire()) {
            shard.remove(&subject);
        }
    }
}
