//! What stands between a drain and its end, from desired and observed state.

use std::{sync::Arc, time::Instant};

use mesh_core::{
    id::{NodeName, Revision},
    kind::{Kind, NodeSpec, Role, parse},
    plan::drain::{Blocker, RouterView, blockers},
    status::NodeStatus,
    store::Store,
};

use crate::observe::Observed;

/// One router node and the last statement of its agent, with the age of that.
struct Heard {
    node: NodeName,
    status: Option<Arc<NodeStatus>>,
    age_ms: u64,
}

impl Heard {
    fn view(&self) -> RouterView<'_> {
        let report = self.status.as_ref().and_then(|it| it.router.as_ref());
        let own_age_ms = report.map_or(0, |it| u64::from(it.age_ms));
        RouterView { node: &self.node, report, age_ms: self.age_ms + own_age_ms }
    }
}

/// The routers of the mesh as this coordinator hears them.
pub struct Routers(Vec<Heard>);

impl Routers {
    /// Joins the declared routers with what is observed of them.
    #[must_use]
    pub fn read(store: &Store, observed: &Observed, now: Instant) -> Self {
        let routers =
            store.list(Kind::Node).filter(|it| parse::<NodeSpec>(&it.spec).is_ok_and(|spec| spec.is(Role::Router)));
        let heard = routers.filter_map(|object| {
            let node = NodeName::new(object.key.name.as_str()).ok()?;
            let seen = observed.nodes.get(&node);
            let status = seen.and_then(|it| it.status.clone());
            let age_ms = seen.and_then(|it| it.age_ms(now)).unwrap_or(0);
            Some(Heard { node, status, age_ms })
        });
        Self(heard.collect())
    }

    /// What still blocks the drain of a node that was written at a revision.
    #[must_use]
    pub fn blockers(&self, node: &NodeName, revision: Revision) -> Vec<Blocker> {
        let views: Vec<RouterView<'_>> = self.0.iter().map(Heard::view).collect();
        blockers(node, revision, &views)
    }
}
