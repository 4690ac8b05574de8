# bash completion for titan-dcp2pt: made by 'titan-dcp2pt --help-completion=bash'
_titan-dcp2pt()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()
    case $prev in
    --format) words=(pt safetensors) ;;
    --progress) words=(auto json none) ;;
    --help-man) words=(options settings) ;;
    --help-completion) words=(bash zsh fish) ;;
    --prefix | \
        --strip_prefix | \
        --include | \
        --exclude | \
        --dtype | \
        --export_dtype | \
        --threads | \
        --max_memory) ;;
    *) words=(
        --reverse
        --format
        --flat
        --prefix
        --strip_prefix
        --include
        --exclude
        --dtype
        --export_dtype
        --threads
        --max_memory
        --force
        --dry_run
        --strict
        --quiet
        --progress
        --verify
        --no_verify
        --allow_objects
        --allow_expand
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
