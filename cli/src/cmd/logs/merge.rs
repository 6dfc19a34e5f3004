//! Several nodes' lines as one: the past in the order of time, then everything as it comes.

use std::collections::VecDeque;

use futures_util::{
    StreamExt,
    stream::{SelectAll, select_all},
};
use mesh_proto::v1;
use tokio::sync::mpsc::Receiver;
use tokio_stream::wrappers::ReceiverStream;

use super::node::Told;

/// What comes next, from the node with an index.
#[derive(Debug)]
pub(super) enum Next {
    Line(v1::LogLine),
    Told(Told),
}

type Live = SelectAll<futures_util::stream::BoxStream<'static, (usize, Told)>>;

/// The merge; it holds at most one message of each node.
pub(super) struct Merge {
    nodes: Vec<Node>,
    ready: VecDeque<(usize, Next)>,
    live: Option<Live>,
}

struct Node {
    receiver: Option<Receiver<Told>>,
    lines: VecDeque<v1::LogLine>,
    is_past: bool,
}

impl Merge {
    pub(super) fn new(receivers: Vec<Receiver<Told>>) -> Self {
        let node = |receiver| Node { receiver: Some(receiver), lines: VecDeque::new(), is_past: true };
        Self { nodes: receivers.into_iter().map(node).collect(), ready: VecDeque::new(), live: None }
    }

    /// The next line or word; `None` when every node has told everything.
    pub(super) async fn next(&mut self) -> Option<(usize, Next)> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next);
            }
            if let Some(live) = &mut self.live {
                let (index, told) = live.next().await?;
                match told {
                    Told::Lines(lines) => self.ready.extend(lines.into_iter().map(|it| (index, Next::Line(it)))),
                    told @ (Told::Live | Told::Note(_) | Told::Failed(_)) => return Some((index, Next::Told(told))),
                }
                continue;
            }
            for (index, node) in self.nodes.iter_mut().enumerate() {
                while node.is_past && node.lines.is_empty() {
                    match node.told().await {
                        None | Some(Told::Live) => node.is_past = false,
                        Some(Told::Lines(lines)) => node.lines = lines.into(),
                        Some(told @ (Told::Note(_) | Told::Failed(_))) => {
                            self.ready.push_back((index, Next::Told(told)));
                        }
                    }
                }
            }
            let oldest = (0..self.nodes.len())
                .filter_map(|index| Some((self.nodes[index].lines.front()?.at_ms.unwrap_or(0), index)))
                .min();
            match oldest {
                Some((_, index)) => {
                    let line = self.nodes[index].lines.pop_front();
                    self.ready.extend(line.map(|it| (index, Next::Line(it))));
                }
                None => {
                    let live = self.nodes.iter_mut().enumerate().filter_map(|(index, node)| {
                        let stream = ReceiverStream::new(node.receiver.take()?);
                        Some(stream.map(move |told| (index, told)).boxed())
                    });
                    self.live = Some(select_all(live));
                }
            }
        }
    }
}

impl Node {
    async fn told(&mut self) -> Option<Told> {
        let told = self.receiver.as_mut()?.recv().await;
        if told.is_none() {
            self.receiver = None;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn lines(at: &[u64]) -> Told {
        let line = |at: &u64| v1::LogLine { at_ms: Some(*at), text: at.to_string(), ..Default::default() };
        Told::Lines(at.iter().map(line).collect())
    }

    #[tokio::test]
    async fn the_past_comes_by_time_and_the_rest_as_it_comes() {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel(8)).unzip();
        let mut merge = Merge::new(receivers);
        let send = async |node: usize, told| senders[node].send(told).await.unwrap();
        send(0, lines(&[1, 4])).await;
        send(0, lines(&[6])).await;
        send(0, Told::Live).await;
        send(1, lines(&[2, 5, 7])).await;
        send(1, Told::Live).await;
        let failure = crate::Failure::new(crate::Exit::Unreachable, "gone");
        send(2, Told::Failed(failure)).await;
        send(2, Told::Live).await;
        let mut found = Vec::new();
        for _ in 0..7 {
            found.push(match merge.next().await.unwrap() {
                (index, Next::Line(line)) => format!("{index}:{}", line.text),
                (index, Next::Told(told)) => format!("{index}:{}", matches!(told, Told::Failed(_))),
            });
        }
        assert_eq!(found, ["2:true", "0:1", "1:2", "0:4", "1:5", "0:6", "1:7"]);
        send(1, lines(&[9, 8])).await;
        for expected in ["9", "8"] {
            assert!(matches!(merge.next().await, Some((1, Next::Line(line))) if line.text == expected));
        }
        drop(senders);
        assert!(merge.next().await.is_none());
    }
}
