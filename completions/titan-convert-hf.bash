# bash completion for titan-convert-hf: made by 'titan-convert-hf --help-completion=bash'
_titan-convert-hf()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()
    case $prev in
    --progress) words=(auto json none) ;;
    --help-man) words=(options settings) ;;
    --help-completion) words=(bash zsh fish) ;;
    --model_name | \
        --model_flavor | \
        --hf_assets_path | \
        --max_shard_size | \
        --include | \
        --exclude | \
        --dtype | \
        --export_dtype | \
        --threads | \
        --max_memory) ;;
    *) words=(
        --model_name
        --model_flavor
        --hf_assets_path
        --max_shard_size
        --allow_unused
        --tt_names
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
complete -o default -F _titan-convert-hf titan-convert-hf
