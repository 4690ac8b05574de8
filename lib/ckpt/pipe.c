#include "ckpt/pipe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/instream.h"
#include "ckpt/ckpt_private.h"
#include "ckpt/pipe_private.h"
#include "format/metadata.h"
#include "format/pt.h"
#include "format/safetensors.h"

/* Takes what is left and throws it away. */
static tt_status drain(struct tt_instream *in, struct tt_err *err)
{
    const uint8_t *p = NULL;
    size_t n = 1;
    tt_status st = TT_OK;

    while (n && st == TT_OK)
        st = tt_instream_some(in, UINT64_MAX, &p, &n, err);
    return st;
}

/* The header decides all but whether the data is whole: that is a matter of its length. */
static tt_status open_safetensors(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err)
{
    const uint8_t *p = NULL;
    size_t have = 0;
    tt_status st = tt_instream_peek(in, TT_ST_PREFIX_NBYTES, &p, &have, err); /* find_format has seen that it is there */
    if (st != TT_OK)
        return st;
    const size_t nbytes = TT_ST_PREFIX_NBYTES + (size_t)tt_load_le64(p);
    st = tt_instream_peek(in, nbytes, &p, &have, err);
    if (st != TT_OK)
        return st;
    const size_t kept = have < nbytes ? have : nbytes;
    uint8_t *header = malloc(kept);
    if (!header)
        return tt_err_nomem(err, kept, in->name);
    memcpy(header, p, kept);
    st = drain(in, err);
    if (st == TT_OK) {
        /* The decoder reads the header alone, or says that the file ends within it. */
        const struct tt_source src = { .data = header, .nbytes = in->at, .name = in->name };
        st = tt_fill_safetensors(ckpt, &src, err);
    }
    free(header);
    return st;
}

static tt_status open_metadata(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err)
{
    const uint8_t *p = NULL;
    size_t have = 0;
    struct tt_infile file;

    if (tt_instream_is_file(in, &file))
        return tt_metadata_read(&ckpt->entries, &file, NULL, err);
    const tt_status st = tt_instream_peek(in, TT_METADATA_NBYTES_MAX + 1, &p, &have, err);

    if (st != TT_OK)
        return st;
    if (have > TT_METADATA_NBYTES_MAX)
        return tt_err_set(err, TT_EFORMAT, "%s: expected at most %d bytes of .metadata, found more", in->name, TT_METADATA_NBYTES_MAX);
    return tt_metadata_decode(&ckpt->entries, p, have, in->name, err);
}

typedef tt_status open_fn(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err);

static tt_status find_format(struct tt_instream *in, open_fn **open, enum tt_ckpt_format *format, struct tt_err *err)
{
    const uint8_t *p = NULL;
    size_t have = 0;
    uint8_t head[TT_ST_PREFIX_NBYTES + 1] = { 0 };
    const tt_status st = tt_instream_peek(in, sizeof head, &p, &have, err);

    if (st != TT_OK)
        return st;
    memcpy(head, p, have < sizeof head ? have : sizeof head);
    if (memcmp(head, "PK\3\4", 4) == 0 || tt_pt_is_legacy(head, sizeof head)) {
        *open = tt_pipe_open_pt;
        *format = TT_CKPT_PT;
    } else if (tt_metadata_is_start(head)) {
        *open = open_metadata;
        *format = TT_CKPT_DCP;
    } else if (tt_st_is_start(head)) {
        *open = open_safetensors;
        *format = TT_CKPT_SAFETENSORS;
    } else {
        return tt_err_set(err, TT_EFORMAT, "%s: offset 0: expected a .safetensors, .pt or .metadata file, found %s", in->name,
                          have ? "something else" : "nothing");
    }
    return TT_OK;
}

tt_status tt_ckpt_open_pipe(struct tt_ckpt **out, int fd, const char *name, struct tt_err *err)
{
    struct tt_instream in = tt_instream_of(fd, name);
    enum tt_ckpt_format format = TT_CKPT_PT;
    struct tt_ckpt *ckpt = NULL;
    open_fn *open = NULL;
    tt_status st = find_format(&in, &open, &format, err);

    if (st == TT_OK)
        st = tt_ckpt_make(&ckpt, name, format, err);
    if (st == TT_OK) {
        ckpt->is_pipe = true;
        st = open(ckpt, &in, err);
    }
    tt_instream_release(&in);
    if (st == TT_OK)
        *out = ckpt;
    else
        tt_ckpt_close(ckpt);
    return st;
}

tt_status tt_ckpt_open_catalogue(struct tt_ckpt **out, const char *path, struct tt_err *err)
{
    struct tt_infile in = { .fd = -1 };

    if (strcmp(path, "-") == 0)
        return tt_ckpt_open_pipe(out, STDIN_FILENO, "stdin", err);
    const bool is_bare = !tt_path_is_dir(path) && tt_infile_open(&in, path, NULL) == TT_OK && tt_is_bare_metadata(&in);
    const tt_status st = is_bare ? tt_ckpt_open_pipe(out, in.fd, path, err) : tt_ckpt_open(out, path, err);
    tt_infile_close(&in);
    return st;
}
