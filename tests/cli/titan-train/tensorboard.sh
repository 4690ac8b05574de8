# metrics.enable_tensorboard: where the files are, their tags, and a folder that cannot be made.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--training.steps 3 --metrics.enable_tensorboard)
files() { find out -type f | sed -E 's/[0-9]{8}-[0-9]{4}/DATE-TIME/; s/[0-9]{10}\..*\.[0-9]+\.0$/SECONDS.HOST.PROCESS.0/'; }
titan-train "${flags[@]}" 2>log
echo "exit $?"
plain <log | grep TensorBoard | sed -E 's/[0-9]{8}-[0-9]{4}/DATE-TIME/'
files
export LC_ALL=C
grep -aoP '^.\K[a-zA-Z_/()%]+(?=\x15)' out/tb/*/events* | sort | uniq -c
rm -r out
titan-train --quiet "${flags[@]}" --metrics.save_for_all_ranks --metrics.save_tb_folder boards
files
titan-train --quiet "${flags[@]}" --metrics.save_tb_folder ../tiny.yaml 2>&1 | sed -E 's/[0-9]{8}-[0-9]{4}/DATE-TIME/'
