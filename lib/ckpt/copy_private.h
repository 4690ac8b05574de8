/* lib/ckpt/copy_private.h: the plan of a copy, as copy.c makes it and copy_run.c runs it. */
#ifndef TT_CKPT_COPY_PRIVATE_H
#define TT_CKPT_COPY_PRIVATE_H

#include "ckpt/copy.h"
#include "ckpt/crc_sum.h"
#include "ckpt/output.h"
#include "format/pt.h"

/* One contiguous run of elements: a storage of an archive, or a segment of its own. */
struct copy_data {
    struct tt_output_box box;
    uint64_t left; /* bytes that are not written yet */
    struct tt_crc_sum written; /* archives */
};

/* The layout of an archive while it is written: what stands before, between and behind its storages. */
struct copy_archive {
    struct tt_arena arena;
    struct tt_pt_records records;
    struct tt_buf pickle;
    struct tt_pt_storages storages;
    size_t left; /* of its head and its storages: those that are not written yet */
};

enum copy_kind { COPY_ARCHIVE, COPY_ITEM, COPY_ELEMENTS, COPY_BYTES, COPY_RUN, COPY_MEMORY };

struct copy_segment {
    enum copy_kind kind;
    uint32_t file;
    uint64_t offset, nbytes;
    size_t first_data; /* ARCHIVE, ITEM, ELEMENTS, MEMORY */
    uint32_t ndata;
    union {
        struct copy_archive *archive; /* ARCHIVE: from the plan on; ITEM: only while it is written */
        const void *bytes;            /* BYTES */
        void *dst;                    /* MEMORY */
        const struct copy_source *run;
    } u;
};

/* Bytes of an input's file. */
struct copy_source {
    struct tt_ckpt *ckpt;
    uint32_t file;
    uint64_t offset;
    const char *fqn;
};

struct tt_copy {
    struct tt_ckpt *src;
    struct tt_arena arena;
    struct copy_segment *segments;
    size_t nsegments, segments_cap;
    struct copy_data *data;
    size_t ndata, data_cap;
    uint64_t *files; /* (nfiles) bytes added to each */
    size_t nfiles, files_cap;
    uint32_t *order; /* (nsegments) the segments as they are run; NULL: one after the other */
};

/* The archive of an ITEM, laid out anew for the time in which it is written. */
TT_MUST_CHECK tt_status tt_copy_open_item(struct copy_archive **out, const struct tt_output_box *box, struct tt_err *err);
void tt_copy_close_archive(struct copy_archive *archive); /* NULL: nothing */

#endif
