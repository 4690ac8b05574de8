#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void put(struct tt_err *err, tt_status status, const char *fmt, va_list ap)
{
    err->status = status;
    err->of_rank = 0;
    const int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    if (n >= (int)sizeof err->msg)
        memcpy(err->msg + sizeof err->msg - 4, "...", 4);
}

tt_status tt_err_set(struct tt_err *err, tt_status status, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, status, fmt, ap);
        va_end(ap);
    }
    return status;
}

tt_status tt_err_copy(struct tt_err *err, const struct tt_err *from)
{
    if (err)
        *err = *from;
    return from->status;
}

void tt_err_set_rank(struct tt_err *err, int rank)
{
    if (err->of_rank == 0)
        err->of_rank = rank + 1;
}

void tt_err_name_rank(struct tt_err *err)
{
    const struct tt_err unnamed = *err;
    if (unnamed.of_rank > 0)
        tt_err_set(err, unnamed.status, "rank %d: %s", unnamed.of_rank - 1, unnamed.msg);
}

tt_status tt_err_errno(struct tt_err *err, int errno_value, const char *fmt, ...)
{
    const tt_status status = errno_value == ENOENT ? TT_ENOENT : errno_value == ENOMEM ? TT_ENOMEM : TT_EIO;

    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, status, fmt, ap);
        va_end(ap);
        const size_t n = strlen(err->msg);
        snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror(errno_value));
    }
    return status;
}

tt_status tt_err_nomem(struct tt_err *err, size_t nbytes, const char *what)
{
    return tt_err_set(err, TT_ENOMEM, "out of memory (%zu bytes for %s)", nbytes, what);
}
