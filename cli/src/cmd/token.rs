//! `mesh token create|ls|revoke`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use mesh_core::{kind::Kind, time::Timestamp};
use mesh_proto::v1::{self, join_client::JoinClient};
use serde_json::json;

use super::{Cx, columns};
use crate::{
    Exit, Result,
    human::{self, parse_duration},
    items::{self, List, SCHEMA},
    write::{self, How},
};

/// A role that a host can join with: voters are made when the mesh is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinRole {
    Router,
    Gpu,
    Trainer,
    Edge,
}

/// What `mesh token` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Makes a token and prints it: the only time it can be read
    #[command(
        after_help = "Example: mesh token create --nodes 'gpu-*' --role gpu --ttl 15m\nThen on the host: mesh-agentd join TOKEN --at HOST:PORT --node NAME"
    )]
    Create {
        /// The node that may use it: a name, or a prefix that ends in *
        #[arg(long, default_value = "*", value_name = "NAME")]
        nodes: String,
        /// A role of a node that joins with it
        #[arg(long = "role", value_enum, default_values_t = [JoinRole::Gpu], value_name = "ROLE")]
        roles: Vec<JoinRole>,
        /// How long it can be used
        #[arg(long, value_parser = parse_duration, default_value = "15m", value_name = "DURATION")]
        ttl: Duration,
        /// How often it can be used
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
    },
    /// Lists tokens; their secrets are kept nowhere
    Ls,
    /// Makes a token worthless
    Revoke {
        /// Its name, from `mesh token ls`
        name: String,
    },
}

pub(crate) async fn run(cx: &Cx, command: TokenCommand) -> Result {
    match command {
        TokenCommand::Create { nodes, roles, ttl, uses } => create(cx, nodes, &roles, ttl, uses).await,
        TokenCommand::Ls => ls(cx).await,
        TokenCommand::Revoke { name } => revoke(cx, &name).await,
    }
}

async fn create(cx: &Cx, nodes: String, roles: &[JoinRole], ttl: Duration, uses: u32) -> Result {
    let session = cx.session().await?;
    let request_id = write::request_id();
    let name_of = |role: &JoinRole| role.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned());
    let request = v1::CreateTokenRequest {
        request_id: request_id.clone(),
        nodes,
        roles: roles.iter().map(name_of).collect(),
        ttl_ms: human::ms(ttl),
        uses,
    };
    let made = session
        .write("cannot create a token", &request_id, async |channel| {
            JoinClient::new(channel).create_token(request.clone()).await
        })
        .await?;
    let expires = Timestamp(made.expires_ms);
    if cx.out.is_for_people() {
        cx.out.line(&made.token)?;
        let at = session.context.endpoints.iter().find(|it| it.coordinator).or(session.context.endpoints.first());
        cx.out.say(&format!("token {} is good until {expires} and is shown only now; on the host:", made.name));
        cx.out.say(&format!(
            "  mesh-agentd join TOKEN --at {} --node NAME",
            at.map_or("HOST:PORT".to_owned(), |it| it.api.to_string())
        ));
    } else {
        cx.out.value(&json!({ "schema": SCHEMA, "name": made.name, "token": made.token, "expires": expires }))?;
    }
    Ok(Exit::Done)
}

async fn ls(cx: &Cx) -> Result {
    let session = cx.session().await?;
    let found = write::list(&session, Kind::Token, &[]).await?;
    if cx.out.is_for_people() {
        cx.out.table(&columns::table(Kind::Token, &found.items, human::now()))?;
    } else {
        let items: Vec<_> = found.items.iter().map(items::object).collect();
        cx.out.value(&List::new(&items))?;
    }
    Ok(Exit::Done)
}

async fn revoke(cx: &Cx, name: &str) -> Result {
    let session = cx.session().await?;
    write::delete(&session, Kind::Token, name, &How::default()).await?;
    cx.out.say(&format!("token {name} is worthless from now on"));
    Ok(Exit::Done)
}
