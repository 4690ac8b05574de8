/* lib/ckpt/copy.h: the engine behind every checkpoint tool. What is to be written is listed first, from metadata alone, as
 * segments of one or more output files, so that the offset of every output byte is known before the first is written; then a few
 * threads move blocks of fixed size from the sources to where they belong. Each output byte is written once; memory does not
 * grow with the tensors. Elements that nothing has to change are copied by the kernel, where that saves something, and carry
 * their stored CRC on. */
#ifndef TT_CKPT_COPY_H
#define TT_CKPT_COPY_H

#include <signal.h>

#include "base/pool.h"
#include "ckpt/ckpt.h"
#include "ckpt/recipe.h"

struct tt_copy;

/* src is the checkpoint of parts that name none; NULL: all name one. It is borrowed, and so is what is added below, until
 * tt_copy_free. */
TT_MUST_CHECK tt_status tt_copy_new(struct tt_copy **out, struct tt_ckpt *src, struct tt_err *err);
void tt_copy_free(struct tt_copy *copy);

/* Each of the following adds a segment behind what was added before to the output file of that number. *offset and *nbytes are
 * where it will lie there; they may be NULL. Files are best filled one after the other: in that order they are written. */

/* A torch zip: `value`, pickled; the storages of its tensors have a `struct tt_output_box` as owner, and number -1. */
TT_MUST_CHECK tt_status tt_copy_add_archive(struct tt_copy *copy, uint32_t file, const char *root, const struct tt_value *value,
                                            uint64_t *offset, uint64_t *nbytes, struct tt_err *err);
/* A torch zip that holds one tensor, row-major, of the box's sizes: a DCP item. */
TT_MUST_CHECK tt_status tt_copy_add_item(struct tt_copy *copy, uint32_t file, const struct tt_output_box *box, uint64_t *offset,
                                         uint64_t *nbytes, struct tt_err *err);
/* The elements alone, row-major. */
TT_MUST_CHECK tt_status tt_copy_add_elements(struct tt_copy *copy, uint32_t file, const struct tt_output_box *box,
                                             struct tt_err *err);
/* Bytes as they are. */
TT_MUST_CHECK tt_status tt_copy_add_bytes(struct tt_copy *copy, uint32_t file, const void *bytes, size_t nbytes, uint64_t *offset,
                                          struct tt_err *err);
/* A run of bytes of an input's file as they are, whatever they mean; fqn is for messages. Nothing is verified. */
TT_MUST_CHECK tt_status tt_copy_add_run(struct tt_copy *copy, uint32_t file, struct tt_ckpt *ckpt, const struct tt_chunk *run,
                                        const char *fqn, uint64_t *offset, struct tt_err *err);

/* A box into memory: dst is row-major, of the box's sizes, in the output's dtype. */
TT_MUST_CHECK tt_status tt_copy_add_memory(struct tt_copy *copy, const struct tt_output_box *box, void *dst, struct tt_err *err);

/* Everything was added. Settles the order in which it is run, and notes for each compressed chunk of the sources whether it will
 * be spilled (unpack.h). in_order: as the sink's. Without this call, segments are run one after the other, and what is spilled
 * turns out then. */
TT_MUST_CHECK tt_status tt_copy_arrange(struct tt_copy *copy, bool in_order, struct tt_err *err);

/* Bytes that were added to a file so far. */
uint64_t tt_copy_file_nbytes(const struct tt_copy *copy, uint32_t file);

/* Where the segments go. All are called from many threads at once, unless in_order. */
struct tt_sink {
    tt_status (*write)(void *ctx, uint32_t file, const void *bytes, size_t nbytes, uint64_t offset, struct tt_err *err);
    /* Copies from an input without its bytes passing through this process. *done counts what was copied; less than nbytes with
     * TT_OK: this cannot be done here, the rest is for `write`. NULL: never. */
    tt_status (*copy)(void *ctx, uint32_t file, const struct tt_infile *from, uint64_t from_offset, uint64_t nbytes, uint64_t offset,
                      uint64_t *done, struct tt_err *err);
    /* in_order: the segment is written to its last byte. NULL: nobody needs to know. */
    tt_status (*end)(void *ctx, size_t segment, struct tt_err *err);
    void *ctx;
    bool in_order; /* a stream: it is written from the first byte to the last, by one thread */
};

struct tt_copy_opts {
    bool no_verify;                    /* CRCs of what is read are not checked */
    bool exact;                        /* the sources are read as tt_reader_read_exactly says */
    struct tt_buf *shares;             /* gets a struct tt_crc_share of each storage that is not read as a whole; or NULL */
    const volatile sig_atomic_t *stop; /* not 0: a signal asked to end, which is TT_EIO; NULL: nobody asks */
};

/* TT_EIO where a signal asked to end; stop may be NULL. */
TT_MUST_CHECK tt_status tt_copy_check_stop(const volatile sig_atomic_t *stop, struct tt_err *err);

/* sink may be NULL where only memory was added. pool NULL: this thread alone. opts may be NULL. */
TT_MUST_CHECK tt_status tt_copy_run(struct tt_copy *copy, struct tt_pool *pool, const struct tt_sink *sink,
                                    const struct tt_copy_opts *opts, struct tt_err *err);

/* Bytes of buffers that each thread of a run has. */
uint64_t tt_copy_thread_nbytes(void);

/* A TENSOR value for tt_copy_add_archive: row-major, over a storage of its own that is filled by `box`. In the arena. */
struct tt_value *tt_copy_tensor(struct tt_arena *arena, const struct tt_output_box *box);

#endif
