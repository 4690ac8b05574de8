/* lib/train/memory.h: how much memory this process held at its peak. */
#ifndef TT_TRAIN_MEMORY_H
#define TT_TRAIN_MEMORY_H

#include <stdint.h>

/* Bytes of the machine, or of the control group that the process may not leave, whichever is less. */
uint64_t tt_memory_total(void);

/* The most resident bytes since tt_memory_reset_peak (since the start, where the system does not let a process reset it). 0 where
 * the system does not say. */
uint64_t tt_memory_peak(void);
void tt_memory_reset_peak(void);

#endif
