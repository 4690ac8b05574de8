/* lib/base/clock.h: how long something takes. */
#ifndef TT_BASE_CLOCK_H
#define TT_BASE_CLOCK_H

/* Seconds of a clock that nobody sets; only differences mean something. */
double tt_seconds(void);

#endif
