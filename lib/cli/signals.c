#define _GNU_SOURCE
#include "cli/signals.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A handler has nowhere else to look and to write to. */
static volatile sig_atomic_t stopped_by;
static volatile int64_t terminated_ns; /* when SIGTERM came; 0: not yet */
static const char *last_line;
static int exit_status;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return INT64_C(1000000000) * t.tv_sec + t.tv_nsec;
}

static void on_signal(int sig) { stopped_by = sig; }

static void on_term(int sig)
{
    const int64_t now = now_ns();
    on_signal(sig);
    if (terminated_ns == 0)
        terminated_ns = now;
    else if (now - terminated_ns > INT64_C(1000000000)) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
}

static void on_exit_signal(int sig)
{
    (void)sig;
    const ssize_t n = write(STDERR_FILENO, last_line, strlen(last_line));
    (void)n;
    _exit(exit_status);
}

void tt_signals_write_errors(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* oneDNN's float32 products point the stack pointer into a buffer from malloc, and a signal's frame would be written over what lies
 * below that. The stack is the first thread's, which catches first and alone takes signals (lib/base/thread.h): a rank that is a
 * thread may catch later, and must not have it for its own. */
static void handle_on_own_stack(void)
{
    static char memory[1 << 16];
    static bool done;
    const stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory };
    if (!done)
        done = sigaltstack(&stack, NULL) == 0;
}

/* By a shell that starts the program in the background, or whoever else means it to go on. A SIGUSR1 is for nobody but the program. */
static bool is_to_be_ignored(int sig)
{
    struct sigaction now;
    return sig != SIGUSR1 && sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void catch_one(int sig, void (*handler)(int), int flags)
{
    const struct sigaction action = { .sa_handler = handler, .sa_flags = flags | SA_RESTART | SA_ONSTACK };
    if (is_to_be_ignored(sig))
        return;
    handle_on_own_stack();
    sigaction(sig, &action, NULL);
}

void tt_signals_catch(void)
{
    catch_one(SIGINT, on_signal, (int)SA_RESETHAND);
    catch_one(SIGTERM, on_term, 0);
}

void tt_signals_catch_notice(void)
{
    tt_signals_catch();
    catch_one(SIGUSR1, on_signal, 0);
}

void tt_signals_exit(const char *line, int status)
{
    last_line = line;
    exit_status = status;
    catch_one(SIGTERM, on_exit_signal, 0);
    catch_one(SIGUSR1, on_exit_signal, 0);
}

const volatile sig_atomic_t *tt_signals_stop(void) { return &stopped_by; }

int tt_signals_end(void)
{
    signal(stopped_by, SIG_DFL);
    raise(stopped_by);
    return 128 + stopped_by;
}
