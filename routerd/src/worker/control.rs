//! What the control side asks of a worker.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::worker::inflight::{Held, TargetName};

/// Questions to one worker that wait; the control side has three that ask, each waits for its answer.
pub(crate) const CONTROL_MAX: usize = 16;

/// One question.
pub(crate) enum Control {
    /// Take in what waits, and say so: every decision made before has taken its place by then.
    Turn(oneshot::Sender<()>),
    /// Cut what is in flight at this node.
    Cut(Arc<str>, oneshot::Sender<()>),
    /// What is in flight?
    Inflight(oneshot::Sender<BTreeMap<TargetName, Held>>),
}

/// All workers, as the control side reaches them.
#[derive(Clone)]
pub(crate) struct Workers {
    senders: Vec<mpsc::Sender<Control>>,
}

impl Workers {
    /// Reaches workers through these.
    pub(crate) fn new(senders: Vec<mpsc::Sender<Control>>) -> Self {
        Self { senders }
    }

    /// Waits until every worker has taken one full turn; idle ones are woken. Workers that have ended count as turned.
    pub(crate) async fn turn(&self) {
        self.ask(Control::Turn).await;
    }

    /// Cuts what is in flight at a node: before a head it is tried elsewhere, within an answer the answer breaks.
    pub(crate) async fn cut(&self, node: &str) {
        let node: Arc<str> = Arc::from(node);
        self.ask(|reply| Control::Cut(node.clone(), reply)).await;
    }

    /// What all workers have in flight.
    pub(crate) async fn inflight(&self) -> BTreeMap<TargetName, Held> {
        let mut all = BTreeMap::new();
        for part in self.ask(Control::Inflight).await {
            for (name, held) in part {
                all.entry(name).and_modify(|it: &mut Held| it.add(held)).or_insert(held);
            }
        }
        all
    }

    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Control) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.senders.len());
        for sender in &self.senders {
            let (reply, answer) = oneshot::channel();
            if sender.send(question(reply)).await.is_ok() {
                answers.push(answer);
            }
        }
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.extend(answer.await.ok());
        }
        all
    }
}
