#define _GNU_SOURCE
#include "cli/signals.h"

static volatile sig_atomic_t stopped_by; /* a handler has nowhere else to write to */

static void on_signal(int sig) { stopped_by = sig; }

void tt_signals_write_errors(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void catch_one(int sig)
{
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
    sigaction(sig, &action, NULL);
}

void tt_signals_catch(void)
{
    catch_one(SIGINT);
    catch_one(SIGTERM);
}

void tt_signals_catch_notice(void)
{
    tt_signals_catch();
    catch_one(SIGUSR1);
}

const volatile sig_atomic_t *tt_signals_stop(void) { return &stopped_by; }

int tt_signals_end(void)
{
    signal(stopped_by, SIG_DFL);
    raise(stopped_by);
    return 128 + stopped_by;
}
