#include "train/save_together.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "format/metadata.h"

/* The folder's temporary name, which rank 0 makes. */
static tt_status begin(struct tt_dcp_save **save, char tmp[PATH_MAX], const struct tt_ranks *ranks, const char *dir,
                       const struct tt_log *log, struct tt_err *err)
{
    tt_watchdog_busy_for(ranks->watchdog, ranks->all);
    tt_status st = tt_ranks_is_first(ranks) ? tt_dcp_save_begin(save, dir, log, err) : TT_OK;
    tt_watchdog_done_for(ranks->watchdog, ranks->all);
    if (st == TT_OK && *save && strlen(tt_dcp_save_tmp(*save)) >= PATH_MAX)
        st = tt_err_set(err, TT_EINVAL, "%s: too long a name", tt_dcp_save_tmp(*save));
    st = tt_ranks_agree(ranks, st, err);
    if (st == TT_OK && *save)
        strcpy(tmp, tt_dcp_save_tmp(*save));
    return st == TT_OK ? tt_ranks_broadcast(ranks, tmp, PATH_MAX, err) : st;
}

static tt_status write_own(struct tt_entries *written, const struct tt_ranks *ranks, const char *tmp,
                           const struct tt_save_item *items, size_t n, const struct tt_save_opts *opts, struct tt_err *err)
{
    tt_watchdog_busy_for(ranks->watchdog, ranks->all);
    const tt_status st = tt_dcp_write_rank(written, tmp, ranks->world->rank, items, n, opts, err);
    tt_watchdog_done_for(ranks->watchdog, ranks->all);
    return tt_ranks_agree(ranks, st, err);
}

/* Rank 0: what all ranks wrote, from their bytes. The save is over, whatever becomes of it. */
static tt_status commit(struct tt_dcp_save *save, const struct tt_buf *parts, size_t nranks, struct tt_err *err)
{
    struct tt_entries *written = calloc(nranks, sizeof *written);
    const struct tt_entries **ranks = calloc(nranks, sizeof *ranks);
    tt_status st = written && ranks ? TT_OK : tt_err_nomem(err, nranks * sizeof *written, "what ranks wrote of a checkpoint");

    for (size_t i = 0; i < nranks && st == TT_OK; i++) {
        st = tt_metadata_decode_part(&written[i], parts[i].data, parts[i].len, "what a rank wrote of a checkpoint", err);
        ranks[i] = &written[i];
    }
    if (st == TT_OK)
        st = tt_dcp_save_commit(save, ranks, nranks, err);
    else
        tt_dcp_save_abandon(save);
    for (size_t i = 0; written && i < nranks; i++)
        tt_entries_release(&written[i]);
    free(written);
    free(ranks);
    return st;
}

/* What this rank wrote, to rank 0. */
static tt_status gather(struct tt_buf *parts, const struct tt_ranks *ranks, const struct tt_entries *written, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_metadata_encode(&bytes, written, err);
    if (st == TT_OK)
        st = tt_buf_check(&bytes, "what a rank wrote of a checkpoint", err);
    st = tt_ranks_agree(ranks, st, err);
    if (st == TT_OK)
        st = tt_ranks_gather(ranks, bytes.data, bytes.len, parts, err);
    tt_buf_release(&bytes);
    return st;
}

static tt_status save_many(const struct tt_ranks *ranks, const char *dir, const struct tt_save_item *items, size_t n,
                           const struct tt_save_opts *opts, struct tt_buf *parts, struct tt_err *err)
{
    struct tt_dcp_save *save = NULL;
    struct tt_entries written = { 0 };
    char tmp[PATH_MAX] = "";

    tt_status st = begin(&save, tmp, ranks, dir, opts->log, err);
    if (st == TT_OK)
        st = write_own(&written, ranks, tmp, items, n, opts, err);
    if (st == TT_OK)
        st = gather(parts, ranks, &written, err);
    if (st == TT_OK) {
        tt_watchdog_busy_for(ranks->watchdog, ranks->all);
        st = save ? commit(save, parts, (size_t)ranks->world->size, err) : TT_OK;
        tt_watchdog_done_for(ranks->watchdog, ranks->all);
        st = tt_ranks_agree(ranks, st, err);
        save = NULL;
    }
    tt_dcp_save_abandon(save);
    tt_entries_release(&written);
    return st;
}

tt_status tt_save_together(const struct tt_ranks *ranks, const char *dir, const struct tt_save_item *items, size_t n,
                           const struct tt_save_opts *opts, struct tt_err *err)
{
    const size_t nranks = (size_t)ranks->world->size;
    if (nranks == 1)
        return tt_dcp_save(dir, items, n, opts, err);

    struct tt_buf *parts = calloc(nranks, sizeof *parts);
    tt_status st = parts ? TT_OK : tt_err_nomem(err, nranks * sizeof *parts, "what ranks wrote of a checkpoint");
    st = tt_ranks_agree(ranks, st, err);
    if (st == TT_OK)
        st = save_many(ranks, dir, items, n, opts, parts, err);
    for (size_t i = 0; parts && i < nranks; i++)
        tt_buf_release(&parts[i]);
    free(parts);
    return st;
}
