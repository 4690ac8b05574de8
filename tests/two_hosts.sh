#!/bin/bash
# two_hosts.sh: four ranks on two hosts: two network namespaces joined by a pair of veth, each with a host name of its own (else Open MPI
# would share memory), and a script in the place of ssh. The losses are those of one host to the last bit, each resumes from the other's
# checkpoint. Where a rank is killed all ranks of both end within comm.train_timeout_seconds; where the link between the hosts is cut, which
# closes no connection, the timeout has to pass first: they end within 3 s of it, for an operation is looked at every eighth of the timeout,
# each rank then waits a second for the others' records, and the rest is for a busy machine.
# SKIP where one is not root, or has no network namespaces or veth; ip (iproute2) is needed. BIN: as elsewhere.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
ROOT=$PWD BIN=$PWD/${BIN:-build/bin} timeout=4
skip() {
	echo "SKIP: two hosts: $*"
	echo "0 passed, 0 failed"
	exit 0
}
broken() {
	echo "FAILED: two hosts: $*"
	echo "0 passed, 1 failed"
	exit 1
}
[ "$(id -u)" -eq 0 ] || skip "only root makes network namespaces"
for program in ip unshare nsenter hostname; do command -v $program >/dev/null || broken "there is no $program"; done
unshare --net --uts true 2>/dev/null || skip "this machine lets nobody make network namespaces"
unshare --net ip link add veth0 type veth peer name veth1 2>/dev/null || skip "this machine makes no veth in a network namespace"
# shellcheck source=tests/cli/comm/mpi.inc
. tests/cli/comm/mpi.inc

dir=$(mktemp -d) hosts=()
trap 'kill "${hosts[@]}" 2>/dev/null; rm -rf "$dir"' EXIT
for h in 0 1; do
	unshare --net --uts sleep 1000000 &
	hosts+=($!)
	until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && [ "$(readlink /proc/$!/ns/uts)" != "$(readlink /proc/$$/ns/uts)" ]; do sleep 0.05; done
done
on() { local h=$1; shift; nsenter --target "${hosts[h]}" --net --uts "$@"; }
ip link add titan0 netns "${hosts[0]}" type veth peer name titan1 netns "${hosts[1]}" 2>"$dir/log" || broken "$(cat "$dir/log")"
for h in 0 1; do
	on $h hostname titan-host$h
	on $h ip addr add 10.77.77.$((h + 1))/24 dev titan$h
	on $h ip link set lo up
	on $h ip link set titan$h up
done
# In the place of ssh (of that name it would get options of ssh): HOST COMMAND...
printf '%s\n' '#!/bin/bash' "hosts=(${hosts[*]})" "h=\${1##*.}; shift" \
	"exec nsenter --target \"\${hosts[h - 1]}\" --net --uts bash -c \"\$*\"" >"$dir/enter"
chmod +x "$dir/enter"
export OMPI_MCA_plm_rsh_agent=$dir/enter OMPI_MCA_btl_tcp_if_include=10.77.77.0/24 OMPI_MCA_oob_tcp_if_include=10.77.77.0/24

printf '%s\n' 'dim: 32' 'n_layers: 1' 'n_heads: 2' 'vocab_size: 2048' 'multiple_of: 16' >"$dir/tiny.yaml"
train=("$BIN/titan-train" --threads 1 --model.name llama3 --model.flavor "$dir/tiny.yaml"
	--model.hf_assets_path "$ROOT/tests/assets/tokenizer" --training.dataset_path "$ROOT/tests/assets/c4_test" --training.seq_len 32
	--training.local_batch_size 1 --lr_scheduler.warmup_steps 2 --metrics.log_freq 1 --debug.seed 1 --comm.train_timeout_seconds "$timeout"
	--comm.init_timeout_seconds 60 --checkpoint.enable --checkpoint.interval 3 --checkpoint.no_last_save_model_only)

