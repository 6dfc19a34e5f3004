# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mesh_global_optspecs
    string join \n c/context= endpoint= o/output= no-headers color= q/quiet v/verbose no-input y/yes timeout= h/help V/version
end

function __fish_mesh_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mesh_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mesh_using_subcommand
    set -l cmd (__fish_mesh_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mesh -n "__fish_mesh_needs_command" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_needs_command" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_needs_command" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_needs_command" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_needs_command" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_needs_command" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_needs_command" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_needs_command" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_needs_command" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_needs_command" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_needs_command" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "up" -d 'Starts a mesh on this machine, or one stopped node of it'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "down" -d 'Stops the mesh on this machine and removes it, or stops one node of it'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "bootstrap" -d 'Makes hosts into a mesh over SSH, as a hosts.yaml says; a second run changes only what differs'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "reset" -d 'Takes hosts out of their mesh and removes what was installed on them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "get" -d 'Lists objects of a kind with what is observed of them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "describe" -d 'Shows all that is known of one object'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "apply" -d 'Makes declared objects as a file says'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "diff" -d 'Shows what `apply` would change'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "delete" -d 'Deletes a declared object'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "cordon" -d 'Sends nothing new to nodes'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "uncordon" -d 'Takes nodes back into service'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "drain" -d 'Takes nodes out of service without losing a request'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "doctor" -d 'Looks for what is wrong, and says why and what to type next; exit 1 when something is'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "events" -d 'Shows what happened'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "logs" -d 'Shows what the daemons of nodes wrote'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "top" -d 'Shows the whole mesh live on one screen'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "strategy" -d 'Deploys the code that chooses where requests go'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "token" -d 'Makes, lists and revokes tokens with which hosts join'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "cert" -d 'Gives other people access to a mesh'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "cluster" -d 'Shows the coordinators: who leads, who votes, who is missing'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "playbook" -d 'Lists, shows, checks and runs playbooks'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "context" -d 'Lists the meshes this operator knows, and chooses one'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "init" -d 'Prints a hosts.yaml to begin with, or its schema'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "check" -d 'Checks hosts.yaml, and every host in it, without changing anything'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "explain" -d 'Tells what a kind, a field, a key of hosts.yaml or an error code means'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "completion" -d 'Prints the completion script of a shell'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "man" -d 'Prints the manual, or writes one page a command'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "version" -d 'Prints the version'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l engine -d 'A real engine in a stand-in\'s place: NODE=KIND,URL; kinds are vllm, llamacpp, standin' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l nodes -d 'How many nodes: three coordinators, a router, the rest GPU nodes' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l bundle -d 'A bundle with a manifest and its signature; without it the daemons beside mesh are taken' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand up" -l nvml-library -d 'NVIDIA\'s management library on the GPU nodes, where the loader does not find it by itself' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand up" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand up" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand up" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand up" -l dry-run -d 'Only prints the plan'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand up" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand up" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand down" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand down" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand down" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand down" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand down" -l keep -d 'Keeps the files: mesh up goes on where it was'
complete -c mesh -n "__fish_mesh_using_subcommand down" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand down" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand down" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l plan-out -d 'Keeps the plan of a dry run in a file' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l plan -d 'Carries out only this plan: refused when anything has changed since' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l resume -d 'Goes on with a run that was interrupted' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l limit -d 'Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l exclude -d 'Not these hosts' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l concurrency -d 'How many hosts are worked on at once' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l host-key-policy -d 'What happens when a host key is not known, in the place of the file\'s word' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l progress -d 'How progress is told, on stderr' -r -f -a "auto\t'Moving lines on a terminal, plain lines elsewhere'
plain\t'A line for each thing that happens'
json\t'A JSON object for each thing that happens'
none\t'Nothing'"
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l bundle -d 'A bundle with a manifest and its signature; without it the daemons beside mesh are taken' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l playbook -d 'Another playbook than the built-in one' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l root-passphrase-file -d 'A file whose first line opens the root of the mesh' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l root-passphrase-command -d 'A command that prints what opens the root of the mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l dry-run -d 'Only says what would change; nothing is changed on any host'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l detailed-exitcode -d 'With --dry-run: exits with 10 when something would change'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l only-failed -d 'Only the hosts that did not come to their end in the last run'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l list -d 'Lists the runs of this machine, of every command over hosts'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand bootstrap" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s f -l file -d 'The file in which the hosts are' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l resume -d 'Goes on with a run that was interrupted, or that some hosts did not come through, as it was asked for' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l playbook -d 'Another playbook than the built-in one' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l concurrency -d 'How many hosts are worked on at once' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l host-key-policy -d 'What happens when a host key is not known, in the place of the file\'s word' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l progress -d 'How progress is told, on stderr' -r -f -a "auto\t'Moving lines on a terminal, plain lines elsewhere'
plain\t'A line for each thing that happens'
json\t'A JSON object for each thing that happens'
none\t'Nothing'"
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l all -d 'Every host of the file: the mesh is no more'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l purge -d 'State and logs go too'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l force -d 'Also a coordinator, as long as the others keep a majority; also when the mesh cannot be asked'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l dry-run -d 'Only says what would be removed'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l only-failed -d 'Only the hosts that did not come to their end in the last reset, as it was asked for'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l list -d 'Lists the runs of this machine, of every command over hosts'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand reset" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s l -l selector -d 'Only nodes whose labels fit, like gpu=h100,zone!=b' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -l sort-by -d 'Sorts the table by the column of this title' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand get" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand get" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand get" -s w -l watch -d 'Goes on with every change until interrupted'
complete -c mesh -n "__fish_mesh_using_subcommand get" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand get" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand get" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand describe" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand describe" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand describe" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand describe" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s f -l file -d 'The manifest: YAML or JSON documents of {kind, name, spec}; - is stdin' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l reason -d 'Why, for the history' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l dry-run -d 'Only says what would change'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l wait -d 'Waits until every node has taken the change in'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l no-wait -d 'Returns when the change is agreed (the default)'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand apply" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s f -l file -d 'The manifest; - is stdin' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l detailed-exitcode -d 'Exits with 10 when something would change'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand diff" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l reason -d 'Why, for the history' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l dry-run -d 'Only says what would be deleted'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand delete" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l reason -d 'Why' -r
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l dry-run -d 'Only says what would change'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cordon" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l reason -d 'Why, for the history' -r
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l dry-run -d 'Only says what would change'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand uncordon" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l reason -d 'Why' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l deadline -d 'How long requests in flight may take; then the command ends with 8 and the node stays Draining' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l force -d 'Cuts requests in flight'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l wait -d 'Waits until the nodes are drained (the default)'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l no-wait -d 'Returns when the drain is agreed'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l dry-run -d 'Only says what would change'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -a "status" -d 'Shows nodes that are out of service and what blocks their drains'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -a "cancel" -d 'Ends drains: the nodes are in service again'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and not __fish_seen_subcommand_from status cancel help" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from cancel" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows nodes that are out of service and what blocks their drains'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'Ends drains: the nodes are in service again'
complete -c mesh -n "__fish_mesh_using_subcommand drain; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand events" -l after -d 'Only events after this number' -r
complete -c mesh -n "__fish_mesh_using_subcommand events" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand events" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand events" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand events" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand events" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand events" -s f -l follow -d 'Goes on with what happens next until interrupted'
complete -c mesh -n "__fish_mesh_using_subcommand events" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand events" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand events" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand events" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand events" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand events" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s l -l selector -d 'Only nodes whose labels fit, like gpu=h100,zone!=b' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s u -l unit -d 'Only the logs of this daemon; may be given again' -r -f -a "agentd\t'The agent'
routerd\t'The router'
engine\t'The engine of a local mesh'
supervisor\t'What keeps the others running where there is no systemd'"
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l since -d 'Only what was written since then: 10m ago, or a time like 2026-11-21T09:52:03Z' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s n -l lines -d 'At most so many of the newest lines of each node [default: 200, with --since 10000]' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l level -d 'Only lines of this level and worse ones' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l grep -d 'Only lines that hold this text' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s f -l follow -d 'Goes on with what is written next until interrupted'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand logs" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand top" -l demo -d 'Shows a simulated fleet of this many nodes; no mesh is asked' -r
complete -c mesh -n "__fish_mesh_using_subcommand top" -l interval -d 'The shortest time between two frames that only new data asks for' -r
complete -c mesh -n "__fish_mesh_using_subcommand top" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand top" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand top" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand top" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand top" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand top" -l once -d 'Prints one frame once the mesh has answered, and ends'
complete -c mesh -n "__fish_mesh_using_subcommand top" -l json -d 'Prints what a frame shows as one JSON object, and ends; the same as -o json'
complete -c mesh -n "__fish_mesh_using_subcommand top" -l read-only -d 'Leaves out every key that changes something'
complete -c mesh -n "__fish_mesh_using_subcommand top" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand top" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand top" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand top" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand top" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand top" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -f -a "deploy" -d 'Checks a .wasm, sends it to the mesh and has every router decide with it'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -f -a "ls" -d 'Lists strategies and which of them decides'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -f -a "status" -d 'Shows what every router decides with'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -f -a "rollback" -d 'Brings back what decided before'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and not __fish_seen_subcommand_from deploy ls status rollback help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l name -d 'Its name; default: the name it states itself' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l signature -d 'A file with the Ed25519 signature over its SHA-256, 128 hex digits; default: FILE.sig when it is there' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l now -d 'Swaps on all traffic at once; today this is always so'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l dry-run -d 'Only checks the file'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l no-wait -d 'Returns when the change is agreed'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from deploy" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l no-wait -d 'Returns when the change is agreed'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from help" -f -a "deploy" -d 'Checks a .wasm, sends it to the mesh and has every router decide with it'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Lists strategies and which of them decides'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows what every router decides with'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Brings back what decided before'
complete -c mesh -n "__fish_mesh_using_subcommand strategy; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -f -a "create" -d 'Makes a token and prints it: the only time it can be read'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -f -a "ls" -d 'Lists tokens; their secrets are kept nowhere'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -f -a "revoke" -d 'Makes a token worthless'
complete -c mesh -n "__fish_mesh_using_subcommand token; and not __fish_seen_subcommand_from create ls revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l nodes -d 'The node that may use it: a name, or a prefix that ends in *' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l role -d 'A role of a node that joins with it' -r -f -a "router\t''
gpu\t''
trainer\t''
edge\t''"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l ttl -d 'How long it can be used' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l uses -d 'How often it can be used' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "create" -d 'Makes a token and prints it: the only time it can be read'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Lists tokens; their secrets are kept nowhere'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Makes a token worthless'
complete -c mesh -n "__fish_mesh_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -f -a "issue" -d 'Gives a person access: a certificate, a role, and a file for `mesh context add`'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -f -a "request" -d 'Makes a key here and prints a request for its certificate, so that the key never travels'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and not __fish_seen_subcommand_from issue request help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l role -d 'What the person may do; a role held already is kept unless given' -r -f -a "viewer\t'Looks, and changes nothing'
operator\t'The daily work: cordon, drain, apply, deploy'
admin\t'Everything, people and tokens included'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l csr -d 'A request from `mesh cert request`, instead of a key made here' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l out -d 'Where the access is written, mode 0600; MESH.NAME.access unless given' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l root-passphrase-file -d 'A file whose first line opens the root of the mesh' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l root-passphrase-command -d 'A command that prints what opens the root of the mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l reason -d 'Why, for the history' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l dry-run -d 'Only says what would be done'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from issue" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from request" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "issue" -d 'Gives a person access: a certificate, a role, and a file for `mesh context add`'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "request" -d 'Makes a key here and prints a request for its certificate, so that the key never travels'
complete -c mesh -n "__fish_mesh_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -f -a "status" -d 'Shows who leads, who votes and who is missing; exit 5 without quorum'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and not __fish_seen_subcommand_from status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows who leads, who votes and who is missing; exit 5 without quorum'
complete -c mesh -n "__fish_mesh_using_subcommand cluster; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -f -a "ls" -d 'Lists the playbooks that are part of mesh'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -f -a "show" -d 'Shows the steps of a playbook, or its text with -o yaml'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -f -a "lint" -d 'Checks playbooks: unknown modules, keys, handlers and variables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -f -a "run" -d 'Makes the steps of a playbook true on hosts'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and not __fish_seen_subcommand_from ls show lint run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from lint" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l local -d 'Runs on this machine, with everything below a directory (/ for the machine itself)' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s f -l file -d 'Runs on the hosts of this file, over SSH' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l limit -d 'Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l exclude -d 'Not these hosts' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l resume -d 'Goes on with a run that was interrupted, or that some hosts did not come through, as it was asked for' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l concurrency -d 'How many hosts are worked on at once' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l host-key-policy -d 'What happens when a host key is not known, in the place of the file\'s word' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l progress -d 'How progress is told, on stderr' -r -f -a "auto\t'Moving lines on a terminal, plain lines elsewhere'
plain\t'A line for each thing that happens'
json\t'A JSON object for each thing that happens'
none\t'Nothing'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l var -d 'Gives a variable a value: JSON, or else a text' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l secret -d 'Gives a secret the content of a file' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l tags -d 'Runs only steps with one of these tags' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l start-at -d 'Begins at this step' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l bundle -d 'Takes the binaries from this bundle instead of those beside mesh' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l only-failed -d 'Only the hosts that did not come to their end in the last run of this playbook'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l list -d 'Lists the runs of this machine, of every command over hosts'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l check -l dry-run -d 'Only looks, and says what would change'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l diff -d 'Shows the lines of texts that change'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l detailed-exitcode -d 'Ends with code 10 when --check finds something to change'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Lists the playbooks that are part of mesh'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows the steps of a playbook, or its text with -o yaml'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from help" -f -a "lint" -d 'Checks playbooks: unknown modules, keys, handlers and variables'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from help" -f -a "run" -d 'Makes the steps of a playbook true on hosts'
complete -c mesh -n "__fish_mesh_using_subcommand playbook; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -f -a "add" -d 'Takes in the file with which `mesh cert issue` gives access to a mesh'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use add help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from use" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l name -d 'What to call the mesh here; its own name unless given' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "add" -d 'Takes in the file with which `mesh cert issue` gives access to a mesh'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand init" -l mesh -d 'The name of the mesh' -r
complete -c mesh -n "__fish_mesh_using_subcommand init" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand init" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand init" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand init" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand init" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand init" -l schema -d 'Prints the JSON Schema of hosts.yaml instead, for editors'
complete -c mesh -n "__fish_mesh_using_subcommand init" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand init" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand init" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand init" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand init" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand init" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand check" -l limit -d 'Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l exclude -d 'Not these hosts' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l concurrency -d 'How many hosts are worked on at once' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l host-key-policy -d 'What happens when a host key is not known, in the place of the file\'s word' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l progress -d 'How progress is told, on stderr' -r -f -a "auto\t'Moving lines on a terminal, plain lines elsewhere'
plain\t'A line for each thing that happens'
json\t'A JSON object for each thing that happens'
none\t'Nothing'"
complete -c mesh -n "__fish_mesh_using_subcommand check" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand check" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand check" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand check" -l offline -d 'Only the file: no host is connected to'
complete -c mesh -n "__fish_mesh_using_subcommand check" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand check" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand check" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand explain" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand explain" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand explain" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand explain" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand explain" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand completion" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand completion" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand completion" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand completion" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand completion" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand man" -l dir -d 'Writes one page a command into this directory' -r -F
complete -c mesh -n "__fish_mesh_using_subcommand man" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand man" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand man" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand man" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand man" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand man" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand man" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand man" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand man" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand man" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand man" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand version" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand version" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand version" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand version" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand version" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand version" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand version" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "up" -d 'Starts a mesh on this machine, or one stopped node of it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "down" -d 'Stops the mesh on this machine and removes it, or stops one node of it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "bootstrap" -d 'Makes hosts into a mesh over SSH, as a hosts.yaml says; a second run changes only what differs'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "reset" -d 'Takes hosts out of their mesh and removes what was installed on them'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "get" -d 'Lists objects of a kind with what is observed of them'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "describe" -d 'Shows all that is known of one object'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "apply" -d 'Makes declared objects as a file says'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "diff" -d 'Shows what `apply` would change'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "delete" -d 'Deletes a declared object'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "cordon" -d 'Sends nothing new to nodes'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "uncordon" -d 'Takes nodes back into service'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "drain" -d 'Takes nodes out of service without losing a request'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "doctor" -d 'Looks for what is wrong, and says why and what to type next; exit 1 when something is'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "events" -d 'Shows what happened'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "logs" -d 'Shows what the daemons of nodes wrote'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "top" -d 'Shows the whole mesh live on one screen'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "strategy" -d 'Deploys the code that chooses where requests go'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "token" -d 'Makes, lists and revokes tokens with which hosts join'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "cert" -d 'Gives other people access to a mesh'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "cluster" -d 'Shows the coordinators: who leads, who votes, who is missing'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "playbook" -d 'Lists, shows, checks and runs playbooks'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "context" -d 'Lists the meshes this operator knows, and chooses one'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "init" -d 'Prints a hosts.yaml to begin with, or its schema'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "check" -d 'Checks hosts.yaml, and every host in it, without changing anything'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "explain" -d 'Tells what a kind, a field, a key of hosts.yaml or an error code means'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "completion" -d 'Prints the completion script of a shell'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "man" -d 'Prints the manual, or writes one page a command'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "version" -d 'Prints the version'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down bootstrap reset get describe apply diff delete cordon uncordon drain doctor events logs top strategy token cert cluster playbook context init check explain completion man version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from drain" -f -a "status" -d 'Shows nodes that are out of service and what blocks their drains'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from drain" -f -a "cancel" -d 'Ends drains: the nodes are in service again'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "deploy" -d 'Checks a .wasm, sends it to the mesh and has every router decide with it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "ls" -d 'Lists strategies and which of them decides'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "status" -d 'Shows what every router decides with'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "rollback" -d 'Brings back what decided before'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "create" -d 'Makes a token and prints it: the only time it can be read'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "ls" -d 'Lists tokens; their secrets are kept nowhere'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Makes a token worthless'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "issue" -d 'Gives a person access: a certificate, a role, and a file for `mesh context add`'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "request" -d 'Makes a key here and prints a request for its certificate, so that the key never travels'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from cluster" -f -a "status" -d 'Shows who leads, who votes and who is missing; exit 5 without quorum'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from playbook" -f -a "ls" -d 'Lists the playbooks that are part of mesh'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from playbook" -f -a "show" -d 'Shows the steps of a playbook, or its text with -o yaml'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from playbook" -f -a "lint" -d 'Checks playbooks: unknown modules, keys, handlers and variables'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from playbook" -f -a "run" -d 'Makes the steps of a playbook true on hosts'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "add" -d 'Takes in the file with which `mesh cert issue` gives access to a mesh'
