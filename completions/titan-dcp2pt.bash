# bash completion for titan-dcp2pt: made by 'titan-dcp2pt --help-completion=bash'
_titan-dcp2pt()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()
    case $prev in
    --help-completion) words=(bash zsh fish) ;;
    --threads) ;;
    *) words=(
        --threads
        --help
        --version
        --help-man
        --help-completion
    ) ;;
    esac
    COMPREPLY=()
    if [[ ${#words[@]} -gt 0 && ( $cur == -* || $prev == --* ) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
    fi
}
complete -o default -F _titan-dcp2pt titan-dcp2pt