# shellcheck disable=SC2016 # for the ranks to expand
rank='hostname >"$0.host.$OMPI_COMM_WORLD_RANK"; echo $$ >"$0.pid.$OMPI_COMM_WORLD_RANK"; exec "$@"'
both() { # NAME OPTION...: the ranks in turns on the two hosts
	on 0 mpirun --host 10.77.77.1:2,10.77.77.2:2 --map-by node -n 4 bash -c "$rank" "$dir/$1" "${train[@]}" --job.dump_folder "$dir/$1" \
		--metrics.save_jsonl "$dir/$1.jsonl" "${@:2}" 2>>"$dir/$1.log"
}
one() { # NAME OPTION...
	mpirun -n 4 bash -c "$rank" "$dir/$1" "${train[@]}" --job.dump_folder "$dir/$1" --metrics.save_jsonl "$dir/$1.jsonl" "${@:2}" 2>>"$dir/$1.log"
}
numbers() { grep -ohE '^\{"step": [0-9]+, "loss": [^,]+, "grad_norm": [^,]+' "$dir/$1.jsonl"; }
step() { tail -n 1 "$dir/$1.jsonl" 2>/dev/null | grep -oE '^\{"step": [0-9]+' | grep -oE '[0-9]+$'; }

passed=0 failed=0
check() { # WHAT COMMAND...
	if "${@:2}"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $1"
		tail -n 3 "$(find "$dir" -maxdepth 1 -name '*.log' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)"
	fi
}
same() { cmp -s <(numbers "$1") <(numbers "$2") && [ "$(numbers "$1" | wc -l)" -eq "$3" ]; }
are_two() { [ "$(sort -u "$dir/$1".host.* | tr '\n' ' ')" = "titan-host0 titan-host1 " ]; }

for layout in data_parallel_replicate tensor_parallel; do
	options=("--parallelism.${layout}_degree" 2)
	check "$layout on two hosts" both "two-$layout" "${options[@]}" --training.steps 3
	check "$layout: both hosts have ranks" are_two "two-$layout"
	check "$layout on one host" one "one-$layout" "${options[@]}" --training.steps 3
	check "$layout: the same losses" same "two-$layout" "one-$layout" 3
	check "$layout: one host resumes from two" one "two-$layout" "${options[@]}" --training.steps 5
	check "$layout: two hosts resume from one" both "one-$layout" "${options[@]}" --training.steps 5
	check "$layout: the same losses, resumed" same "two-$layout" "one-$layout" 5
done

now_ms() { date +%s%3N; }
is_live() { [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) = [^Z]* ]]; }
all_end() { # NAME MS: since the disturbance, at `t`
	local r
	for r in 0 1 2 3; do
		while is_live "$(cat "$dir/$1.pid.$r")"; do
			[ $(($(now_ms) - t)) -le "$2" ] || return 1
			sleep 0.1
		done
	done
	echo "$1: all ranks have ended after $(($(now_ms) - t)) ms of at most $2"
}
says() { grep -qE "$2" "$dir/$1.log"; }
disturbed() { # NAME DO MS: does that amid a run, and waits for the end of all of it
	local t
	both "$1" --training.steps 1000000 --checkpoint.interval 1000000 &
	local job=$!
	until [ "$(step "$1")" -ge 3 ] 2>/dev/null || ! kill -0 $job 2>/dev/null; do sleep 0.1; done
	t=$(now_ms)
	$2
	check "$1: all ranks end in time" all_end "$1" "$3"
	on 0 ip link set titan0 up
	wait $job && check "$1: mpirun fails" false
}
kill_3() { kill -KILL "$(cat "$dir/killed.pid.3")"; }
cut_link() { on 0 ip link set titan0 down; }
disturbed killed kill_3 $((1000 * timeout))
check "the rank is named" says killed 'rank 3 is gone, last heard of'
disturbed cut cut_link $((1000 * timeout + 3000))
check "the ranks beyond the link are named" says cut 'it waits for rank [13] .*rank [13] '

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
