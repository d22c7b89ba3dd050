/* Reading C-STORE requests off a plain socket, for the compiled helpers (_fast.c here, _alike.c of the receiver): no Python in it.
 *
 * It decides nothing and refuses nothing: whatever is not the plain case (another PDU, a cut command, a length that makes
 * no sense, a limit of time, the end of the connection) makes it stop where it stands, and reading.py goes on from there as
 * it does without these files. So it must keep exactly the state that reading.py keeps, and must never read or write outside
 * of the buffer that it is given.
 *
 * PDUs: PS3.8 section 9.3.1 and 9.3.5, PDVs: annex E.2, command sets: PS3.7 section 6.3.1.
 */
#ifndef SCANPOST_READING_H
#define SCANPOST_READING_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

enum { STOPPED = 0, WHOLE = 1, MORE = 2, PAUSED = 3 }; /* see receive(), PAUSED with `pause` */

enum {
    P_DATA = 4,              /* PDU type */
    HEADERS = 12,            /* bytes of the headers of a PDU and a PDV; reading.py keeps so many free as well */
    MOST_PIECES = 256,       /* more make one call several */
    MOST_COMMAND = 64 * 1024 /* bytes of a PDV with a command set, as in reading.py */
};

typedef struct {
    int fd;
    const unsigned char *data; /* the buffer */
    Py_ssize_t size, start, end;
    Py_ssize_t pdu_left; /* bytes of the current P-DATA-TF not consumed yet */
    Py_ssize_t pdv_left; /* bytes of the current fragment of the data set not consumed yet */
    int last;            /* whether that fragment is the last */
    int context;         /* presentation context id */
    Py_ssize_t max_pdu, moved;
    double began, busy, deadline, slowest;
    double look; /* come back by then, even if nothing came; 0: wait as long as the kernel does */
    int late;    /* that is why get() came back */
    Py_ssize_t pause, since; /* bytes of a data set after which to come back in between, and those since then; 0: never */
    Py_ssize_t command, command_end; /* where the command set lies; -1: none was read */
    Py_ssize_t pieces[2 * MOST_PIECES];
    int count; /* of pieces */
    int error; /* errno of a failed recv */
} Reader;

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t
big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
little32(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Wait for something to come until `look`. */
static int
comes(const Reader *r)
{
    struct pollfd wanted = {.fd = r->fd, .events = POLLIN};
    double left = r->look - now();
    return left > 0 && poll(&wanted, 1, (int)(left * 1e3) + 1) > 0;
}

/* Append what comes next to the buffer; 0 if that is for reading.py to do: no room, no time left, nothing came, the end. */
static int
get(Reader *r)
{
    ssize_t count;
    int flags = MSG_DONTWAIT;
    if (r->size - r->end < 1)
        return 0;
    for (;;) {
        count = recv(r->fd, (void *)(r->data + r->end), (size_t)(r->size - r->end), flags);
        if (count > 0) {
            r->end += count;
            return 1;
        }
        if (count == 0)
            return 0;
        if (!flags || (errno != EAGAIN && errno != EWOULDBLOCK)) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
                r->error = errno;
            return 0;
        }
        if (now() >= r->deadline)
            return 0;
#ifdef TCP_QUICKACK
        {
            /* We are about to wait: a sender with Nagle's algorithm on waits for our acknowledgement meanwhile. */
            int one = 1;
            (void)setsockopt(r->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
        }
#endif
        if (r->look > 0) {
            if (!comes(r)) {
                r->late = 1;
                return 0;
            }
        }
        else
            flags = 0;
    }
}

/* See to it that `need` bytes (no more than a header) are in the buffer. */
static int
fill(Reader *r, Py_ssize_t need)
{
    while (r->end - r->start < need) {
        if (r->size - r->start < need || !get(r))
            return 0;
    }
    return 1;
}

/* The header of the next P-DATA-TF; 0: it is no such PDU or has not come, and nothing is consumed. */
static int
next_pdu(Reader *r)
{
    uint32_t length;
    if (r->size - r->end < HEADERS && r->end - r->start < 6)
        return 0;
    if (!fill(r, 1))
        return 0;
    r->deadline = now() + r->busy;
    if (r->data[r->start] != P_DATA || !fill(r, 6))
        return 0;
    length = big32(r->data + r->start + 2);
    if (length < 6 || (uint64_t)length > (uint64_t)r->max_pdu)
        return 0;
    r->start += 6;
    r->pdu_left = (Py_ssize_t)length;
    return 1;
}

/* Look at the header of a PDV, without consuming it; the length of its contents, -1 if that is for reading.py. */
static Py_ssize_t
look_at_pdv(Reader *r, int *context, int *control)
{
    uint32_t length;
    if (r->pdu_left < 6 || !fill(r, 6))
        return -1;
    length = big32(r->data + r->start);
    if (length < 2 || (uint64_t)length + 4 > (uint64_t)r->pdu_left)
        return -1;
    *context = r->data[r->start + 4];
    *control = r->data[r->start + 5];
    return (Py_ssize_t)length - 2;
}

static void
take_pdv(Reader *r, Py_ssize_t length)
{
    r->start += 6;
    r->pdu_left -= length + 6;
    r->moved += length;
}

/* Whether a command set is surely a C-STORE-RQ that a data set follows; anything odd about it is reading.py's to judge. */
static int
is_store(const unsigned char *p, Py_ssize_t size)
{
    int requests = 0, follow = 0;
    while (size > 0) {
        uint32_t length;
        if (size < 8)
            return 0;
        length = little32(p + 4);
        if (p[0] || p[1] || (uint64_t)length > (uint64_t)(size - 8))
            return 0;
        if (p[2] == 0x00 && p[3] == 0x01) { /* command field */
            if (length != 2 || p[8] != 0x01 || p[9] != 0x00)
                return 0;
            requests++;
        }
        else if (p[2] == 0x00 && p[3] == 0x08) { /* data set type; 0101 is none */
            if (length != 2 || (p[8] == 0x01 && p[9] == 0x01))
                return 0;
            follow++;
        }
        p += 8 + length;
        size -= 8 + (Py_ssize_t)length;
    }
    return requests == 1 && follow == 1;
}

/* A command in one PDV, from the beginning of a message. 0: reading.py reads it, from where `start` still is. */
static int
read_command(Reader *r)
{
    int context, control;
    Py_ssize_t length;
    if (!next_pdu(r))
        return 0;
    r->began = now();
    length = look_at_pdv(r, &context, &control);
    if (length < 0 || length > MOST_COMMAND - 2 || control != 3 || r->size - r->start < length + 6)
        return 0;
    while (r->end - r->start < length + 6)
        if (!get(r))
            return 0;
    r->moved = 0;
    take_pdv(r, length);
    r->context = context;
    r->command = r->start;
    r->start += length;
    r->command_end = r->start;
    return is_store(r->data + r->command, length);
}

/* As much of the data set as comes and fits. */
static int
read_data(Reader *r)
{
    for (;;) {
        while (r->pdv_left) {
            Py_ssize_t there = r->end - r->start;
            if (!there) {
                if (!get(r))
                    return STOPPED;
                continue;
            }
            if (there > r->pdv_left)
                there = r->pdv_left;
            if (r->count && r->pieces[2 * r->count - 1] == r->start)
                r->pieces[2 * r->count - 1] += there;
            else {
                if (r->count == MOST_PIECES)
                    return MORE;
                r->pieces[2 * r->count] = r->start;
                r->pieces[2 * r->count + 1] = r->start + there;
                r->count++;
            }
            r->start += there;
            r->pdv_left -= there;
            r->since += there;
            if (r->pause && r->since >= r->pause) {
                r->since = 0;
                return PAUSED;
            }
        }
        if (r->last)
            return WHOLE;
        if (r->size - r->end < HEADERS) {
            if (!r->pdu_left)
                r->deadline = 0; /* that of the PDU before is not the next one's: no header of it was looked at */
            return STOPPED; /* as reading.py: room for headers first, else what is held back has to go */
        }
        if (!r->pdu_left) {
            double moment = now(), left = r->began + r->busy + (double)r->moved / r->slowest - moment;
            if (left <= 0)
                return STOPPED;
            r->deadline = moment + (left < r->busy ? left : r->busy);
            if (!next_pdu(r))
                return STOPPED;
        }
        {
            int context, control;
            Py_ssize_t length = look_at_pdv(r, &context, &control);
            if (length < 0 || control & 1 || context != r->context)
                return STOPPED;
            take_pdv(r, length);
            r->pdv_left = length;
            r->last = (control & 2) != 0;
        }
    }
}

#endif
