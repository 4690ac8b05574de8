#define _GNU_SOURCE
#include "cli/signals.h"

#include <stddef.h>

static volatile sig_atomic_t stopped_by; /* a handler has nowhere else to write to */

static void on_signal(int sig) { stopped_by = sig; }

void tt_signals_write_errors(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void tt_signals_catch(void)
{
    static const int caught[] = { SIGINT, SIGTERM };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, NULL);
}

const volatile sig_atomic_t *tt_signals_stop(void) { return &stopped_by; }

int tt_signals_end(void)
{
    signal(stopped_by, SIG_DFL);
    raise(stopped_by);
    return 128 + stopped_by;
}
