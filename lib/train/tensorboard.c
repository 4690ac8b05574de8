#include "train/tensorboard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

static double wall_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The folder's name for a time, or NULL without memory. */
static const char *folder_of(struct tt_arena *arena, const struct tt_config *config, int rank, time_t now)
{
    char minute[32];
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(minute, sizeof minute, "%Y%m%d-%H%M", &tm);
    const char *below = tt_path_join(arena, config->job.dump_folder, config->metrics.save_tb_folder);
    const char *folder = below ? tt_path_join(arena, below, minute) : NULL;
    return folder && config->metrics.save_for_all_ranks ? tt_arena_printf(arena, "%s/rank_%d", folder, rank) : folder;
}

static tt_status append(const struct tt_tensorboard *tb, const struct tt_buf *records, struct tt_err *err)
{
    const tt_status status = tt_buf_check(records, tb->path, err);
    return status == TT_OK ? tt_write_full(tb->fd, records->data, records->len, tb->path, err) : status;
}

static tt_status begin(struct tt_tensorboard *tb, struct tt_err *err)
{
    struct tt_buf records = { 0 };
    tt_tfevents_begin(&records, wall_time());
    const tt_status status = append(tb, &records, err);
    tt_buf_release(&records);
    return status;
}

tt_status tt_tensorboard_open(struct tt_tensorboard *out, const struct tt_config *config, int rank, const struct tt_log *log,
                              struct tt_err *err)
{
    struct tt_tensorboard tb = { .fd = -1 };
    char host[HOST_NAME_MAX + 1] = "";
    const time_t now = time(NULL);

    gethostname(host, sizeof host - 1);
    const char *folder = folder_of(&tb.arena, config, rank, now);
    const char *path =
        folder ? tt_arena_printf(&tb.arena, "%s/events.out.tfevents.%010lld.%s.%ld.0", folder, (long long)now, host, (long)getpid())
               : NULL;
    tt_status status = path ? tt_mkdir_p(folder, err) : tt_err_nomem(err, 0, "the path of the TensorBoard file");
    if (status == TT_OK && (tb.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0)
        status = tt_err_errno(err, errno, "%s", path);
    if (status != TT_OK) {
        tt_arena_release(&tb.arena);
        return status;
    }
    tb.path = path;
    *out = tb;
    tt_log_line(log, TT_LOG_INFO, "TensorBoard logging enabled. Logs will be saved at %s", folder);
    return begin(out, err);
}

tt_status tt_tensorboard_write(struct tt_tensorboard *tb, int64_t step, const struct tt_tfscalar *scalars, size_t n,
                               struct tt_err *err)
{
    struct tt_buf records = { 0 };
    tt_tfevents_scalars(&records, wall_time(), step, scalars, n);
    const tt_status status = append(tb, &records, err);
    tt_buf_release(&records);
    return status;
}

tt_status tt_tensorboard_close(struct tt_tensorboard *tb, struct tt_err *err)
{
    tt_status status = TT_OK;
    if (tb->path && close(tb->fd) != 0)
        status = tt_err_errno(err, errno, "%s", tb->path);
    tb->path = NULL;
    tt_arena_release(&tb->arena);
    return status;
}
