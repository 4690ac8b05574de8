# Keys as a tree: nested and odd ones, a module's, a model's; what --include takes.
cd "$ROOT/tests/golden" && titan-ckpt-inspect --tree dcp-types pt/module.pt hf/transformers && titan-ckpt-inspect --tree --include 'model.layers.*' hf/transformers
