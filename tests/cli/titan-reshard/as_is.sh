# Without a shape the files stay as they are: other names are all that is written anew, and links can stand for the data.
. "$ROOT/tests/cli/titan-reshard/full.inc"
titan-reshard --quiet full cut "${model[@]}" --data_parallel_shard_degree 2 2>/dev/null
titan-reshard --quiet cut named --rename "s/^layers\.(\d+)/blocks.\$1/" --hard_link
for f in cut/*.distcp; do [ "$f" -ef "named/${f#cut/}" ] && echo "$f is linked"; done
titan-ckpt-inspect named | grep -c 'blocks\.'
titan-reshard --quiet named copy --rename 's/^blocks/layers/' && cmp cut/__1_0.distcp copy/__1_0.distcp && same cut copy
for f in cut/*.distcp; do [ "$f" -ef "copy/${f#cut/}" ] || echo "$f is copied"; done
titan-reshard --quiet cut none --rename 's/wq/wk/'
titan-reshard --quiet cut none --rename 's/wz/wk/'
titan-reshard --quiet cut model --model_only --rename 's/^/model./' && ls -A model && titan-ckpt-inspect model | head -4
ls -A
