//! Who in the ring is a member, and what it says of itself. Gossip is a hint: any holder of the key can state
//! anything about any node, so every entry is checked against the node list, and every value is parsed strictly.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mesh_core::id::{NodeName, Revision};

use super::GossipMember;
use crate::observe::roster::Roster;

/// The longest value of a key, in bytes.
const VALUE_BYTES_MAX: usize = 64;
/// The keys of a member, in the order they are written; never one per model or device.
const VERSION_KEY: &str = "v";
const API_KEY: &str = "api";
const STATE_KEY: &str = "st";
const REVISION_KEY: &str = "rev";
/// The bit of `st` that says: desired state is applied and every declared engine was looked at.
const VERIFIED: u8 = 1;

/// What a node says of itself by gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipState {
    /// The release it runs.
    pub version: String,
    /// Where its agent answers.
    pub api: SocketAddr,
    /// Whether it has applied desired state and looked at all its engines.
    pub verified: bool,
    /// The revision of desired state it has applied.
    pub applied: Revision,
}

impl GossipState {
    /// The state as keys and values.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let version: String = self.version.chars().filter(char::is_ascii_graphic).take(VALUE_BYTES_MAX).collect();
        let state = if self.verified { VERIFIED } else { 0 };
        [
            (VERSION_KEY, version),
            (API_KEY, self.api.to_string()),
            (STATE_KEY, format!("{state:x}")),
            (REVISION_KEY, self.applied.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }

    /// Reads a state out of a member's values; `None` when one is missing or is not what it must be.
    #[must_use]
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let value = |key| value(key).filter(|it| it.len() <= VALUE_BYTES_MAX);
        let version = value(VERSION_KEY)?;
        if version.is_empty() || !version.bytes().all(|c| c.is_ascii_graphic()) {
            return None;
        }
        // Bits that a later release may add are passed over.
        let state = u8::from_str_radix(value(STATE_KEY)?, 16).ok()?;
        Some(Self {
            version: version.to_owned(),
            api: value(API_KEY)?.parse().ok()?,
            verified: state & VERIFIED != 0,
            applied: Revision(value(REVISION_KEY)?.parse().ok()?),
        })
    }
}

/// How a node is known in the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: NodeName,
    /// `incarnation << 32 | boot counter`.
    pub generation: u64,
    /// Where it gossips.
    pub addr: SocketAddr,
}

/// Why an entry of the ring is no member; the names are the label values of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refuse {
    /// Desired state does not list a node of this name.
    Unlisted,
    /// It is of an incarnation before the listed one.
    OldGeneration,
    /// It is of an incarnation that was never given out: a higher number would hide the true node.
    UnknownGeneration,
    /// It gossips from elsewhere than listed.
    WrongAddress,
    /// Its identity is refused.
    Revoked,
}

impl Refuse {
    /// All reasons there are.
    pub const ALL: [Self; 5] =
        [Self::Unlisted, Self::OldGeneration, Self::UnknownGeneration, Self::WrongAddress, Self::Revoked];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::OldGeneration => "old_generation",
            Self::UnknownGeneration => "unknown_generation",
            Self::WrongAddress => "wrong_address",
            Self::Revoked => "revoked",
        }
    }
}

/// Decides whether an entry of the ring is a member of the mesh.
///
/// # Errors
/// [`Refuse`] saying why nothing it states may be used.
pub fn admit(member: &Member, roster: &Roster) -> Result<(), Refuse> {
    let listed = roster.get(&member.node).ok_or(Refuse::Unlisted)?;
    if listed.revoked {
        return Err(Refuse::Revoked);
    }
    match (member.generation >> 32).cmp(&u64::from(listed.spec.incarnation)) {
        std::cmp::Ordering::Less => Err(Refuse::OldGeneration),
        std::cmp::Ordering::Greater => Err(Refuse::UnknownGeneration),
        std::cmp::Ordering::Equal if listed.spec.gossip_addr() != Some(member.addr) => Err(Refuse::WrongAddress),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// Whether a member lives, as far as the ring tells.
///
/// A detector needs some heartbeats before it holds anybody for alive; until then a member is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Heard of, and not yet heard: it may have died before this node began to listen.
    Fresh,
    /// Heard of under a higher generation than before: it has started again.
    Reborn,
    /// Heard.
    Live,
    /// Heard no more.
    Dead,
}

impl Pulse {
    /// Whether it speaks for a member's being alive.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Live | Self::Reborn)
    }

    /// Whether the member has been alive at some time.
    #[must_use]
    pub fn has_lived(self) -> bool {
        self != Self::Fresh
    }
}

