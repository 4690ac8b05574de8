/* lib/cli/opt.h: what every program does around its one call into the library: options, usage, reports, exit status.
 *
 * The only library code that prints. A program's option table makes its parsing, its --help, the OPTIONS of its man page
 * (--help-man) and its shell completions (--help-completion=bash|zsh|fish). */
#ifndef TT_CLI_OPT_H
#define TT_CLI_OPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TT_TITAN_VERSION "0.1.0"

enum tt_opt_kind {
    TT_OPT_FLAG,   /* bool at the offset, set to true */
    TT_OPT_INT,    /* int64_t, within [min, max] */
    TT_OPT_STR,    /* const char *, borrowed from argv */
    TT_OPT_SIZE,   /* uint64_t bytes: 65536, 64KiB, 64MiB, 5GB ... */
    TT_OPT_SWITCH, /* bool: --a.name sets it, --a.no_name clears it */
    TT_OPT_LIST,   /* struct tt_opt_list: may be given any number of times */
};

/* The values of an option that may be repeated, in order; borrowed from argv. */
struct tt_opt_list {
    const char **items; /* (n), until tt_opt_release */
    size_t n;
};

struct tt_opt {
    const char *name; /* without dashes; '-' and '_' are the same; "section.key" rows are shown under their section */
    enum tt_opt_kind kind;
    size_t offset;              /* into the struct that tt_opt_parse fills */
    int64_t min, max;           /* INT: both 0 for any */
    const char *arg;            /* what --help calls the value; NULL for a flag */
    const char *const *choices; /* STR: the allowed values, NULL-terminated; NULL: any */
    const char *text;
    const char *also;    /* a second name; NULL: none */
    const char *implied; /* the value where the option stands alone: "--zstd" or "--zstd=9". The next argument is its value only
                          * where it is one of the choices. NULL: an option with a value always has one */
    tt_status (*check)(const char *text, struct tt_err *err); /* STR, LIST: whether the value can be one; the message says what is
                                                               * wrong with it, without the option's name. NULL: any can */
};

struct tt_prog {
    const char *name;          /* "titan-dcp2pt" */
    const char *synopsis;      /* "[options] DCP_DIR FILE.pt" */
    const char *about;         /* one line, the NAME of the man page */
    const struct tt_opt *opts; /* ends with a zeroed row */
    int args_min, args_max;    /* plain arguments; args_max 0: any number */
    const struct tt_opt *shared; /* rows that several programs have, ended by a zeroed row, behind its own; NULL: none */
    uint32_t shared_rows;        /* which of them: bit i is row i */
};

/* Walks over the rows of a program: its own, then those of the shared that it has. */
struct tt_opt_walk {
    const struct tt_prog *prog;
    size_t n; /* rows walked over; starts at 0 */
};
const struct tt_opt *tt_opt_next(struct tt_opt_walk *walk); /* NULL: no more */

/* Fills *dst, and moves the plain arguments, in order, to argv[*first .. argc). Takes --o v, --o=v and "--"; "-" is a plain
 * argument. --help and --version (and the two above) print and exit 0 here. TT_EUSAGE, with a message that names the option and
 * the nearest known one. */
TT_MUST_CHECK tt_status tt_opt_parse(const struct tt_prog *prog, int argc, char **argv, void *dst, int *first, struct tt_err *err);

/* Frees the lists in *dst, and empties them. */
void tt_opt_release(const struct tt_prog *prog, void *dst);

/* For a program that reads the rest in another way (tt_config_load): fills *dst from the shared options alone and takes them out of
 * argv, whose count *argc becomes what is left. The same errors. */
TT_MUST_CHECK tt_status tt_opt_take_shared(const struct tt_prog *prog, int *argc, char **argv, void *dst, struct tt_err *err);

/* Where an argument before "--" is --help (-h), --version, --help-man or --help-completion=SHELL: prints that and exits 0.
 * tt_opt_parse does this first; a program that reads its arguments in another way (tt_config_load) calls it itself. Closed standard
 * streams are occupied, so that no file that is opened later takes their place. */
void tt_prog_answer(const struct tt_prog *prog, int argc, char **argv);

/* "prog: message" and the synopsis on stderr; returns 2. Control characters in the message are escaped. */
int tt_prog_usage(const struct tt_prog *prog, const struct tt_err *err);
/* "prog: message" on stderr; returns 1. */
int tt_prog_report(const struct tt_prog *prog, const struct tt_err *err);
/* "prog: line" on stderr, for what is no error. */
void tt_prog_say(const struct tt_prog *prog, const char *line);
/* Closes stdout, whose write can fail late, and reports that; the exit status: 0, or 1 after failures. */
int tt_prog_finish(const struct tt_prog *prog, int failures);

#endif
