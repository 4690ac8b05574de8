# The shape from a job's configuration, whatever else it asks for; options come before it, and -1 is what --world_size leaves.
. "$ROOT/tests/cli/titan-reshard/full.inc"
cat > job.toml <<'TOML'
[model]
name = "llama3"
flavor = "tiny.yaml"
converters = ["float8"]
[parallelism]
tensor_parallel_degree = 2
context_parallel_degree = 2
[compile]
enable = true
TOML
titan-reshard --quiet full out --job.config_file job.toml
titan-reshard --quiet full out --job.config_file job.toml --world_size 8
ls -A out; chunks out 'tok_embeddings.weight'
titan-reshard --quiet full out2 --job.config_file job.toml --world_size 6
titan-reshard --quiet full out2 --job.config_file job.toml --tensor_parallel_degree 1 --world_size 2 && ls -A out2
echo 'tensor_parallel_degree = 2' > bad.toml
titan-reshard full out3 --job.config_file bad.toml
titan-reshard full out3 --job.config_file job.toml --tensor_parallel_degree two
