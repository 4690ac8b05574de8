# The average of models: weights count, optimizer and step stay behind, what one lacks is named.
. "$ROOT/tests/cli/titan-reshard/full.inc"
for seed in 2 3; do
	rm -rf run; titan-seed "${flags[@]}" --debug.seed $seed 2>log || cat log; mv run/checkpoint/step-0 s$seed
done
titan-reshard --quiet --average full full same && titan-reshard --quiet full model --model_only && same same model
titan-reshard --quiet --average s2 s3 --weights=1,0 first && titan-reshard --quiet s2 model2 --model_only && same first model2
titan-reshard --quiet --average s2 s3 full --weights 2,1,1 out "${model[@]}" --tensor_parallel_degree 2 && ls -A out
titan-reshard --average s2 s3 --weights 1,-1 none
titan-reshard --quiet s3 part --exclude 'layers.1.*'
titan-reshard --average s2 part none
titan-reshard --average part s2 none
titan-reshard --quiet --average part s2 both --exclude 'layers.1.*' && ls -A both
sed 's/dim: 32/dim: 48/' tiny.yaml > wide.yaml
rm -rf run; titan-seed "${flags[@]}" --model.flavor wide.yaml 2>log || cat log
titan-reshard --average s2 run/checkpoint/step-0 none
