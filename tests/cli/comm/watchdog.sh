# A run that cannot go on ends within its timeout, and says which rank it is. All at the same time, each in its folder: they mostly wait.
. "$ROOT/tests/cli/comm/mpi.inc"
T=2
mask() { sed -E 's/within [0-9]+ s/within N s/; s/rank [0-9]: the ranks/rank N: the ranks/; s/[0-9]+\.[0-9]+ s/N s/g; s/at step [0-9]+|before its first step/at step N/g; s/operation [0-9]+/operation N/g; s/rank [0-9] being/rank N being/'; }
start() { timeout 60 mpirun -n 4 "$TOOLS/comm_watch" "$T" "$1" 2>err; }
# Of those that are stopped or have failed there may be a record too; in a chain each end of it may say what it waits for.
report() { # EXIT NAME
	case $2 in
	chain) sed -E 's/.*(it waits for rank [0-9]) .*/\1/' err | sort -u ;;
	*) mask <err | sort -u ;;
	esac
	echo -n "$2: exit $1, records:"
	for r in record/*; do [ "${r#record/}" = "${3:-}" ] || echo -n " ${r#record/}"; done
	echo
}
by_itself() { # MODE [RECORD THAT MAY BE]
	start "$1"
	report $? "$1" "$2"
}
# Runs until every rank is at work; then DO, with the ranks' process ids in $pid. No rank is left.
disturbed() { # NAME DO [RECORD THAT MAY BE [MODE]]
	local job r rc pid=()
	start "${4:-steps}" 2>/dev/null &
	job=$!
	for r in 0 1 2 3; do
		for _ in $(seq 300); do [ -s pid.$r ] && break; sleep 0.1; done
		pid[r]=$(cat pid.$r)
	done
	sleep 0.5
	$2
	wait "$job" 2>/dev/null
	rc=$?
	for r in 0 1 2 3; do
		for _ in $(seq 100); do kill -0 "${pid[r]}" 2>/dev/null || continue 2; sleep 0.1; done
		echo "rank $r still runs"
	done
	report $rc "$1" "$3"
}
stop_2() { kill -STOP "${pid[2]}"; }
stop_0() { kill -STOP "${pid[0]}"; }
kill_2() { kill -KILL "${pid[2]}"; }
kill_mpirun() { kill -KILL "$(cut -d' ' -f4 "/proc/${pid[0]}/stat")"; }
kill_0_and_1() { kill -KILL "${pid[0]}" "${pid[1]}"; }
# While the others wait for rank 1, which is busy for 12 s: for less than an operation may take; beyond the end of it; and all for longer.
hold_2() { sleep "${1:-5}"; kill -STOP "${pid[2]}"; sleep 2.8; kill -CONT "${pid[2]}"; }
hold_2_at_end() { hold_2 10; }
pause() { sleep 1; kill -STOP "${pid[@]}"; sleep 5; kill -CONT "${pid[@]}"; }
i=0
run() {
	mkdir $((++i))
	(cd $i && "$@" >out 2>&1) &
}
run by_itself busy
run by_itself late
run by_itself chain
run by_itself fails
run disturbed "rank 2 stopped" stop_2 rank_2
run disturbed "rank 0 stopped" stop_0 rank_0
run disturbed "rank 2 killed" kill_2
run disturbed "mpirun killed" kill_mpirun
run by_itself meet
run by_itself group
run by_itself part
run disturbed "two killed" kill_0_and_1
T=4
run disturbed "rank 2 held" hold_2 "" busy
run disturbed "rank 2 held at the end" hold_2_at_end "" busy
run disturbed "all paused" pause "" busy
wait
for k in $(seq $i); do cat "$k/out"; done
tail -n 1 5/record/rank_1 | sed -E 's/"time": [0-9.]+/"time": T/; s/"number": [0-9]+/"number": N/'
