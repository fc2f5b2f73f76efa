#compdef %(prog_name)s
%(complete_func)s() {
    local line type value help
    local -a with_help plain
    line="${(j: :)words[1,CURRENT-1]} $PREFIX"
    # What is completed is the value alone.
    compset -P '--[a-z-]#='
    while IFS=$'\t' read -r type value help; do
        case $type in
            file)
                # FORMAT=FILE
                [[ $PREFIX == *=$value ]] && compset -P '*='
                _files
                ;;
            dir) _files -/ ;;
            command) _command_names -e ;;
            plain)
                if [[ -n $help ]]; then
                    with_help+=("${value//:/\\:}:$help")
                else
                    plain+=("$value")
                fi
                ;;
        esac
    done < <(COMP_LINE="$line" %(complete_var)s=zsh_complete "$words[1]" 2>/dev/null)
    (( $#with_help )) && _describe -V 'completions' with_help
    (( $#plain )) && compadd -V 'completions' -a plain
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
