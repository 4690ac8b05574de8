#define _GNU_SOURCE
#include "base/limit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static char text[512];

static void end(int signum)
{
    (void)signum;
    alarm(2); /* whoever reads standard error may not: the default action then */
    const ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
    _exit(1);
}

static void set_timer(double seconds)
{
    const time_t s = (time_t)seconds;
    const struct itimerval timer = { .it_value = { .tv_sec = s, .tv_usec = (suseconds_t)((seconds - (double)s) * 1e6) } };
    setitimer(ITIMER_REAL, &timer, NULL);
}

void tt_limit_begin(double seconds, const char *message)
{
    const struct sigaction action = { .sa_handler = end, .sa_flags = SA_RESETHAND | SA_NODEFER };

    tt_limit_end();
    text[0] = '\0';
    if (*message)
        snprintf(text, sizeof text, "%s: %s\n", program_invocation_short_name, message);
    sigaction(SIGALRM, &action, NULL);
    set_timer(seconds);
}

void tt_limit_end(void) { set_timer(0); }
