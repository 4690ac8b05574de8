# A run that cannot go on ends within its timeout, and its lowest rank that can says which rank it is, once. All at the same time, each in its
# folder: they mostly wait.
. "$ROOT/tests/cli/comm/mpi.inc"
T=2
# What else it may take, in seconds, on a machine that has all of this and more to do: of an operation until it is found late, and of a run,
# whose ranks write what they have to and wait a second for each other, until it has ended.
FOUND=5 ENDED=15
# Any rank may be the one that finds it: "rank N being". Each line begins with the rank that says it.
mask() {
	sed -E 's/^\[1,([0-9]+)\]<stderr>:/\1: /; s/within [0-9]+ s/within N s/; s/[0-9]+\.[0-9]+ s/N s/g; s/at step [0-9]+|before its first step/at step N/g
		s/operation [0-9]+/operation N/g; s/rank [0-9] being/rank N being/'
}
# What does not end itself in time is ended, with exit 124.
# What Open MPI shares lies here, where nobody leaves it behind.
start() { OMPI_MCA_btl_vader_backing_directory=$PWD timeout 60 mpirun --tag-output -n 4 "$TOOLS/comm_watch" "$T" "$1" 2>err; }
report() { # EXIT NAME [RECORD THAT MAY BE]
	case $2 in
	ahead) mask <err | grep -v '^1: .* another rank is busy' ;; # rank 1 may come to say that first
	within) mask <err | grep -v 'another rank is busy' ;; # rank 1 may come to say that of the save
	chain) mask <err | sed -E 's/: .*(it waits for rank [0-9]) .*/: \1/' ;;             # either end of it may say what it waits for
	meet | part) mask <err | sed -E 's/^[0-9]: |rank [0-9]: //g' | sort -u ;; # nobody knows of the others
	*) mask <err | sort ;;
	esac
	grep -oE 'done after [0-9.]+' err | awk -v t=$T -v found=$FOUND '$3 < t || $3 > t + found { print "found after", $3, "s" }'
	echo -n "$2: exit $1, records:"
	for r in record/*; do [ "${r#record/}" = "${3:-}" ] || echo -n " ${r#record/}"; done
	echo
}
# Runs until every rank is at work; then DO, with the ranks' process ids in $pid. From then on it takes at most so many seconds (and ENDED),
# and no rank is left.
disturbed() { # NAME DO SECONDS [RECORD THAT MAY BE [MODE]]
	local job r rc since=$SECONDS pid=()
	start "${5:-steps}" 2>/dev/null &
	job=$!
	for r in 0 1 2 3; do
		until [ -s pid.$r ] || ! kill -0 "$job" 2>/dev/null; do sleep 0.1; done
		pid[r]=$(cat pid.$r 2>/dev/null) && since=$SECONDS # those that do not meet may not come so far
	done
	sleep 0.5
	$2
	wait "$job" 2>/dev/null
	rc=$?
	[ $((SECONDS - since)) -le $(($3 + ENDED)) ] || echo "it took $((SECONDS - since)) s"
	for r in 0 1 2 3; do
		for _ in $(seq 100); do kill -0 "${pid[r]}" 2>/dev/null || continue 2; sleep 0.1; done
		echo "rank $r still runs"
	done
	report $rc "$1" "$4"
}
by_itself() { disturbed "$1" true "$2" "" "$1"; } # MODE SECONDS
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
run by_itself busy $((3 * T))
run by_itself late $T
run by_itself chain $T
run by_itself fails 0
# Of a rank that is stopped there may be a record too: the launcher may wake it before it ends it.
run disturbed "rank 2 stopped" stop_2 $T rank_2
run disturbed "rank 0 stopped" stop_0 $T rank_0
run disturbed "rank 2 killed" kill_2 0
run disturbed "mpirun killed" kill_mpirun 0
run by_itself meet $T
run by_itself group $T
run by_itself part 15
run disturbed "two killed" kill_0_and_1 0
run by_itself awaits $((3 * T))
run by_itself behind $((3 * T))
run by_itself beside $T
run by_itself ahead $T
run by_itself awaited $((3 * T))
T=8 # two of them are beyond what it may take
run by_itself within $T
T=4
run disturbed "rank 2 held" hold_2 $((3 * T)) "" busy
run disturbed "rank 2 held at the end" hold_2_at_end $((3 * T)) "" busy
run disturbed "all paused" pause $((3 * T)) "" busy
wait
for k in $(seq $i); do cat "$k/out"; done
wc -l <5/record/rank_1
tail -n 1 5/record/rank_1 | sed -E 's/"time": [0-9.]+/"time": T/; s/"number": [0-9]+/"number": N/'
