/* lib/base/limit.h: ends this process where what nobody else looks after, as the start of a library, takes longer than it may. It is
 * a timer of SIGALRM: one at a time in a process. */
#ifndef TT_BASE_LIMIT_H
#define TT_BASE_LIMIT_H

/* After so many seconds the process writes `message`, if there is one, to standard error as "PROGRAM: message", and exits with status
 * 1. 0 seconds: there is no limit, as after tt_limit_end. message is copied. */
void tt_limit_begin(double seconds, const char *message);
void tt_limit_end(void);

#endif
