//! The mesh's side of a reset: a majority stays, node objects go first, and a mesh that is no more is forgotten.

use std::collections::BTreeSet;

use super::Reset;
use crate::{
    Exit, Failure, Result,
    cmd::nodes::name_of,
    hosts::HostEntry,
    provision::bootstrap::{
        form::{Made, Seen, forget},
        hold::Part,
        seek,
    },
};

impl Reset<'_> {
    /// Coordinators that stay must keep a majority; one alone goes only when it is said twice.
    pub(super) fn quorum(&self, voters: &BTreeSet<String>, chosen: &[HostEntry]) -> Result<()> {
        let all = self.inventory.hosts.iter().filter(|it| it.voter.is_some()).count();
        let going = voters.len();
        if going == 0 || self.asked.all || chosen.len() == self.inventory.hosts.len() {
            return Ok(());
        }
        let refused = |why: String, next: &str| {
            Err(Failure::new(Exit::Refused, "a coordinator cannot leave its mesh so").why(why).next(next))
        };
        if (all - going) * 2 <= all {
            return refused(
                format!(
                    "{} of {all} coordinators would be left: no majority, and no write would ever succeed again",
                    all - going
                ),
                "mesh reset --all, when the whole mesh is to go",
            );
        }
        if !self.asked.force {
            return refused(
                "it keeps a vote, and another cannot take its place in this version".to_owned(),
                "the same command with --force: the others go on with a smaller margin",
            );
        }
        Ok(())
    }

    /// Asks before anything is removed; a person types the name of the mesh.
    pub(super) fn question(&self, parts: &[Part]) -> Result<()> {
        self.board.clear();
        let cx = self.cx;
        let data = if self.asked.purge { ", with all state and logs" } else { "" };
        let what = if self.asked.all {
            format!("mesh {} is taken down: {} hosts are reset{data}", self.inventory.mesh, parts.len())
        } else {
            let names: Vec<&str> = parts.iter().map(|it| it.name()).collect();
            format!("{} leave mesh {} and are reset{data}", names.join(", "), self.inventory.mesh)
        };
        if cx.global.yes || !cx.can_ask() {
            return cx.confirm(&what);
        }
        let word = self.inventory.mesh.as_str();
        let answer = cx.ask(&format!("{what}.\nType the name of the mesh ({word}) to go on:"))?;
        if answer == word { Ok(()) } else { Err(Failure::new(Exit::Declined, "declined: nothing was changed")) }
    }

    /// Takes the node objects out of the mesh before the hosts go; says whether the mesh could be asked.
    pub(super) async fn leave(&self, names: &[String]) -> Result<bool> {
        if self.asked.all {
            return Ok(true);
        }
        let seen = self.look().await;
        let known: Vec<&str> =
            seen.nodes.iter().map(name_of).filter(|node| names.iter().any(|name| name == node)).collect();
        if known.is_empty() {
            return Ok(seen.answers);
        }
        self.board.phase(&format!("taking {} nodes out of the mesh", known.len()));
        let session = crate::client::Session::open(
            self.cx.dirs.context(Some(self.inventory.mesh.as_str()))?,
            None,
            self.cx.global.timeout,
        )?;
        for name in known {
            match forget(&session, name, "reset").await {
                Ok(()) => {}
                Err(failure) if self.asked.force => self.board.say(&format!("{name}: {}", failure.what)),
                Err(failure) => {
                    return Err(failure.or_next("the same command with --force resets the host all the same"));
                }
            }
        }
        Ok(true)
    }

    /// What the coordinators say, as far as this operator can ask them.
    async fn look(&self) -> Seen {
        match seek::doors(&self.cx.dirs, self.inventory) {
            Ok(doors) => doors.look().await,
            Err(why) => Seen { why, ..Seen::default() },
        }
    }

    /// The mesh is no more: this machine forgets it, but not its root.
    pub(super) fn forget(&self) -> Result<()> {
        let dirs = &self.cx.dirs;
        Made::forget(dirs, &self.inventory.mesh);
        let mut config = dirs.config()?;
        let name = self.inventory.mesh.as_str();
        if config.contexts.remove(name).is_some() {
            if config.current.as_deref() == Some(name) {
                config.current = None;
            }
            dirs.write_config(&config)?;
        }
        Ok(())
    }
}
