//! The argument tree: what exists today, nothing else.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::{
    cmd::{
        apply::{ApplyArgs, DeleteArgs, DiffArgs},
        bootstrap::BootstrapArgs,
        cert::CertCommand,
        check::CheckArgs,
        cluster::ClusterCommand,
        completion::CompletionArgs,
        context::ContextCommand,
        cordon::{CordonArgs, UncordonArgs},
        down::DownArgs,
        drain::DrainArgs,
        events::EventsArgs,
        explain::ExplainArgs,
        get::{DescribeArgs, GetArgs},
        init::InitArgs,
        logs::LogsArgs,
        man::ManArgs,
        playbook::PlaybookCommand,
        reset::ResetArgs,
        strategy::StrategyCommand,
        token::TokenCommand,
        top::TopArgs,
        up::UpArgs,
    },
    exit::Exit,
    human::parse_duration,
    output::{Color, Format},
};

/// Runs a fleet of GPU hosts for AI serving from one terminal.
#[derive(Debug, Parser)]
#[command(name = "mesh", version, propagate_version = true, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = Exit::manual())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The context to use: a name from `mesh context ls`
    #[arg(
        long,
        short = 'c',
        global = true,
        env = "MESH_CONTEXT",
        hide_env_values = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub(crate) context: Option<String>,
    /// The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT
    #[arg(
        long,
        global = true,
        env = "MESH_ENDPOINT",
        hide_env_values = true,
        value_name = "ENDPOINT",
        help_heading = "Global options"
    )]
    pub(crate) endpoint: Option<String>,
    /// How results are written
    #[arg(
        long,
        short,
        global = true,
        env = "MESH_OUTPUT",
        hide_env_values = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub(crate) output: Format,
    /// Leaves out the titles of tables
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_headers: bool,
    /// When output is coloured
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub(crate) color: Color,
    /// Says only results and errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Says more: -v what is done, -vv what the wire does
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Never asks: what needs an answer fails with code 9
    #[arg(long, global = true, env = "MESH_NO_INPUT", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Global options")]
    pub(crate) no_input: bool,
    /// Answers yes to every question
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
    /// How long the command may take, like 30s or 5m
    #[arg(long, global = true, env = "MESH_TIMEOUT", hide_env_values = true, value_parser = parse_duration, value_name = "DURATION", help_heading = "Global options")]
    pub(crate) timeout: Option<Duration>,
}

