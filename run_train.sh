#!/bin/bash
# run_train.sh [--section.key VALUE]...: titan-train under the environment variables of TorchTitan's script of this name.
#
#   NGPU=1 CONFIG_FILE=configs/llama3/demo.toml ./run_train.sh --training.steps 20
#
#   CONFIG_FILE  the settings (configs/llama3/debug_model.toml)
#   NGPU         how many processes, as ranks of one run under mpirun; 1 needs no MPI (1, where TorchTitan has 8)
#   LOG_RANK     the ranks whose log is shown, "0,1"; of the others only what went wrong (0)
#   COMM_MODE    what --comm.mode is to be: one process, which takes one step
#
# titan-train is that of build/bin beside this script or, where `make install` put it (share/titan), that of its bin; or else that of PATH.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
configs=$here/configs
[ -e "$configs" ] || configs=$here # installed
CONFIG_FILE=${CONFIG_FILE:-$configs/llama3/debug_model.toml}
NGPU=${NGPU:-1}
COMM_MODE=${COMM_MODE:-}
export NGPU LOG_RANK=${LOG_RANK:-0}

fail() {
	echo "run_train.sh: $*" >&2
	exit 1
}

train=$here/build/bin/titan-train
[ -x "$train" ] || train=$here/../../bin/titan-train
[ -x "$train" ] || train=$(command -v titan-train) || fail "no titan-train in $here/build/bin (\`make\` builds it) or in PATH"
[[ $NGPU =~ ^[1-9][0-9]*$ ]] || fail "NGPU: expected a number of processes, found '$NGPU'"

if [ -n "$COMM_MODE" ]; then
	exec "$train" --job.config_file "$CONFIG_FILE" "$@" "--comm.mode=$COMM_MODE" --training.steps=1
elif [ "$NGPU" -eq 1 ]; then
	exec "$train" --job.config_file "$CONFIG_FILE" "$@"
fi

command -v mpirun >/dev/null || fail "NGPU is $NGPU, and there is no mpirun in PATH to start them (Debian's package is openmpi-bin)"
# Each rank uses several threads, so Open MPI must not bind it to a core, nor count cores before it starts as many as it was told to.
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1
# mpirun's hwloc would ask ten X displays for their GPUs, each by a lookup of "localhost": seconds where nobody answers those.
export HWLOC_COMPONENTS=${HWLOC_COMPONENTS--gl}
# shellcheck disable=SC2016 # for the ranks to expand
exec mpirun -n "$NGPU" bash -c '
	case ,$LOG_RANK, in
	*,${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-0}}},*) exec "$@" ;;
	*) exec "$@" --quiet ;;
	esac' rank "$train" --job.config_file "$CONFIG_FILE" "$@"
