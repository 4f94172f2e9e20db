//! A command: a closure with its deadline, and the race between starting it and giving it up.

use super::super::fault::Fault;
use crate::store::{Result, StoreError};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;
use tokio::sync::oneshot;

pub(super) fn too_late() -> StoreError {
    StoreError::Unavailable("the write did not get its turn in time".into())
}

/// A closure with its deadline, and whether it has been started.
pub(super) struct Command {
    pub deadline: Instant,
    pub state: State,
    pub work: Box<dyn Work>,
}

#[derive(Clone)]
pub(super) struct State(Arc<AtomicU8>);

impl State {
    const WAITING: u8 = 0;
    const STARTED: u8 = 1;
    const EXPIRED: u8 = 2;

    pub fn start(&self) -> bool {
        self.settle(Self::STARTED)
    }

    pub fn expire(&self) -> bool {
        self.settle(Self::EXPIRED)
    }

    fn settle(&self, to: u8) -> bool {
        self.0
            .compare_exchange(Self::WAITING, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Command {
    pub fn new<T, F>(
        context: &'static str,
        deadline: Instant,
        work: F,
    ) -> (Self, State, oneshot::Receiver<Result<T>>)
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let state = State(Arc::new(AtomicU8::new(State::WAITING)));
        let work = Box::new(Typed {
            context,
            work: Some(work),
            result: None,
            answer,
        });
        let command = Self {
            deadline,
            state: state.clone(),
            work,
        };
        (command, state, receiver)
    }

    /// Answers `Unavailable` when it is too late to start it.
    pub fn unless_late(self) -> Option<Self> {
        if Instant::now() < self.deadline && self.state.0.load(Ordering::Acquire) == State::WAITING
        {
            return Some(self);
        }
        if self.state.expire() {
            self.work.answer(Some(too_late()));
        }
        None
    }
}

/// A command of whatever type it returns.
pub(super) trait Work: Send {
    /// Runs it; whether its savepoint is to be kept.
    fn run(&mut self, connection: &Connection) -> bool;
    /// What it failed with.
    fn failure(&self) -> Option<&StoreError>;
    /// It panicked.
    fn panicked(&mut self);
    /// Answers its caller, with `lost` when the transaction around it was.
    fn answer(self: Box<Self>, lost: Option<StoreError>);
}

struct Typed<T, F> {
    context: &'static str,
    work: Option<F>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = work(connection).map_err(|fault| fault.in_context(self.context));
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn failure(&self) -> Option<&StoreError> {
        self.result
            .as_ref()
            .and_then(|result| result.as_ref().err())
    }

    fn panicked(&mut self) {
        tracing::error!(context = self.context, "a write panicked");
        self.result = Some(Err(StoreError::Panicked(self.context)));
    }

    fn answer(self: Box<Self>, lost: Option<StoreError>) {
        let result = match (lost, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Panicked(self.context)),
        };
        // Nobody may be waiting any more: the write is done all the same.
        drop(self.answer.send(result));
    }
}
