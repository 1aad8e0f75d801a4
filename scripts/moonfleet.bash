# Completion of moonfleet's options and arguments for bash.

_moonfleet_plans='threads forks processes cluster sequential'

_moonfleet() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
    -e | -l | -j | --seed) return ;;
    --plan)
        mapfile -t COMPREPLY < <(compgen -W "$_moonfleet_plans" -- "$word")
        return
        ;;
    --log)
        mapfile -t COMPREPLY < <(compgen -W "future pool backend all" -- "$word")
        return
        ;;
    --hosts)
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
        return
        ;;
    esac
    if [ "${COMP_WORDS[1]}" = check ] && [ "$COMP_CWORD" -gt 1 ]; then
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W \
            "-e -i -l -v -E -W -j --plan --hosts --seed --log --help --version --" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -X '!*.lua' -- "$word"; compgen -d -- "$word")
        [ "$COMP_CWORD" -ne 1 ] || [[ check != "$word"* ]] || COMPREPLY+=(check)
    fi
}

complete -o filenames -F _moonfleet moonfleet
