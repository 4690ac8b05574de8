# A manifest that sha256sum accepts; what changed, went and came; names as they were given.
cp -r "$ROOT/tests/golden/dcp-rows2" step && cd step && titan-ckpt-inspect --manifest=SUMS . && sha256sum -c SUMS && titan-ckpt-inspect --manifest_check SUMS . && cd .. || exit
titan-ckpt-inspect --manifest - step | grep -v SUMS | sha256sum -c - && titan-ckpt-inspect --manifest=sums step/ && titan-ckpt-inspect --manifest_check=sums ./step
rm step/__1_0.distcp && echo x >>step/__0_0.distcp && touch step/new
titan-ckpt-inspect --manifest_check=sums step; echo "exit $?"
cd step && titan-ckpt-inspect --manifest_check=../sums .; echo "exit $?"
echo nonsense | titan-ckpt-inspect --manifest_check=- .