/// The pulse that follows `before` when the detector holds a member for `live` or not; a member that does not become
/// live within `patience` is dead.
pub(super) fn pulse(
    before: Option<&GossipMember>,
    generation: u64,
    live: bool,
    (now, patience): (Instant, Duration),
) -> (Pulse, Instant) {
    let next = match before {
        _ if live => Pulse::Live,
        None => Pulse::Fresh,
        Some(before) if generation > before.generation => return (Pulse::Reborn, now),
        Some(before) => match before.pulse {
            Pulse::Fresh | Pulse::Reborn if now.saturating_duration_since(before.since) < patience => before.pulse,
            Pulse::Fresh | Pulse::Reborn | Pulse::Live | Pulse::Dead => Pulse::Dead,
        },
    };
    (next, before.filter(|before| before.pulse == next).map_or(now, |before| before.since))
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::NodeSpec;

    use super::*;
    use crate::observe::roster::Listed;

    #[test]
    fn only_listed_nodes_are_admitted() {
        let spec = NodeSpec { gossip: "10.0.0.1:7946".into(), incarnation: 3, ..NodeSpec::default() };
        let listed = |revoked| Listed { spec: spec.clone(), revision: Revision(1), drain: None, revoked };
        let name = |text: &str| NodeName::new(text).unwrap();
        let roster = Roster::of([(name("node-1"), listed(false)), (name("node-2"), listed(true))]);
        let check = |node: &str, generation: u64, addr: &str, expected: Result<(), Refuse>| {
            let member = Member { node: name(node), generation, addr: addr.parse().unwrap() };
            assert_eq!(admit(&member, &roster), expected, "{member:?}");
        };
        let third = 3_u64 << 32;
        check("node-1", third | 1, "10.0.0.1:7946", Ok(()));
        check("node-1", third | 900, "10.0.0.1:7946", Ok(()));
        check("node-9", third | 1, "10.0.0.1:7946", Err(Refuse::Unlisted));
        check("node-1", (2 << 32) | 900, "10.0.0.1:7946", Err(Refuse::OldGeneration));
        check("node-1", 4 << 32, "10.0.0.1:7946", Err(Refuse::UnknownGeneration));
        check("node-1", u64::MAX, "10.0.0.1:7946", Err(Refuse::UnknownGeneration));
        check("node-1", third | 1, "10.0.0.1:7947", Err(Refuse::WrongAddress));
        check("node-2", third | 1, "10.0.0.1:7946", Err(Refuse::Revoked));
    }

    #[test]
    fn a_member_is_dead_only_after_it_was_heard_or_waited_for() {
        use Pulse::{Dead, Fresh, Live, Reborn};
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let check = |steps: &[(u64, u64, bool, Pulse, u64)]| {
            let mut before: Option<GossipMember> = None;
            for (seconds, generation, live, expected, since) in steps.iter().copied() {
                let found = pulse(before.as_ref(), generation, live, (at(seconds), Duration::from_secs(10)));
                assert_eq!(found, (expected, at(since)), "at {seconds}");
                before = Some(GossipMember { generation, pulse: found.0, since: found.1, state: None });
            }
        };
        // Seconds, generation, what the detector says; the pulse and its beginning.
        check(&[(0, 1, false, Fresh, 0), (2, 1, true, Live, 2), (9, 1, true, Live, 2), (20, 1, false, Dead, 20)]);
        check(&[(0, 1, false, Fresh, 0), (9, 1, false, Fresh, 0), (10, 1, false, Dead, 10), (11, 1, false, Dead, 10)]);
        check(&[(0, 1, true, Live, 0), (5, 2, false, Reborn, 5), (6, 2, false, Reborn, 5), (7, 2, true, Live, 7)]);
        check(&[(0, 1, true, Live, 0), (5, 2, false, Reborn, 5), (15, 2, false, Dead, 15), (16, 2, true, Live, 16)]);
        check(&[(0, 1, true, Live, 0), (5, 1, false, Dead, 5), (6, 3, false, Reborn, 6), (7, 4, false, Reborn, 7)]);
    }

    #[test]
    fn hostile_values_are_no_state() {
        let good = GossipState {
            version: "0.1.0".into(),
            api: "10.0.0.1:7443".parse().unwrap(),
            verified: true,
            applied: Revision(41),
        };
        let check = |spoiled: &str, value: &str, expected: Option<&GossipState>| {
            let pairs = good.pairs();
            let found = GossipState::read(|key| {
                if key == spoiled {
                    return Some(value);
                }
                pairs.iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str())
            });
            assert_eq!(found.as_ref(), expected, "{spoiled} = {value}");
        };
        let long = "9".repeat(VALUE_BYTES_MAX + 1);
        check("none", "", Some(&good));
        check("st", "3", Some(&good));
        check("v", "", None);
        check("v", &long, None);
        check("v", "0.1.0\u{1b}[2J", None);
        check("api", "elsewhere", None);
        check("st", "ready", None);
        check("rev", "-1", None);
        check("rev", &long, None);
        assert_eq!(GossipState::read(|_| None), None);
    }
}
