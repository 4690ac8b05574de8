/* lib/cli/signals.h: SIGINT and SIGTERM ask a program to end in good order; a second one of the same kind ends it at once. A SIGTERM
 * within a second of the first is the same one, sent to the process and to its group. Where the program was started with one of the
 * two ignored, it stays so. */
#ifndef TT_CLI_SIGNALS_H
#define TT_CLI_SIGNALS_H

#include <signal.h>

/* From here on a closed pipe, and a file over RLIMIT_FSIZE, are errors of the write, with a message. */
void tt_signals_write_errors(void);

/* From here on the first SIGINT or SIGTERM only sets what tt_signals_stop points to: its number, 0 while there was none. */
void tt_signals_catch(void);
/* The same, and any SIGUSR1, which a scheduler sends some time before it ends a job (Slurm's --signal). */
void tt_signals_catch_notice(void);
/* Until one of these SIGTERM and SIGUSR1 end the process at once, with this status. line: what it then says on stderr; it stays. */
void tt_signals_exit(const char *line, int status);
const volatile sig_atomic_t *tt_signals_stop(void);

/* Ends the process by the signal that was caught: whoever started the program wants to see that in its status. Returns a status for
 * exit where the signal does not end it. */
int tt_signals_end(void);

#endif
