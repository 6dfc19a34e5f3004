//! Waves of a playbook over hosts: those in service a few at a time, and only while the mesh is as whole as it was.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{fleet::Fleet, run::start, told::Ended};
use crate::{
    Exit, Failure, human,
    playbook::{self, Report},
    provision::bootstrap::{
        form::Doors,
        hold::Part,
        journal::{HostState, Journal},
        lock::{Lock, Locked},
        seek,
        waves::{Candidate, Wave, is_too_many, order},
        whole::Whole,
    },
};

/// How long a mesh may take to be whole again, unless `--timeout` says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// The mesh that hosts are part of, and how it was before anything was changed.
struct Site {
    doors: Doors,
    whole: Whole,
}

/// How far a run over waves has come.
struct Course<'a> {
    journal: &'a Journal,
    site: Option<Site>,
    ends: Vec<Ended>,
    /// Why nothing else in service is begun.
    held_back: Option<String>,
}

impl Course<'_> {
    fn failed(&self) -> usize {
        self.ends.iter().filter(|it| it.result.is_err()).count()
    }
}

impl Fleet<'_> {
    /// Changes what is locked, wave after wave; `lost` of `all` hosts have failed before.
    pub(super) async fn change(
        &self,
        parts: &[(Part, Lock)],
        journal: &Journal,
        (lost, all): (usize, usize),
    ) -> Vec<Ended> {
        let site = self.site(parts).await;
        let candidate = |(it, _): &(Part, Lock)| Candidate {
            name: it.name().to_owned(),
            is_coordinator: it.entry.voter.is_some(),
            is_in_service: it.is_in_service,
        };
        let mut course = Course { journal, site, ends: Vec::new(), held_back: None };
        for wave in order(&parts.iter().map(candidate).collect::<Vec<_>>(), &self.inventory.rolling) {
            // Who never answered is no sign that the change does harm, but a mesh in service has lost it all the same.
            let counted = if wave.settle { course.failed() + lost } else { course.failed() };
            let why = if self.stop.is_asked() {
                Some("the run was stopped".to_owned())
            } else if is_too_many(counted, all, &self.inventory.rolling) {
                Some("too many others have failed".to_owned())
            } else {
                course.held_back.clone().filter(|_| wave.settle)
            };
            match why {
                Some(why) => course.ends.extend(wave.hosts.into_iter().map(|host| not_begun(host, &why))),
                None => self.wave(parts, wave, &mut course).await,
            }
        }
        course.ends
    }

    /// The mesh that some of the hosts serve in; none when there is none, or nobody can ask it.
    async fn site(&self, parts: &[(Part, Lock)]) -> Option<Site> {
        if !parts.iter().any(|(it, _)| it.is_in_service) {
            return None;
        }
        self.board.phase(&format!("asking mesh {} how it is", self.inventory.mesh));
        let unknown = |why: &str| {
            let mesh = &self.inventory.mesh;
            self.board
                .say(&format!("warning: mesh {mesh} cannot be asked: nothing waits for it between waves ({why})"));
        };
        let doors = match seek::doors(&self.cx.dirs, self.inventory) {
            Ok(doors) => doors,
            Err(why) => {
                unknown(&why);
                return None;
            }
        };
        match doors.nodes().await {
            Ok(items) => Some(Site { doors, whole: Whole::of(&items) }),
            Err(why) => {
                unknown(&why);
                None
            }
        }
    }

    async fn wave(&self, parts: &[(Part, Lock)], wave: Wave, course: &mut Course<'_>) {
        if !wave.pause.is_zero() {
            self.board.phase(&format!("pausing {} between waves", human::duration(human::ms(wave.pause))));
            tokio::select! {
                () = sleep(wave.pause) => {}
                () = self.stop.at_once() => {}
            }
        }
        self.board.begin(&wave.hosts);
        self.board.phase(&format!("changing {} hosts", wave.hosts.len()));
        let journal = course.journal;
        let now = parts.iter().filter(|(it, _)| wave.hosts.iter().any(|name| name == it.name()));
        let changes = stream::iter(now).map(async |(part, lock)| {
            if self.stop.is_asked() {
                return not_begun(part.name().to_owned(), "the run was stopped");
            }
            journal.host(part.name(), HostState::Begun, None);
            let end = self.apply(part, Some(lock)).await;
            let (state, why) = match &end.result {
                Ok(_) => (HostState::Done, None),
                Err(it) => (HostState::Failed, Some(it.why.as_deref().unwrap_or(&it.what))),
            };
            journal.host(part.name(), state, why);
            end
        });
        let mut ends: Vec<Ended> = changes.buffer_unordered(self.concurrency()).collect().await;
        if wave.settle {
            self.settle(&mut ends, course).await;
        }
        let failed = ends.iter().find(|it| it.result.is_err());
        if let Some(it) = failed.filter(|_| wave.is_trial) {
            course.held_back.get_or_insert(format!("the change fails on {}", it.host));
        }
        course.ends.extend(ends);
    }

    /// Waits until the mesh is as it was: the next wave must not take more away than was meant.
    async fn settle(&self, ends: &mut [Ended], course: &mut Course<'_>) {
        let Some(site) = course.site.as_ref().filter(|_| ends.iter().any(|it| it.result.is_ok())) else { return };
        let since = Instant::now();
        let end = since + self.cx.global.timeout.unwrap_or(LIMIT);
        let missing = site.whole.wait(&site.doors, (since, end), &self.board).await;
        course.journal.note("settled", None, json!({ "missing": missing }));
        for (name, why) in missing {
            match ends.iter_mut().find(|it| it.host == name) {
                // Who was not changed well is known already.
                Some(it) if it.result.is_err() => {}
                Some(it) => {
                    course.journal.host(&name, HostState::Failed, Some(&why));
                    let what = format!("{name}: it was changed, and is not in service as it was");
                    let next = format!("mesh describe node {name}; its log: mesh logs {name}");
                    it.result = Err(Failure::new(Exit::Deadline, what).why(why.clone()).next(next));
                }
                None => self.board.say(&format!("{name} is not as it was: {why}")),
            }
            course.held_back.get_or_insert(format!("the mesh is not whole: {name}: {why}"));
        }
    }

    /// Makes one host's plan true; without a lock only when nothing is to be changed.
    pub(super) async fn apply(&self, part: &Part, lock: Option<&Lock>) -> Ended {
        let name = part.name();
        let from = self.asked.what.start_at.as_deref().and_then(|it| start(&self.playbook, &part.plan, it).ok());
        let (host, from) = (part.host.as_ref(), from.as_ref());
        let applied = match lock {
            Some(lock) => playbook::apply(&Locked::new(host, lock), &part.plan, &self.desk, from).await,
            None => playbook::apply(host, &part.plan, &self.desk, from).await,
        };
        let result: Result<Report, Failure> = applied.map_err(Failure::from);
        if !part.plan.is_done() {
            match &result {
                Ok(report) => self.board.end(name, true, &format!("{} steps changed", report.changed.len())),
                Err(it) => self.board.end(name, false, &it.why.as_ref().map_or_else(|| it.what.clone(), Clone::clone)),
            }
        }
        Ended { host: name.to_owned(), result }
    }
}

fn not_begun(host: String, why: &str) -> Ended {
    let failure = Failure::new(Exit::Failed, format!("{host}: not begun: {why}"));
    Ended { host, result: Err(failure) }
}
