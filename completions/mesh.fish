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
complete -c mesh -n "__fish_mesh_needs_command" -f -a "get" -d 'Lists objects of a kind with what is observed of them'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "describe" -d 'Shows all that is known of one object'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "apply" -d 'Makes declared objects as a file says'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "diff" -d 'Shows what `apply` would change'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "delete" -d 'Deletes a declared object'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "cordon" -d 'Sends nothing new to nodes'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "uncordon" -d 'Takes nodes back into service'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "drain" -d 'Takes nodes out of service without losing a request'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "events" -d 'Shows what happened'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "top" -d 'Shows the whole mesh live on one screen'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "strategy" -d 'Deploys the code that chooses where requests go'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "token" -d 'Makes, lists and revokes tokens with which hosts join'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "cluster" -d 'Shows the coordinators: who leads, who votes, who is missing'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "context" -d 'Lists the meshes this operator knows, and chooses one'
complete -c mesh -n "__fish_mesh_needs_command" -f -a "init" -d 'Prints a hosts.yaml to begin with, or its schema'
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
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s c -l context -d 'The context to use: a name from `mesh context ls`' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -l endpoint -d 'The only agent to ask: NODE, IP:PORT of the context, or NODE=IP:PORT' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s o -l output -d 'How results are written' -r -f -a "table\t'Aligned columns for people'
wide\t'The same with more columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'One YAML document'
name\t'Only names, as KIND/NAME'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -l color -d 'When output is coloured' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -l timeout -d 'How long the command may take, like 30s or 5m' -r
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -l no-headers -d 'Leaves out the titles of tables'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s q -l quiet -d 'Says only results and errors'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s v -l verbose -d 'Says more: -v what is done, -vv what the wire does'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -l no-input -d 'Never asks: what needs an answer fails with code 9'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s y -l yes -d 'Answers yes to every question'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -s V -l version -d 'Print version'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
complete -c mesh -n "__fish_mesh_using_subcommand context; and not __fish_seen_subcommand_from ls use help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
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
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "up" -d 'Starts a mesh on this machine, or one stopped node of it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "down" -d 'Stops the mesh on this machine and removes it, or stops one node of it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "get" -d 'Lists objects of a kind with what is observed of them'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "describe" -d 'Shows all that is known of one object'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "apply" -d 'Makes declared objects as a file says'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "diff" -d 'Shows what `apply` would change'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "delete" -d 'Deletes a declared object'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "cordon" -d 'Sends nothing new to nodes'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "uncordon" -d 'Takes nodes back into service'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "drain" -d 'Takes nodes out of service without losing a request'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "events" -d 'Shows what happened'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "top" -d 'Shows the whole mesh live on one screen'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "strategy" -d 'Deploys the code that chooses where requests go'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "token" -d 'Makes, lists and revokes tokens with which hosts join'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "cluster" -d 'Shows the coordinators: who leads, who votes, who is missing'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "context" -d 'Lists the meshes this operator knows, and chooses one'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "init" -d 'Prints a hosts.yaml to begin with, or its schema'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "explain" -d 'Tells what a kind, a field, a key of hosts.yaml or an error code means'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "completion" -d 'Prints the completion script of a shell'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "man" -d 'Prints the manual, or writes one page a command'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "version" -d 'Prints the version'
complete -c mesh -n "__fish_mesh_using_subcommand help; and not __fish_seen_subcommand_from up down get describe apply diff delete cordon uncordon drain events top strategy token cluster context init explain completion man version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from drain" -f -a "status" -d 'Shows nodes that are out of service and what blocks their drains'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from drain" -f -a "cancel" -d 'Ends drains: the nodes are in service again'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "deploy" -d 'Checks a .wasm, sends it to the mesh and has every router decide with it'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "ls" -d 'Lists strategies and which of them decides'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "status" -d 'Shows what every router decides with'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from strategy" -f -a "rollback" -d 'Brings back what decided before'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "create" -d 'Makes a token and prints it: the only time it can be read'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "ls" -d 'Lists tokens; their secrets are kept nowhere'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Makes a token worthless'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from cluster" -f -a "status" -d 'Shows who leads, who votes and who is missing; exit 5 without quorum'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "ls" -d 'Lists the contexts; the one in use has a star'
complete -c mesh -n "__fish_mesh_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "use" -d 'Chooses the context that is used when none is named and no local mesh runs'
