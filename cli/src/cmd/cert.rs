//! `mesh cert issue|request`: access for other people.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mesh_core::{
    id::{ObjectName, Principal},
    kind::{BindingSpec, Kind, OperatorRole},
    time::Timestamp,
};
use mesh_proto::{
    ca::{self, Issuer},
    cert,
    client::sentence,
};
use serde_json::json;

use super::{Cx, bootstrap::PassphraseArgs};
use crate::{
    Exit, Failure, Result,
    access::{self, Access},
    client::Session,
    context::Context,
    human,
    items::SCHEMA,
    provision::{bootstrap::root::RootDir, mesh::LocalDir},
    write::{self, How},
};

/// The largest request that is read from a file.
const REQUEST_MAX: u64 = 64 * 1024;

/// What `mesh cert` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Gives a person access: a certificate, a role, and a file for `mesh context add`
    #[command(
        after_help = "Examples:\n  mesh cert issue bob --role viewer\n  mesh cert issue bob --csr bob.csr        bob's key stays with bob, who ran `mesh cert request bob > bob.csr`\n\nThe certificate is good for 12 hours and is renewed by every command of its bearer before that. To take the access back:\n  mesh apply -f - <<< \"{kind: revocation, name: bob, spec: {id: 'spiffe://MESH/operator/bob', reason: left}}\""
    )]
    Issue(IssueArgs),
    /// Makes a key here and prints a request for its certificate, so that the key never travels
    #[command(after_help = "Example: mesh cert request bob > bob.csr")]
    Request {
        /// Who asks
        name: ObjectName,
    },
}

/// Arguments of `mesh cert issue`.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// The person
    name: ObjectName,
    /// What the person may do; a role held already is kept unless given
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Option<AskedRole>,
    /// A request from `mesh cert request`, instead of a key made here
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Where the access is written, mode 0600; MESH.NAME.access unless given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
    /// Why, for the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AskedRole {
    /// Looks, and changes nothing
    Viewer,
    /// The daily work: cordon, drain, apply, deploy
    Operator,
    /// Everything, people and tokens included
    Admin,
}

impl From<AskedRole> for OperatorRole {
    fn from(role: AskedRole) -> Self {
        match role {
            AskedRole::Viewer => Self::Viewer,
            AskedRole::Operator => Self::Operator,
            AskedRole::Admin => Self::Admin,
        }
    }
}

pub(crate) async fn run(cx: &Cx, command: CertCommand) -> Result {
    match command {
        CertCommand::Issue(args) => issue(cx, args).await,
        CertCommand::Request { name } => {
            cx.out.raw(access::request(&cx.dirs, &name)?.as_bytes())?;
            cx.out.say("the key waits on this machine; who holds the root of the mesh, with this request:");
            cx.out.say(&format!("  mesh cert issue {name} --csr FILE"));
            Ok(Exit::Done)
        }
    }
}

async fn issue(cx: &Cx, args: IssueArgs) -> Result {
    let session = cx.session().await?;
    let context = session.context.clone();
    let who = Principal::operator(&context.mesh, args.name.clone());
    if session.me() == who {
        return Err(Failure::new(Exit::Refused, format!("{} is you", args.name))
            .why("your own certificate is renewed by every command; your role only another admin should change"));
    }
    let file = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{}.access", context.mesh, args.name)));
    if file.exists() && !args.dry_run {
        cx.confirm(&format!("{} exists: replace it?", file.display()))?;
    }
    // Everything that can be refused without the mesh comes before anything is changed there.
    let root = root(cx, &context, &args.passphrase)?;
    let (access, expires) = sign(&root, &context, &args.name, args.csr.as_deref())?;
    let old = role_of(&session, &args.name).await?;
    let role = args.role.map(OperatorRole::from).or(old).unwrap_or(OperatorRole::Viewer);
    bind(&session, &args, role).await?;
    if !args.dry_run {
        access.write(&file)?;
    }
    let was = match old {
        Some(old) if old != role => format!(" (was {})", old.as_str()),
        _ => String::new(),
    };
    if !cx.out.is_for_people() {
        cx.out.value(&json!({
            "schema": SCHEMA, "operator": args.name, "mesh": context.mesh, "role": role, "expires": expires,
            "file": file, "dry_run": args.dry_run,
        }))?;
    } else if args.dry_run {
        cx.out.say(&format!(
            "{} would be {}{was} of mesh {}; nothing was changed",
            args.name,
            role.as_str(),
            context.mesh
        ));
    } else {
        cx.out.say(&format!(
            "{} is {}{was} of mesh {} and can come in until {expires}",
            args.name,
            role.as_str(),
            context.mesh
        ));
        let secret = if access.key_pem.is_some() { ", which holds a private key," } else { "" };
        cx.out.say(&format!("hand over {}{secret} and have {} run:", file.display(), args.name));
        cx.out.say(&format!("  mesh context add {}", file.display()));
    }
    Ok(Exit::Done)
}

