/* Taking images that are alike, one after the other: read, stored, answered. What is not taken is left as it was read.
 *
 * DIMSE answers: PS3.7 section 9.3.1.2.
 */
#ifndef SCANPOST_ALIKE_TAKE_H
#define SCANPOST_ALIKE_TAKE_H

#include <sys/stat.h>

#include "_alike_store.h"

enum { TAKEN = 100, AGAIN = 101 }; /* beside the codes of _reading.h */

/* Send the success; what the kernel did not take at once is left in `out`, and how much that is, returned. */
static Py_ssize_t
answer(int fd, const Plan *plan, const Command *command, unsigned char *out)
{
    static const unsigned char middle[] = {
        0, 0, 0x00, 0x01, 2, 0, 0, 0, 0x01, 0x80, /* command field: C-STORE-RSP */
        0, 0, 0x20, 0x01, 2, 0, 0, 0, 0, 0,       /* message id being responded to */
        0, 0, 0x00, 0x08, 2, 0, 0, 0, 0x01, 0x01, /* data set type: none */
        0, 0, 0x00, 0x09, 2, 0, 0, 0, 0, 0,       /* status: success */
    };
    uint32_t size = (uint32_t)(plan->class_size + command->instance_size) + 2 * 8 + sizeof middle;
    unsigned char *p = out;
    Py_ssize_t total;
    ssize_t sent;
    *p++ = P_DATA;
    *p++ = 0;
    put32_big(p, size + 12 + 6);
    put32_big(p + 4, size + 12 + 2);
    p[8] = (unsigned char)plan->context;
    p[9] = 3; /* the last fragment of a command */
    p += 10;
    memset(p, 0, 4); /* group length */
    put32(p + 4, 4);
    put32(p + 8, size);
    p += 12;
    put32(p, 0x00020000);
    put32(p + 4, (uint32_t)plan->class_size);
    memcpy(p + 8, plan->sop_class, (size_t)plan->class_size);
    p += 8 + plan->class_size;
    memcpy(p, middle, sizeof middle);
    memcpy(p + 18, command->id, 2);
    p += sizeof middle;
    put32(p, 0x10000000);
    put32(p + 4, (uint32_t)command->instance_size);
    memcpy(p + 8, command->instance, (size_t)command->instance_size);
    p += 8 + command->instance_size;
    total = p - out;
    sent = send(fd, out, (size_t)total, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0)
        return total;
    memmove(out, out + sent, (size_t)(total - sent));
    return total - sent;
}

/* Make it as safe as promised, and answer it. 0: that cannot be, and it is not answered. */
static int
finish(Plan *plan, const Reader *r, Job *job, int sync)
{
    static const unsigned char open_seal = SEAL_OPEN;
    Taken *taken = &job->taken[job->count];
    struct stat found;
    int fd = job->fds[job->count];
    if (sync && fdatasync(fd) != 0) {
        job->failed = SYNCED;
        job->failed_errno = errno;
        /* Memory may show what the disk has not: it must not be taken for whole after this process. */
        if (pwrite(fd, &open_seal, 1, taken->offset - PRIVATE) != 1)
            job->failed_errno = EIO;
        return 0;
    }
    lap(SYNC);
    /* Made ahead, it may have waited: what has no name is gone with its last descriptor. */
    if (fstat(fd, &found) != 0 || found.st_nlink == 0 || halted(job))
        return 0;
    close(fd);
    job->fds[job->count] = -1;
    job->used += taken->values_size;
    job->room -= taken->length;
    plan->lately[1] = plan->lately[0];
    plan->lately[0] = taken->length;
    job->count++;
    job->started = job->early = 0;
    lap(CLOSE);
    job->owed_size = answer(r->fd, plan, &job->command, job->owed);
    lap(ANSWER);
    return 1;
}

/* Read one message; TAKEN, or the code with which it goes the usual way. */
static int
take_one(Plan *plan, Reader *r, Job *job, int sync)
{
    int code = STOPPED, takes = job->count < job->ready;
    r->pause = takes ? EARLY : 0;
    r->since = 0;
    r->late = 0;
    if (job->count) {
        if (r->start == r->end && !get(r))
            return STOPPED;
        r->look = now() + job->wait; /* most come whole in that time, and the usual way would cost far more */
    }
    if (read_command(r)) {
        while ((code = read_data(r)) == PAUSED) {
            lap(RECEIVE);
            if (!store_part(plan, r, job)) {
                code = MORE;
                break;
            }
            r->pause = job->started ? job->done + PORTION - size_of(r) : PORTION; /* what ends a portion is there then */
        }
        if (code == STOPPED && r->late)
            code = MORE; /* it goes on as any other, once the rows of those before are on their way */
    }
    lap(RECEIVE);
    if (takes && code == WHOLE && store_rest(plan, r, job) && finish(plan, r, job, sync))
        return TAKEN;
    if (job->started && !job->failed)
        job->failed = WROTE; /* in part: its file is to be removed */
    return code;
}

/* Wait until something comes. After a long wait it is AGAIN: what allowed to take images is to be looked at again first. */
static int
wait_for_first(Reader *r, double wait)
{
    r->start = r->end = 0;
    r->late = 0;
    r->look = now() + wait;
    if (get(r)) {
        r->look = 0;
        return TAKEN;
    }
    r->look = 0;
    if (!r->late)
        return STOPPED;
    return get(r) ? AGAIN : STOPPED;
}

/* Read messages and take those that are alike, until one is not, or one of the limits is reached; the code of the last. */
static int
work(Plan *plan, Reader *r, Job *job, int sync)
{
    double idle = r->deadline;
    lap(LAPS);
    for (;;) {
        int code, there = prepare(plan, job, sync);
        lap(MAKE);
        r->command = r->command_end = -1;
        r->count = 0;
        r->pdv_left = 0;
        r->last = 0;
        r->deadline = idle;
        if (job->failed || (job->count && (job->owed_size || r->pdu_left || !there || now() >= job->due))) {
            r->deadline = now() + r->busy; /* of a PDU that has begun to come */
            return STOPPED;                /* nothing is read: the rows are to be written, or the answer sent, first */
        }
        if (r->start == r->end) {
            r->start = r->end = 0;
            if (!job->count && (code = wait_for_first(r, job->wait)) != TAKEN)
                return code;
        }
        else if (r->start > r->size / 4) {
            memmove((void *)r->data, r->data + r->start, (size_t)(r->end - r->start));
            r->end -= r->start;
            r->start = 0;
        }
        code = take_one(plan, r, job, sync);
        if (code != TAKEN)
            return code;
        if (job->count == 1)
            job->due = now() + job->wait;
        r->look = job->due;
    }
}

#endif
