# Completion of moonfleet's options and arguments for fish.

set -l plans threads forks processes cluster sequential
complete -c moonfleet -s e -x -d 'Execute a statement'
complete -c moonfleet -s l -x -d 'Require a module into a global'
complete -c moonfleet -s i -d 'Prompt for lines after the script'
complete -c moonfleet -s v -l version -d 'Show the version'
complete -c moonfleet -s E -d 'Ignore environment variables'
complete -c moonfleet -s W -d 'Turn warnings on'
complete -c moonfleet -s j -x -d 'Use n workers'
complete -c moonfleet -l hosts -x -a '(__fish_print_hostnames)' -d 'Use the cores of these hosts'
complete -c moonfleet -l plan -x -a "$plans" -d 'How futures are resolved'
complete -c moonfleet -l seed -x -d 'Make random streams repeatable'
complete -c moonfleet -l log -x -a 'future pool backend all' -d 'Trace lines'
complete -c moonfleet -l help -d 'Show the options'
complete -c moonfleet -n __fish_is_first_token -a check -d 'Look whether hosts can be used'
complete -c moonfleet -n '__fish_seen_subcommand_from check' -x -a '(__fish_print_hostnames)'
