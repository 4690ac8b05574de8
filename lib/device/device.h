/* lib/device/device.h: what runs a program: memory, queues in order, events as points in them, a launch per operation.
 *
 * The CPU device runs an operation when it is launched, on all cores; but a collective is only posted then, and its event passes when
 * the communicator is done with it. A CUDA device launches onto streams. A device offers the same table of launches whatever its kind: one function an operation of lib/program. */
#ifndef TT_DEVICE_DEVICE_H
#define TT_DEVICE_DEVICE_H

#include "base/pool.h"
#include "comm/comm.h"
#include "kernels.h"
#include "program/program.h"

struct tt_device;

struct tt_event {
    enum tt_queue queue;
    uint64_t seq;
};

/* An operation with every pointer in place. A value that is not there has NULL. */
struct tt_call {
    const struct tt_op *op;
    const struct tt_valdesc *val; /* the program's values */
    void *in[TT_OP_IN], *out[TT_OP_OUT];
    void *scratch; /* as many bytes as the device asked for, aligned to 64 */
};

/* What the SCALAR values of a program point into. */
struct tt_adam_now {
    struct tt_adam_consts consts;
    struct tt_adam_scalars scalars;
};

struct tt_scalars {
    float one, inv_tokens, grad_norm, clip;
    double max_norm;
    struct tt_adam_now *adam; /* an element a microbatch where the backward steps, else one */
    double sumsq[];           /* an element a parameter */
};

struct tt_device_ops {
    tt_status (*alloc)(struct tt_device *device, uint64_t nbytes, void **out, struct tt_err *err); /* zeroed, aligned to 64 */
    void (*dealloc)(struct tt_device *device, void *p, uint64_t nbytes);
    uint64_t (*scratch)(struct tt_device *device, const struct tt_op *op, const struct tt_valdesc *val);
    tt_status (*launch)(struct tt_device *device, const struct tt_call *call, struct tt_event *done, struct tt_err *err);
    /* What is launched onto the queue from now on comes after these events. */
    tt_status (*after)(struct tt_device *device, enum tt_queue queue, const struct tt_event *event, int n, struct tt_err *err);
    tt_status (*sync)(struct tt_device *device, struct tt_err *err); /* the only wait of the host */
    void (*free)(struct tt_device *device);
};

struct tt_device {
    const char *name; /* "cpu" */
    const struct tt_device_ops *ops;
    struct tt_comm *comm[TT_NQ]; /* that carry the queues' collectives; borrowed, set by whoever has them; NULL: there are none */
};

/* pool and kernels are borrowed; pool NULL: one thread. */
TT_MUST_CHECK tt_status tt_device_cpu(struct tt_device **out, struct tt_pool *pool, const struct tt_kernels *kernels,
                                      struct tt_err *err);
void tt_device_free(struct tt_device *device);

#endif
