/* lib/ckpt/pipe.h: what a checkpoint holds that comes through a pipe, which cannot be read at an offset: its catalogue alone. */
#ifndef TT_CKPT_PIPE_H
#define TT_CKPT_PIPE_H

#include "ckpt/ckpt.h"

/* Reads fd (borrowed) to its end: a .safetensors file, a .pt file whose first record is data.pkl, as torch.save writes it, or a
 * .metadata file. Tensor data passes by (the CRCs of a .pt are checked on the way) and is not kept; memory is that of the header,
 * data.pkl or .metadata. Whatever reads tensors or the values of a .metadata from the result is refused: only listing works. `name`
 * starts the messages. TT_EFORMAT with the offset: anything else, a stream that ends early or goes on. */
TT_MUST_CHECK tt_status tt_ckpt_open_pipe(struct tt_ckpt **out, int fd, const char *name, struct tt_err *err);

/* What can be listed: "-" is such a pipe, stdin; a .metadata file without its folder is read as if it came through one; else a
 * checkpoint, as tt_ckpt_open has it. */
TT_MUST_CHECK tt_status tt_ckpt_open_catalogue(struct tt_ckpt **out, const char *path, struct tt_err *err);

#endif
