# bash completion for titan-ckpt-inspect: made by 'titan-ckpt-inspect --help-completion=bash'
_titan-ckpt-inspect()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()
    case $prev in
    --progress) words=(auto json none) ;;
    --help-man) words=(options settings) ;;
    --help-completion) words=(bash zsh fish) ;;
    --values | \
        --manifest | \
        --manifest_check | \
        --atol | \
        --rtol | \
        --model_name | \
        --model_flavor | \
        --include | \
        --exclude | \
        --threads) ;;
    *) words=(
        --json
        --chunks
        --tree
        --layout
        --stats
        --verify
        --values
        --manifest
        --manifest_check
        --diff
        --atol
        --rtol
        --model_name
        --model_flavor
        --include
        --exclude
        --threads
        --quiet
        --progress
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
complete -o default -F _titan-ckpt-inspect titan-ckpt-inspect