/// What `mesh` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a mesh on this machine, or one stopped node of it
    Up(UpArgs),
    /// Stops the mesh on this machine and removes it, or stops one node of it
    Down(DownArgs),
    /// Makes hosts into a mesh over SSH, as a hosts.yaml says; a second run changes only what differs
    Bootstrap(Box<BootstrapArgs>),
    /// Takes hosts out of their mesh and removes what was installed on them
    Reset(ResetArgs),
    /// Lists objects of a kind with what is observed of them
    Get(GetArgs),
    /// Shows all that is known of one object
    Describe(DescribeArgs),
    /// Makes declared objects as a file says
    Apply(ApplyArgs),
    /// Shows what `apply` would change
    Diff(DiffArgs),
    /// Deletes a declared object
    Delete(DeleteArgs),
    /// Sends nothing new to nodes
    Cordon(CordonArgs),
    /// Takes nodes back into service
    Uncordon(UncordonArgs),
    /// Takes nodes out of service without losing a request
    Drain(DrainArgs),
    /// Looks for what is wrong, and says why and what to type next; exit 1 when something is
    Doctor,
    /// Shows what happened
    Events(EventsArgs),
    /// Shows what the daemons of nodes wrote
    Logs(LogsArgs),
    /// Shows the whole mesh live on one screen
    Top(TopArgs),
    /// Deploys the code that chooses where requests go
    #[command(subcommand)]
    Strategy(StrategyCommand),
    /// Makes, lists and revokes tokens with which hosts join
    #[command(subcommand)]
    Token(TokenCommand),
    /// Gives other people access to a mesh
    #[command(subcommand)]
    Cert(CertCommand),
    /// Shows the coordinators: who leads, who votes, who is missing
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Lists, shows, checks and runs playbooks
    #[command(subcommand)]
    Playbook(PlaybookCommand),
    /// Lists the meshes this operator knows, and chooses one
    #[command(subcommand)]
    Context(ContextCommand),
    /// Prints a hosts.yaml to begin with, or its schema
    Init(InitArgs),
    /// Checks hosts.yaml, and every host in it, without changing anything
    Check(CheckArgs),
    /// Tells what a kind, a field, a key of hosts.yaml or an error code means
    Explain(ExplainArgs),
    /// Prints the completion script of a shell
    Completion(CompletionArgs),
    /// Prints the manual, or writes one page a command
    Man(ManArgs),
    /// Prints the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    fn check(line: &str, legal: bool) {
        match parse(line) {
            Ok(_) => assert!(legal, "{line} was accepted"),
            Err(error) => assert!(!legal, "{line}: {error}"),
        }
    }

    #[test]
    fn commands_parse_as_people_type_them() {
        check("mesh up -o json", true);
        check("mesh up --engine node-5=llamacpp,http://127.0.0.1:9000", true);
        check("mesh up --engine node-5", false);
        check("mesh up node-7", true);
        check("mesh down node-7", true);
        check("mesh down --keep", true);
        check("mesh get nodes", true);
        check("mesh get nodes node-7 -o yaml", true);
        check("mesh get pods", false);
        check("mesh get nodes -l gpu=h100 --sort-by name --no-headers", true);
        check("mesh drain node-7", true);
        check("mesh drain node-6 node-7 --deadline 5m --reason disk --force --no-wait", true);
        check("mesh drain status node-7", true);
        check("mesh drain cancel node-7", true);
        check("mesh drain", false);
        check("mesh cordon node-7 --reason disk", true);
        check("mesh cordon", false);
        check("mesh uncordon node-7", true);
        check("mesh apply -f pool.yaml --wait", true);
        check("mesh apply", false);
        check("mesh delete node node-7 --yes", true);
        check("mesh strategy deploy hybrid.wasm --now", true);
        check("mesh strategy rollback", true);
        check("mesh token create --role gpu --ttl 15m", true);
        check("mesh cert issue bob --role viewer", true);
        check("mesh cert issue bob --role root", false);
        check("mesh cert request bob", true);
        check("mesh context add bob.access --name prod", true);
        check("mesh events -f", true);
        check("mesh logs node-4 -u routerd -f --since 10m --lines 50 --level warn --grep drain -o json", true);
        check("mesh logs -l zone=a", true);
        check("mesh logs", false);
        check("mesh logs node-4 -u ../etc/passwd", false);
        check("mesh logs node-4 --lines 10001", false);
        check("mesh logs node-4 --since yesterday", false);
        check("mesh doctor -o json", true);
        check("mesh cluster status", true);
        check("mesh init ada@gpu-[1-3] --mesh lab", true);
        check("mesh init --schema gpu-1", false);
        check("mesh explain hosts.ssh.jump", true);
        check("mesh check hosts.yaml --offline", true);
        check("mesh check", false);
        check("mesh completion bash", true);
        check("mesh top", true);
        check("mesh top --demo 1250 --once", true);
        check("mesh top --demo 0", false);
        check("mesh top --interval 1s --read-only", true);
        check("mesh top --interval 1ms", false);
        check("mesh", false);
    }

    #[test]
    fn commands_over_hosts_parse_as_people_type_them() {
        check("mesh bootstrap hosts.yaml --dry-run --detailed-exitcode", true);
        check("mesh bootstrap hosts.yaml --detailed-exitcode", false);
        check("mesh bootstrap --resume 20261121T133500-3fa2", true);
        check("mesh bootstrap --list", true);
        check("mesh bootstrap", false);
        check("mesh reset gpu-7 -f hosts.yaml", true);
        check("mesh reset --all -f hosts.yaml --purge --yes", true);
        check("mesh reset -f hosts.yaml", false);
        check("mesh reset --resume 20261121T133500-3fa2 --yes", true);
        check("mesh reset --resume 20261121T133500-3fa2 --purge", false);
        check("mesh reset --only-failed -f hosts.yaml", true);
        check("mesh reset --only-failed", false);
        check("mesh reset --list", true);
        check("mesh playbook run bootstrap --local /tmp/x --check --diff --var mesh=lab", true);
        check("mesh playbook run x.yaml -f hosts.yaml --limit gpu-* --check --diff --concurrency 4 -o json", true);
        check("mesh playbook run x.yaml -f hosts.yaml --local /", false);
        check("mesh playbook run x.yaml --local / --limit gpu-1", false);
        check("mesh playbook run bootstrap", false);
        check("mesh playbook run --resume 20261121T133500-3fa2 --diff", true);
        check("mesh playbook run x.yaml --resume 20261121T133500-3fa2", false);
        check("mesh playbook run x.yaml -f hosts.yaml --only-failed", true);
        check("mesh playbook run x.yaml --local / --only-failed", false);
        check("mesh playbook run --list", true);
        check("mesh playbook lint", false);
    }

    #[test]
    fn help_is_as_it_was() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!("help", command.render_long_help());
        let drain = command.find_subcommand_mut("drain").unwrap();
        insta::assert_snapshot!("help-drain", drain.render_long_help());
    }
}
