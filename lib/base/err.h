/* lib/base/err.h: how a function says that it failed.
 *
 * A function that can fail returns a tt_status and takes `struct tt_err *err` last. Outputs come first and stay untouched
 * on error. Whoever knows most writes the message, once, with tt_err_set; callers pass it up as it is. */
#ifndef TT_BASE_ERR_H
#define TT_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define TT_MUST_CHECK __attribute__((warn_unused_result))
#define TT_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

typedef enum tt_status {
    TT_OK = 0,
    TT_EINVAL,  /* the caller or the user asked for something that cannot be: a setting, an argument, a shape */
    TT_EFORMAT, /* bytes that are not what their format says */
    TT_EIO,     /* the operating system refused: open, read, write, fsync, rename; the message has strerror */
    TT_ENOENT,  /* what was asked for is not there: a file, a key, a step */
    TT_ENOMEM,
    TT_EUNSUPPORTED, /* well-formed, but not something titan does */
    TT_EUSAGE,       /* the command line: the program exits 2 instead of 1 */
} tt_status;

struct tt_err {
    tt_status status;
    int of_rank;    /* 1 + the rank of a run that failed, where ranks have told each other; else 0 */
    char msg[1200]; /* one line of UTF-8, NUL-terminated, without the program's name and without a newline */
};

/* Writes the message, returns status. err may be NULL. Too long a message is cut and ends in "...". */
tt_status tt_err_set(struct tt_err *err, tt_status status, const char *fmt, ...) TT_PRINTF(3, 4);

/* Another's message, as it is. Returns its status. */
tt_status tt_err_copy(struct tt_err *err, const struct tt_err *from);

/* It is that rank's, where it is not known to be another's. */
void tt_err_set_rank(struct tt_err *err, int rank);

/* The message says whose it is, where that is known: "rank 3: MESSAGE". */
void tt_err_name_rank(struct tt_err *err);

/* As tt_err_set, followed by ": " and strerror(errno_value). The status is TT_ENOENT for ENOENT, TT_ENOMEM for ENOMEM, else
 * TT_EIO. */
tt_status tt_err_errno(struct tt_err *err, int errno_value, const char *fmt, ...) TT_PRINTF(3, 4);

/* "out of memory (N bytes for WHAT)" */
tt_status tt_err_nomem(struct tt_err *err, size_t nbytes, const char *what);

#endif
