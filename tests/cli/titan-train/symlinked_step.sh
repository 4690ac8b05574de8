# A step that was moved to an archive, with a link in its place: keep_latest_k removes the link, and nothing of the archive.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 1 --checkpoint.no_last_save_model_only)
titan-train "${flags[@]}" --training.steps 2 2>/dev/null || exit 9
mkdir archive && mv out/checkpoint/step-1 archive && ln -s "$PWD/archive/step-1" out/checkpoint/step-1
titan-train "${flags[@]}" --training.steps 5 --checkpoint.keep_latest_k 2 2>/dev/null || exit 9
ls out/checkpoint
ls -A archive/step-1
