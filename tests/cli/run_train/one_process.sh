# One process needs no MPI; what the variables and the arguments say arrives; every dead end is an error with the way out.
. "$ROOT/tests/cli/titan-train/tiny.inc"
cp "$ROOT/run_train.sh" .
mkdir bin
for tool in bash dirname; do ln -s "$(command -v $tool)" bin; done
run() { PATH=$PWD/bin "$@" 2>log; echo "exit $?"; plain <log | sed "s,$PWD,.,"; }
run ./run_train.sh "${flags[@]}"
ln -s "$(command -v titan-train)" bin
printf '[training]\nsteps = 2\n' >steps.toml
NGPU=1 CONFIG_FILE=steps.toml run ./run_train.sh "${flags[@]}" --job.print_config | grep -E '^exit|"(steps|config_file)": ("|2)|step:|completed' | sed "s,  loss.*,,"
mkdir -p away/configs/llama3 && cp run_train.sh away && cp steps.toml away/configs/llama3/debug_model.toml
run away/run_train.sh "${flags[@]}" --dry_run | tail -1
NGPU=two run ./run_train.sh
COMM_MODE=fake_backend NGPU=32 CONFIG_FILE=steps.toml run ./run_train.sh "${flags[@]}" --threads 2
