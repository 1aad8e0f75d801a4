#compdef moonfleet
# Completion of moonfleet's options and arguments for zsh.

if (( CURRENT > 2 )) && [[ $words[2] == check ]]; then
    _hosts
    return
fi

_arguments -s \
    '*-e[execute a statement]:statement:' \
    '*-l[require a module into a global]:module:' \
    '-i[prompt for lines after the script]' \
    '(-v --version)'{-v,--version}'[show the version]' \
    '-E[ignore environment variables]' \
    '-W[turn warnings on]' \
    '-j+[use n workers]:number of workers:' \
    '--hosts=[use the cores of these hosts]:host:_sequence _hosts' \
    '--plan=[how futures are resolved]:plan:(threads forks processes cluster sequential)' \
    '--seed=[make random streams repeatable]:integer:' \
    '--log=[trace lines]:area:_sequence compadd - future pool backend all' \
    '(- *)--help[show the options]' \
    '1:script:_files -g "*.lua(-.)"' \
    '*::argument:_files'
