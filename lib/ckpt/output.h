/* lib/ckpt/output.h: the elements of an output, put together from its parts: read, turned into numbers, moved to their places,
 * cast. The one place where what a recipe says happens to elements. */
#ifndef TT_CKPT_OUTPUT_H
#define TT_CKPT_OUTPUT_H

#include "ckpt/read.h"
#include "ckpt/recipe.h"

/* A thread's: buffers, and a reader for each checkpoint that the parts name. */
struct tt_assembler;

/* own: the checkpoint of parts that name none. verify: shared by the threads of a copy; NULL: CRCs are not checked. */
TT_MUST_CHECK tt_status tt_assembler_new(struct tt_assembler **out, struct tt_ckpt *own, struct tt_verify *verify,
                                         struct tt_err *err);
void tt_assembler_free(struct tt_assembler *assembler);
void tt_assembler_read_exactly(struct tt_assembler *assembler); /* as tt_reader_read_exactly, of all of its readers */
uint64_t tt_assembler_nbytes(void); /* of its buffers, for however many checkpoints */

/* Bytes of the widest element on the way from the files to the output: pieces of TT_BLOCK_NBYTES / unit elements fit in the
 * buffers. */
size_t tt_output_unit(const struct tt_output *output);

/* Elements that are best assembled at a time: few, so that they stay in the cache, but as many as the buffers hold where rows
 * change places, so that less is read twice. */
int64_t tt_output_piece_numel(const struct tt_output *output);

/* What to assemble next of region r of the output, from its element `first` on: as tt_region_piece has it, of at most
 * tt_output_piece_numel elements, and of whole heads where they are permuted, so that none is read twice. */
int64_t tt_output_piece(struct tt_region *piece, const struct tt_output *output, const struct tt_region *r, int64_t first);

/* Whether all that the output asks for can be done: shapes, boxes, casts, quantization and its scales, maps, and that the parts
 * tile the output (TT_EFORMAT where they do not). The message names the key, the input, what was expected and what was found. */
TT_MUST_CHECK tt_status tt_output_check(const struct tt_output *output, struct tt_err *err);

/* dst (row-major, of piece's sizes, of the output's dtype) = output[piece]. piece lies inside the shape, and is not empty. */
TT_MUST_CHECK tt_status tt_assemble(struct tt_assembler *assembler, const struct tt_output *output, const struct tt_region *piece,
                                    void *dst, struct tt_err *err);

/* Where a chunk of the part's source lies (tt_reader_stored). */
TT_MUST_CHECK tt_status tt_assembler_stored(struct tt_assembler *assembler, const struct tt_part *part,
                                            const struct tt_chunk *chunk, struct tt_stored *out, struct tt_err *err);

#endif
