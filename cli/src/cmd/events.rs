//! `mesh events`.

use clap::Args;
use futures_util::StreamExt;
use mesh_core::time::Timestamp;
use mesh_proto::v1::{self, fleet_client::FleetClient};
use serde_json::json;

use super::Cx;
use crate::{Exit, Result, output::Table, refusal};

/// Arguments of `mesh events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mesh events\n  mesh events -f -o jsonl")]
pub(crate) struct EventsArgs {
    /// Goes on with what happens next until interrupted
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only events after this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
}

pub(crate) async fn run(cx: &Cx, args: EventsArgs) -> Result {
    let session = cx.session().await?;
    let what = "cannot get events";
    let request = v1::EventsRequest { after: args.after, follow: args.follow };
    let mut stream = session.stream(what, async |channel| FleetClient::new(channel).events(request).await).await?;
    let mut all = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.map_err(|status| refusal::failure(what, "the stream of an agent", &status))?;
        if args.follow {
            print(cx, &event)?;
        } else {
            all.push(event);
        }
    }
    if args.follow {
        crate::output::note("the agent closed the stream of events");
        return Ok(Exit::Unreachable);
    }
    if cx.out.is_for_people() {
        let mut table = Table::new(&["TIME", "SEVERITY", "SUBJECT", "ACTOR", "TEXT"]).wide(&["NUMBER"]);
        for it in all {
            table.row(vec![
                Timestamp(it.at_ms).to_string(),
                it.severity,
                it.subject,
                it.actor,
                it.text,
                it.seq.to_string(),
            ]);
        }
        cx.out.table(&table)?;
    } else if cx.out.format == crate::output::Format::Jsonl {
        all.iter().try_for_each(|it| cx.out.value(&value(it)))?;
    } else {
        let items: Vec<_> = all.iter().map(value).collect();
        cx.out.value(&json!({ "schema": crate::items::SCHEMA, "items": items }))?;
    }
    Ok(Exit::Done)
}

fn value(it: &v1::Event) -> serde_json::Value {
    json!({
        "seq": it.seq,
        "at": Timestamp(it.at_ms),
        "severity": it.severity,
        "subject": it.subject,
        "actor": it.actor,
        "text": it.text,
    })
}

fn print(cx: &Cx, it: &v1::Event) -> std::io::Result<()> {
    if cx.out.is_for_people() {
        let at = Timestamp(it.at_ms);
        return cx.out.line(&format!("{at}   {:<8}   {}   {}   {}", it.severity, it.subject, it.actor, it.text));
    }
    cx.out.line(&value(it).to_string())
}
