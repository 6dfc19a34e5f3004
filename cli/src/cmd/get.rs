//! `mesh get` and `mesh describe`.

use clap::Args;
use futures_util::StreamExt;
use mesh_core::kind::Kind;
use mesh_proto::v1::{self, fleet_client::FleetClient, objects_client::ObjectsClient};

use super::{Cx, columns, nodes};
use crate::{
    Exit, Failure, Result,
    client::Session,
    human,
    items::{self, Item, List},
    output::{Format, Table},
    refusal,
    selector::Selector,
    write,
};

/// Arguments of `mesh get`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh get nodes\n  mesh get node node-7 -o yaml\n  mesh get nodes -w\n  mesh get strategies -o json"
)]
pub(crate) struct GetArgs {
    /// The kind: nodes, drains, strategies, activations, tokens, policies, bindings or revocations
    kind: Kind,
    /// Only these objects
    names: Vec<String>,
    /// Only nodes whose labels fit, like gpu=h100,zone!=b
    #[arg(long, short = 'l', value_name = "LABELS")]
    selector: Option<Selector>,
    /// Sorts the table by the column of this title
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<String>,
    /// Goes on with every change until interrupted
    #[arg(long, short = 'w')]
    watch: bool,
}

/// Arguments of `mesh describe`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh describe node node-7")]
pub(crate) struct DescribeArgs {
    /// The kind
    kind: Kind,
    /// The object
    name: String,
}

/// Objects of one kind, as fetched.
enum Fetched {
    Nodes(Vec<v1::NodeItem>),
    Objects(Vec<v1::Object>),
}

pub(crate) async fn run(cx: &Cx, args: GetArgs) -> Result {
    if args.selector.is_some() && args.kind != Kind::Node {
        return Err(Failure::new(Exit::Usage, "a selector chooses nodes by their labels")
            .why(format!("{} have none", args.kind.plural())));
    }
    let session = cx.session().await?;
    let (fetched, revision) = if args.kind == Kind::Node {
        let mut found = nodes::fetch(&session, &args.names).await?;
        found.items.retain(|item| is_chosen(item, args.selector.as_ref()));
        (Fetched::Nodes(found.items), found.freshness)
    } else {
        let found = write::list(&session, args.kind, &args.names).await?;
        (Fetched::Objects(found.items), found.freshness)
    };
    show(cx, &args, &fetched)?;
    if args.watch {
        return watch(cx, &session, &args, fetched, revision.map_or(0, |it| it.revision)).await;
    }
    Ok(Exit::Done)
}

fn is_chosen(item: &v1::NodeItem, selector: Option<&Selector>) -> bool {
    selector.is_none_or(|selector| selector.matches(&nodes::spec_of(item).labels))
}

fn show(cx: &Cx, args: &GetArgs, fetched: &Fetched) -> Result<()> {
    let items: Vec<Item> = match fetched {
        Fetched::Nodes(nodes) => nodes.iter().map(items::node).collect(),
        Fetched::Objects(objects) => objects.iter().map(items::object).collect(),
    };
    match cx.out.format {
        Format::Name => items.iter().try_for_each(|it| cx.out.line(&format!("{}/{}", it.kind, it.name)))?,
        Format::Jsonl => items.iter().try_for_each(|it| cx.out.value(it))?,
        // A stream has no end at which a list could be closed.
        Format::Json if args.watch => items.iter().try_for_each(|it| line(cx, it))?,
        Format::Json | Format::Yaml => cx.out.value(&List::new(&items))?,
        Format::Table | Format::Wide => {
            let mut table = tables(args.kind, fetched);
            if let Some(title) = &args.sort_by {
                table.sort_by(title).map_err(|why| Failure::new(Exit::Usage, "cannot sort").why(why))?;
            }
            if items.is_empty() {
                cx.out.say(&format!("no {}", args.kind.plural()));
            } else {
                cx.out.table(&table)?;
            }
        }
    }
    Ok(())
}

fn line(cx: &Cx, item: &Item) -> std::io::Result<()> {
    cx.out.line(&serde_json::to_string(item)?)
}

fn tables(kind: Kind, fetched: &Fetched) -> Table {
    match fetched {
        Fetched::Nodes(items) => nodes::table(items),
        Fetched::Objects(objects) => columns::table(kind, objects, human::now()),
    }
}

