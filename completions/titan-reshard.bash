# bash completion for titan-reshard: made by 'titan-reshard --help-completion=bash'
_titan-reshard()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()
    case $prev in
    --progress) words=(auto json none) ;;
    --help-man) words=(options settings) ;;
    --help-completion) words=(bash zsh fish) ;;
    --data_parallel_replicate_degree | \
        --parallelism.data_parallel_replicate_degree | \
        --data_parallel_shard_degree | \
        --parallelism.data_parallel_shard_degree | \
        --tensor_parallel_degree | \
        --parallelism.tensor_parallel_degree | \
        --pipeline_parallel_degree | \
        --parallelism.pipeline_parallel_degree | \
        --context_parallel_degree | \
        --parallelism.context_parallel_degree | \
        --expert_parallel_degree | \
        --parallelism.expert_parallel_degree | \
        --expert_tensor_parallel_degree | \
        --parallelism.expert_tensor_parallel_degree | \
        --pipeline_parallel_schedule | \
        --parallelism.pipeline_parallel_schedule | \
        --pipeline_parallel_layers_per_stage | \
        --parallelism.pipeline_parallel_layers_per_stage | \
        --pipeline_parallel_first_stage_less_layers | \
        --parallelism.pipeline_parallel_first_stage_less_layers | \
        --pipeline_parallel_last_stage_less_layers | \
        --parallelism.pipeline_parallel_last_stage_less_layers | \
        --module_fqns_per_model_part | \
        --parallelism.module_fqns_per_model_part | \
        --model_name | \
        --model.name | \
        --model_flavor | \
        --model.flavor | \
        --config_file | \
        --job.config_file | \
        --world_size | \
        --like | \
        --rename | \
        --weights | \
        --include | \
        --exclude | \
        --dtype | \
        --export_dtype | \
        --threads | \
        --max_memory) ;;
    *) words=(
        --data_parallel_replicate_degree
        --parallelism.data_parallel_replicate_degree
        --data_parallel_shard_degree
        --parallelism.data_parallel_shard_degree
        --tensor_parallel_degree
        --parallelism.tensor_parallel_degree
        --pipeline_parallel_degree
        --parallelism.pipeline_parallel_degree
        --context_parallel_degree
        --parallelism.context_parallel_degree
        --expert_parallel_degree
        --parallelism.expert_parallel_degree
        --expert_tensor_parallel_degree
        --parallelism.expert_tensor_parallel_degree
        --pipeline_parallel_schedule
        --parallelism.pipeline_parallel_schedule
        --pipeline_parallel_layers_per_stage
        --parallelism.pipeline_parallel_layers_per_stage
        --pipeline_parallel_first_stage_less_layers
        --parallelism.pipeline_parallel_first_stage_less_layers
        --pipeline_parallel_last_stage_less_layers
        --parallelism.pipeline_parallel_last_stage_less_layers
        --module_fqns_per_model_part
        --parallelism.module_fqns_per_model_part
        --model_name
        --model.name
        --model_flavor
        --model.flavor
        --config_file
        --job.config_file
        --world_size
        --like
        --single
        --model_only
        --rename
        --average
        --weights
        --zstd
        --hard_link
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
complete -o default -F _titan-reshard titan-reshard
