#define _GNU_SOURCE
/* For LD_PRELOAD: SIGUSR2 stops the program's first thread for ever, and no other. */
#include <signal.h>
#include <unistd.h>

static void stay(int sig)
{
    (void)sig;
    for (;;)
        pause();
}

__attribute__((constructor)) static void start(void) { signal(SIGUSR2, stay); }