/// The root of the mesh of a context, when it is on this machine.
fn root(cx: &Cx, context: &Context, passphrase: &PassphraseArgs) -> Result<Issuer> {
    let local = LocalDir::new(&cx.dirs);
    if local.plan()?.is_some_and(|plan| plan.mesh == context.mesh) {
        let dir = local.root();
        return Issuer::load(&dir).map_err(|error| {
            Failure::new(Exit::Failed, "cannot open the development root")
                .at(dir.display().to_string())
                .why(sentence(&error))
        });
    }
    let sealed = RootDir::new(&cx.dirs, &context.mesh);
    if sealed.exists() {
        return sealed.open_or_make(&passphrase.from(cx), human::now()).map(|(root, _)| root);
    }
    Err(Failure::new(Exit::Authentication, format!("cannot issue a certificate of mesh {}", context.mesh))
        .why("its root is not on this machine")
        .next("the same command where the mesh was made"))
}

/// Signs a certificate for the key of a request, or for one that is made now.
fn sign(root: &Issuer, context: &Context, name: &ObjectName, csr: Option<&Path>) -> Result<(Access, Timestamp)> {
    let failed = |error: ca::CaError| Failure::new(Exit::Failed, "cannot make a certificate").why(sentence(&error));
    let id = Principal::operator(&context.mesh, name.clone());
    let (key, csr) = match csr {
        Some(file) => (None, read_request(file)?),
        None => ca::new_key_and_csr(&id.to_string()).map(|(key, csr)| (Some(key), csr)).map_err(failed)?,
    };
    let chain = root.sign_leaf(&csr, &id, ca::OPERATOR_LIFE, human::now()).map_err(failed)?;
    let expires = chain.first().map_or(Ok(Timestamp::default()), cert::not_after);
    let expires = expires.map_err(|why| Failure::new(Exit::Failed, "cannot make a certificate").why(why))?;
    let pems = [cert::write_pem(&chain), cert::write_pem(root.roots())];
    Ok((Access::new(context, name, key, pems), expires))
}

fn read_request(file: &Path) -> Result<Vec<u8>> {
    let refused = |why: String| {
        Failure::new(Exit::Invalid, "cannot use the certificate request")
            .at(file.display().to_string())
            .why(why)
            .next("mesh cert request NAME > FILE")
    };
    if std::fs::metadata(file).map_err(|error| refused(error.to_string()))?.len() > REQUEST_MAX {
        return Err(refused("it is too large for one".to_owned()));
    }
    cert::read_csr_pem(&std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?).map_err(refused)
}

/// The role somebody holds already.
async fn role_of(session: &Session, name: &ObjectName) -> Result<Option<OperatorRole>> {
    let found = write::list(session, Kind::Binding, &[]).await?;
    let spec = found.items.iter().find(|it| it.name == name.as_str());
    Ok(spec.and_then(|it| serde_json::from_slice::<BindingSpec>(&it.spec).ok()).map(|it| it.role))
}

async fn bind(session: &Session, args: &IssueArgs, role: OperatorRole) -> Result<()> {
    let how = How { dry_run: args.dry_run, reason: args.reason.clone() };
    let item = write::item(&args.name, &BindingSpec { role }, None);
    write::apply(session, &format!("cannot make {} {}", args.name, role.as_str()), vec![item], &how).await?;
    Ok(())
}
