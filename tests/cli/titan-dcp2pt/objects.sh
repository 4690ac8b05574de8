# A value that needs a class that titan does not know is refused by name, left out, or carried over as it is.
out=$PWD
cd "$ROOT/tests/golden" || exit 9
titan-dcp2pt --quiet dcp-objects "$out/a.pt"
titan-dcp2pt --quiet --exclude config --exclude cycle --exclude 'counts*' --exclude relu dcp-objects "$out/b.pt" && titan-ckpt-inspect "$out/b.pt" | tail -4
titan-dcp2pt --quiet --allow_objects dcp-objects "$out/c.pt"
titan-dcp2pt --allow_objects --exclude cycle --verify dcp-objects "$out/d.pt" 2>&1 | grep warning && titan-ckpt-inspect "$out/d.pt" | tail -8
titan-dcp2pt --quiet --reverse pt/objects.pt "$out/e"
titan-dcp2pt --quiet --reverse --include conjugate pt/objects.pt "$out/e"
ls -A "$out"
