#include "format/tfevents.h"

#include <string.h>

/* --- protocol buffers ------------------------------------------------------------------------------------------------------ */

enum wire { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_BYTES = 2, WIRE_32_BITS = 5 };

static void put_varint(struct tt_buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        tt_buf_byte(out, (uint8_t)(v | 0x80));
    tt_buf_byte(out, (uint8_t)v);
}

static void put_key(struct tt_buf *out, unsigned field, enum wire wire) { put_varint(out, field << 3 | wire); }

static void put_double(struct tt_buf *out, unsigned field, double v)
{
    put_key(out, field, WIRE_64_BITS);
    tt_buf_put(out, &v, sizeof v);
}

static void put_float(struct tt_buf *out, unsigned field, float v)
{
    put_key(out, field, WIRE_32_BITS);
    tt_buf_put(out, &v, sizeof v);
}

static void put_bytes(struct tt_buf *out, unsigned field, const void *bytes, size_t nbytes)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, nbytes);
    tt_buf_put(out, bytes, nbytes);
}

static void put_str(struct tt_buf *out, unsigned field, const char *s) { put_bytes(out, field, s, strlen(s)); }

/* A message inside another, which is emptied for the next. */
static void put_message(struct tt_buf *out, unsigned field, struct tt_buf *message)
{
    out->failed |= message->failed;
    put_bytes(out, field, message->data, message->len);
    tt_buf_clear(message);
}

/* --- records --------------------------------------------------------------------------------------------------------------- */

/* Castagnoli's polynomial, bits reversed. A record has a few hundred bytes, so it goes bit by bit. */
static uint32_t masked_crc32c(const uint8_t *bytes, size_t nbytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < nbytes; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_record(struct tt_buf *out, const struct tt_buf *event)
{
    const uint64_t nbytes = event->len;
    out->failed |= event->failed;
    tt_buf_le64(out, nbytes);
    tt_buf_le32(out, masked_crc32c((const uint8_t *)&nbytes, sizeof nbytes));
    tt_buf_put(out, event->data, event->len);
    tt_buf_le32(out, masked_crc32c(event->data, event->len));
}

void tt_tfevents_begin(struct tt_buf *out, double wall_time)
{
    struct tt_buf event = { 0 }, source = { 0 };
    put_str(&source, 1, "titan");
    put_double(&event, 1, wall_time);
    put_str(&event, 3, "brain.Event:2");
    put_message(&event, 10, &source);
    put_record(out, &event);
    tt_buf_release(&source);
    tt_buf_release(&event);
}

void tt_tfevents_scalars(struct tt_buf *out, double wall_time, int64_t step, const struct tt_tfscalar *scalars, size_t n)
{
    struct tt_buf event = { 0 }, summary = { 0 }, value = { 0 };
    for (size_t i = 0; i < n; i++) {
        put_str(&value, 1, scalars[i].tag);
        put_float(&value, 2, (float)scalars[i].value);
        put_message(&summary, 1, &value);
    }
    put_double(&event, 1, wall_time);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_message(&event, 5, &summary);
    put_record(out, &event);
    tt_buf_release(&value);
    tt_buf_release(&summary);
    tt_buf_release(&event);
}