async fn watch(cx: &Cx, session: &Session, args: &GetArgs, fetched: Fetched, after: u64) -> Result {
    match fetched {
        Fetched::Nodes(known) => watch_nodes(cx, session, args, known).await,
        Fetched::Objects(_) => watch_objects(cx, session, args, after).await,
    }
}

/// Prints a node again when what is shown of it changed.
async fn watch_nodes(cx: &Cx, session: &Session, args: &GetArgs, mut known: Vec<v1::NodeItem>) -> Result {
    let what = "cannot watch nodes";
    let mut stream = session
        .stream(what, async |channel| {
            let request = v1::NodesRequest { names: args.names.clone(), mode: v1::ReadMode::Any.into() };
            FleetClient::new(channel).watch_nodes(request).await
        })
        .await?;
    while let Some(answer) = stream.next().await {
        let answer = answer.map_err(|status| refusal::failure(what, "the stream of an agent", &status))?;
        let changed: Vec<v1::NodeItem> = answer
            .items
            .into_iter()
            .filter(|item| is_chosen(item, args.selector.as_ref()))
            .filter(|item| known.iter().all(|it| shown(it) != shown(item)))
            .collect();
        known.retain(|it| changed.iter().all(|item| nodes::name_of(item) != nodes::name_of(it)));
        if !changed.is_empty() {
            print_more(cx, args, &Fetched::Nodes(changed.clone()))?;
        }
        known.extend(changed);
    }
    Ok(ended(what))
}

/// What of a node is worth a new line: everything but its age and its measurements.
fn shown(item: &v1::NodeItem) -> (String, String, u64, Vec<String>) {
    let revision = item.object.as_ref().map_or(0, |it| it.revision);
    (nodes::name_of(item).to_owned(), item.phase.clone(), revision, item.blockers.clone())
}

async fn watch_objects(cx: &Cx, session: &Session, args: &GetArgs, after: u64) -> Result {
    let what = format!("cannot watch {}", args.kind.plural());
    let mut stream = session
        .stream(&what, async |channel| {
            let request = v1::WatchRequest { kinds: vec![args.kind.to_string()], after };
            ObjectsClient::new(channel).watch(request).await
        })
        .await?;
    while let Some(event) = stream.next().await {
        let event = event.map_err(|status| refusal::failure(&what, "the stream of an agent", &status))?;
        let Some(v1::watch_event::Event::Change(change)) = event.event else { continue };
        let object = change.object.unwrap_or_default();
        if !args.names.is_empty() && !args.names.contains(&object.name) {
            continue;
        }
        if object.spec.is_empty() && cx.out.is_for_people() {
            cx.out.line(&format!("{}   {}   deleted", object.name, change.revision))?;
        } else {
            print_more(cx, args, &Fetched::Objects(vec![object]))?;
        }
    }
    Ok(ended(&what))
}

fn print_more(cx: &Cx, args: &GetArgs, fetched: &Fetched) -> Result<()> {
    if cx.out.is_for_people() {
        let wide = cx.out.format == Format::Wide;
        cx.out.raw(tables(args.kind, fetched).render(wide, false, false).as_bytes())?;
        return Ok(());
    }
    show(cx, args, fetched)
}

fn ended(what: &str) -> Exit {
    crate::output::note(&format!("{what} any longer: the agent closed the stream"));
    Exit::Unreachable
}

pub(crate) async fn describe(cx: &Cx, args: DescribeArgs) -> Result {
    let session = cx.session().await?;
    let names = [args.name];
    if args.kind == Kind::Node {
        let found = nodes::fetch(&session, &names).await?;
        for item in &found.items {
            if cx.out.is_for_people() {
                cx.out.raw(nodes::describe(item, human::now()).as_bytes())?;
            } else {
                cx.out.value(&items::node(item))?;
            }
        }
        return Ok(Exit::Done);
    }
    for object in &write::list(&session, args.kind, &names).await?.items {
        let item = items::object(object);
        if cx.out.is_for_people() {
            cx.out.line(&format!("{}/{}, revision {}\n{}", item.kind, item.name, item.revision, args.kind.about()))?;
            cx.out.raw(crate::output::yaml(&item.spec)?.as_bytes())?;
        } else {
            cx.out.value(&item)?;
        }
    }
    Ok(Exit::Done)
}
