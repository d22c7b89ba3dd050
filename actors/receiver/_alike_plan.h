/* What images are compared with, and the comparison: a command and a header that differ only where they may.
 * Which images are alike stands in protocol/header/alike.py; nothing here reads, writes or decides about anything else.
 *
 * Command sets: PS3.7 section 6.3.1 and 9.3.1; data sets: PS3.5 section 7.1.
 */
#ifndef SCANPOST_ALIKE_PLAN_H
#define SCANPOST_ALIKE_PLAN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "_alike_digest.h"
#include "_reading.h"

enum { STAYS = 0, VARIES = 1, WANTED = 2, INSTANCE = 3 }; /* kinds of elements; see Likeness */

enum {
    MOST_CHANGED = 64,        /* wanted elements of one image */
    MOST_VALUES = 256 * 1024, /* bytes of them, of all images of a call */
    LONGEST_UID = 64
};

typedef struct {
    uint32_t at, size, length_at, value_at, kind; /* see plan() */
} Element;

typedef struct {
    int context;       /* presentation context id */
    int explicit_vr;   /* else implicit; always little endian */
    Py_ssize_t most;   /* bytes of a data set */
    unsigned char *head; /* the header that others are compared with, and the beginning of the pixel data's element */
    Py_ssize_t head_size, stop_size;
    Element *elements;
    Py_ssize_t count;
    unsigned char *sop_class; /* as in the command */
    Py_ssize_t class_size;
    unsigned char *before, *after; /* of the file meta's element with the SOP instance UID */
    Py_ssize_t before_size, after_size;
    unsigned char association[16];
    int folder; /* descriptor of where the files go, -1: not open */
    void *state;  /* of the digest */
    unsigned char *values; /* room for MOST_VALUES */
    Py_ssize_t lately[2];  /* bytes of the data set that was taken last, and of the one before it */
} Plan;

static void
forget(Plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->head);
    free(plan->elements);
    free(plan->sop_class);
    free(plan->before);
    free(plan->after);
    if (plan->folder >= 0)
        close(plan->folder);
    free(plan->values);
    if (plan->state != NULL)
        xxh3.release(plan->state);
    free(plan);
}

static uint32_t
little16(const unsigned char *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

static void
put32(unsigned char *p, uint32_t number)
{
    p[0] = (unsigned char)number;
    p[1] = (unsigned char)(number >> 8);
    p[2] = (unsigned char)(number >> 16);
    p[3] = (unsigned char)(number >> 24);
}

static void
put32_big(unsigned char *p, uint32_t number)
{
    p[0] = (unsigned char)(number >> 24);
    p[1] = (unsigned char)(number >> 16);
    p[2] = (unsigned char)(number >> 8);
    p[3] = (unsigned char)number;
}

typedef struct {
    const unsigned char *instance; /* SOP instance UID as in the command, padded to even length */
    Py_ssize_t instance_size, uid_size; /* without padding */
    unsigned char id[2]; /* message id */
} Command;


/* As valid_uid in uids.py: numbers joined by dots. */
static int
is_uid(const unsigned char *p, Py_ssize_t size)
{
    Py_ssize_t i;
    int digits = 0;
    if (size < 1 || size > LONGEST_UID)
        return 0;
    for (i = 0; i < size; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            digits++;
        else if (p[i] == '.' && digits)
            digits = 0;
        else
            return 0;
    }
    return digits > 0;
}

/* Whether a C-STORE-RQ is for an object of the same class and has nothing that this file does not know. */
static int
plain_command(const Plan *plan, const unsigned char *p, Py_ssize_t size, Command *command)
{
    unsigned seen = 0;
    while (size > 0) {
        uint32_t length, bit;
        if (size < 8)
            return 0;
        length = little32(p + 4);
        if (p[0] || p[1] || (uint64_t)length > (uint64_t)(size - 8))
            return 0;
        switch (little16(p + 2)) {
        case 0x0000: bit = 1; break;
        case 0x0002: bit = 2; break;
        case 0x0100: bit = 4; break;
        case 0x0110: bit = 8; break;
        case 0x0700: bit = 16; break;
        case 0x0800: bit = 32; break;
        case 0x1000: bit = 64; break;
        default: return 0;
        }
        if (seen & bit)
            return 0;
        seen |= bit;
        if (bit == 2) {
            if (length != (uint64_t)plan->class_size || memcmp(p + 8, plan->sop_class, length) != 0)
                return 0;
        }
        else if (bit == 64) {
            command->instance = p + 8;
            command->instance_size = command->uid_size = (Py_ssize_t)length;
            if (length & 1)
                return 0;
            if (length && p[8 + length - 1] == 0)
                command->uid_size--;
            if (!is_uid(command->instance, command->uid_size))
                return 0;
        }
        else if (bit == 8) {
            if (length != 2)
                return 0;
            memcpy(command->id, p + 8, 2);
        }
        p += 8 + length;
        size -= 8 + (Py_ssize_t)length;
    }
    /* That it is a request to store with a data set, is_store() has seen. */
    return (seen & (2 | 4 | 8 | 32 | 64)) == (2 | 4 | 8 | 32 | 64);
}

/* Compare a header with the plan's. What differs is written to `values` as (number, size, bytes); its size, or -1: not alike. */
static Py_ssize_t
compare(const Plan *plan, const unsigned char *data, Py_ssize_t size, const unsigned char *uid, Py_ssize_t uid_size,
        unsigned char *values, Py_ssize_t room, int *changed)
{
    Py_ssize_t pos = 0, used = 0, i;
    int instance = 0;
    *changed = 0;
    for (i = 0; i < plan->count; i++) {
        const Element *e = &plan->elements[i];
        const unsigned char *seen = plan->head + e->at, *here = data + pos;
        Py_ssize_t left = size - pos, length;
        if (e->kind != INSTANCE && left >= (Py_ssize_t)e->size && memcmp(here, seen, e->size) == 0) {
            pos += e->size;
            continue;
        }
        if (e->kind == STAYS || left < (Py_ssize_t)e->value_at || memcmp(here, seen, e->length_at) != 0)
            return -1;
        if (e->value_at - e->length_at == 2)
            length = (Py_ssize_t)little16(here + e->length_at);
        else {
            uint32_t word = little32(here + e->length_at);
            if (word == 0xFFFFFFFF)
                return -1;
            length = (Py_ssize_t)word;
        }
        if (length > left - (Py_ssize_t)e->value_at)
            return -1;
        here += e->value_at;
        if (e->kind == INSTANCE) {
            Py_ssize_t bare = length && here[length - 1] == 0 ? length - 1 : length;
            if (bare != uid_size || memcmp(here, uid, (size_t)bare) != 0)
                return -1;
            instance = 1;
        }
        if (e->kind != VARIES) {
            if (*changed == MOST_CHANGED || room - used < length + 8)
                return -1;
            put32(values + used, (uint32_t)i);
            put32(values + used + 4, (uint32_t)length);
            memcpy(values + used + 8, here, (size_t)length);
            used += 8 + length;
            ++*changed;
        }
        pos += e->value_at + length;
    }
    /* The pixel data's element begins here, and its head is whole. */
    if (!instance || size - pos < (plan->explicit_vr ? 12 : 8) ||
        memcmp(data + pos, plan->head + plan->head_size, (size_t)plan->stop_size) != 0)
        return -1;
    return used;
}

#endif
