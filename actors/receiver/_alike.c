/* Takes in images that are like the one before, compiled: reads each off a plain socket, compares its header, writes its
 * file and answers, without the interpreter's lock. Which images are alike stands in protocol/header/alike.py.
 *
 * It decides nothing: an image of which anything is not as expected is left in the buffer as fast.receive would leave it, and
 * goes the way that all images go without this file. What it does for an image is what Writer.put and the acceptor do, in
 * their order: file made, header and data written, synced if so promised, looked for under its name, answered.
 *
 * Command sets: PS3.7 section 6.3.1 and 9.3.1; data sets: PS3.5 section 7.1; file meta: PS3.10 section 7.1.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "_reading.h"

enum { INTERFACE = 1 }; /* count up with each change of what the functions take or give; alike.py holds the same number */

enum { STAYS = 0, VARIES = 1, WANTED = 2, INSTANCE = 3 }; /* kinds of elements; see Likeness */
enum { WROTE = 1, SYNCED = 2 };                           /* what failed; see receive() */

enum {
    MOST = 64,              /* images of one call */
    MOST_CHANGED = 64,      /* wanted elements of one image */
    MOST_VALUES = 256 * 1024, /* bytes of them, of all images of a call */
    MOST_META = 8192,       /* as in part10.py */
    PRIVATE = 66,           /* bytes of the private element there */
    AT_ONCE = 128 * 1024 + 4096, /* as in fsops.py: the kernel has to look for larger blocks */
    LONGEST_UID = 64
};

static const char NAME[] = "scanpost.alike";

/* -- the digest: a function of libxxhash, which is looked for when this module is loaded -------------------------------- */

typedef struct {
    uint64_t low, high;
} Hash;

static struct {
    Hash (*whole)(const void *, size_t);
    void *(*create)(void);
    int (*reset)(void *);
    int (*update)(void *, const void *, size_t);
    Hash (*digest)(const void *);
    int (*release)(void *);
} xxh3;

static int
find_digest(void)
{
    unsigned (*version)(void);
    void *library = dlopen("libxxhash.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return 0;
    *(void **)&version = dlsym(library, "XXH_versionNumber");
    if (version == NULL || version() < 800) /* before it XXH3 was not settled */
        return 0;
    *(void **)&xxh3.whole = dlsym(library, "XXH3_128bits");
    *(void **)&xxh3.create = dlsym(library, "XXH3_createState");
    *(void **)&xxh3.reset = dlsym(library, "XXH3_128bits_reset");
    *(void **)&xxh3.update = dlsym(library, "XXH3_128bits_update");
    *(void **)&xxh3.digest = dlsym(library, "XXH3_128bits_digest");
    *(void **)&xxh3.release = dlsym(library, "XXH3_freeState");
    return xxh3.whole && xxh3.create && xxh3.reset && xxh3.update && xxh3.digest && xxh3.release;
}

/* -- what does not change from image to image ----------------------------------------------------------------------------- */

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
    char *folder; /* with a slash behind */
    void *state;  /* of the digest */
    unsigned char *values; /* room for MOST_VALUES */
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
    free(plan->folder);
    free(plan->values);
    if (plan->state != NULL)
        xxh3.release(plan->state);
    free(plan);
}

/* -- one image -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const unsigned char *instance; /* SOP instance UID as in the command, padded to even length */
    Py_ssize_t instance_size, uid_size; /* without padding */
    unsigned char id[2]; /* message id */
} Command;

typedef struct {
    unsigned char uid[LONGEST_UID];
    int uid_size;
    unsigned char digest[16];
    Py_ssize_t length, offset; /* of the data set, and where it begins in the file */
    double received;
    Py_ssize_t values, values_size; /* where its changed values lie: number of the element, size, bytes, and so on */
    int changed;
} Taken;

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

static void
digest_of(const Plan *plan, const Reader *r, unsigned char *digest)
{
    Hash hash;
    int i;
    if (r->count == 1)
        hash = xxh3.whole(r->data + r->pieces[0], (size_t)(r->pieces[1] - r->pieces[0]));
    else {
        xxh3.reset(plan->state);
        for (i = 0; i < r->count; i++)
            xxh3.update(plan->state, r->data + r->pieces[2 * i], (size_t)(r->pieces[2 * i + 1] - r->pieces[2 * i]));
        hash = xxh3.digest(plan->state);
    }
    put32_big(digest, (uint32_t)(hash.high >> 32));
    put32_big(digest + 4, (uint32_t)hash.high);
    put32_big(digest + 8, (uint32_t)(hash.low >> 32));
    put32_big(digest + 12, (uint32_t)hash.low);
}

/* The file's header, as FileMetaForm.fill makes it; its size. */
static Py_ssize_t
file_header(const Plan *plan, const Taken *taken, const unsigned char *receipt, unsigned char *out)
{
    static const unsigned char element[] = {0x02, 0x00, 0x03, 0x00, 'U', 'I'};
    Py_ssize_t even = (taken->uid_size + 1) & ~1, at = plan->before_size;
    uint64_t length = (uint64_t)taken->length;
    memcpy(out, plan->before, (size_t)at);
    memcpy(out + at, element, sizeof element);
    out[at + 6] = (unsigned char)even;
    out[at + 7] = 0;
    memcpy(out + at + 8, taken->uid, (size_t)taken->uid_size);
    if (even != taken->uid_size)
        out[at + 8 + taken->uid_size] = 0;
    at += 8 + even;
    memcpy(out + at, plan->after, (size_t)plan->after_size);
    at += plan->after_size;
    out[at] = 1; /* the seal: whole */
    memcpy(out + at + 1, receipt, 16);
    memcpy(out + at + 17, plan->association, 16);
    put32(out + at + 33, (uint32_t)length);
    put32(out + at + 37, (uint32_t)(length >> 32));
    memcpy(out + at + 41, taken->digest, 16);
    memcpy(out + at + 57, &taken->received, 8);
    out[at + 65] = 0;
    at += PRIVATE;
    put32(out + 140, (uint32_t)(at - 144)); /* the group length */
    return at;
}

/* Header and pieces, in portions; 0, or errno. */
static int
write_all(int fd, const unsigned char *header, Py_ssize_t header_size, const Reader *r)
{
    struct iovec parts[16];
    int piece = -1, count;
    Py_ssize_t done = 0; /* of that piece */
    while (piece < r->count) {
        Py_ssize_t room = AT_ONCE;
        int next = piece;
        Py_ssize_t from = done;
        ssize_t written;
        for (count = 0; count < 16 && room > 0 && next < r->count;) {
            const unsigned char *start = next < 0 ? header : r->data + r->pieces[2 * next];
            Py_ssize_t size = next < 0 ? header_size : r->pieces[2 * next + 1] - r->pieces[2 * next];
            Py_ssize_t part = size - from;
            if (part > room) {
                if (count && part <= AT_ONCE)
                    break; /* it begins the next portion */
                part = room;
            }
            parts[count].iov_base = (void *)(start + from);
            parts[count++].iov_len = (size_t)part;
            room -= part;
            from += part;
            if (from == size) {
                next++;
                from = 0;
            }
        }
        written = writev(fd, parts, count);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (written == 0)
            return ENOSPC;
        while (written > 0 || (piece < r->count && piece >= 0 && done == r->pieces[2 * piece + 1] - r->pieces[2 * piece])) {
            Py_ssize_t size = piece < 0 ? header_size : r->pieces[2 * piece + 1] - r->pieces[2 * piece];
            if (written < size - done) {
                done += written;
                break;
            }
            written -= size - done;
            done = 0;
            piece++;
        }
    }
    return 0;
}

/* Make the file of the next image; -1 if that is not so simple. */
static int
make_file(const Plan *plan, const unsigned char *receipt)
{
    static const char digits[] = "0123456789abcdef";
    char path[4096];
    size_t size = strlen(plan->folder);
    int i;
    if (size + 40 > sizeof path)
        return -1;
    memcpy(path, plan->folder, size);
    for (i = 0; i < 16; i++) {
        path[size++] = digits[receipt[i] >> 4];
        path[size++] = digits[receipt[i] & 15];
    }
    memcpy(path + size, ".dcm", 5);
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
}

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

/* -- many images ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const unsigned char *receipts; /* of the files that are made or to be made */
    int fds[MOST];                 /* -1: to be made */
    int files, most;
    double wait; /* seconds that an image which was taken may wait for company */
    Py_ssize_t room;
    const volatile unsigned char *stop; /* nothing may be answered any more */
    Taken taken[MOST];
    int count;
    unsigned char *values;
    Py_ssize_t used;
    unsigned char owed[512]; /* of an answer */
    Py_ssize_t owed_size;
    int failed, failed_errno; /* WROTE, SYNCED; 0: nothing */
    int blocked;              /* the next file could not be made */
} Job;

/* Whether the message that was just read whole is an image like the others, and may be taken. */
static int
is_alike(const Plan *plan, Reader *r, Job *job, Command *command)
{
    Taken *taken = &job->taken[job->count];
    Py_ssize_t size = 0, first;
    int i;
    if (r->context != plan->context || r->count < 1 || *job->stop)
        return 0;
    for (i = 0; i < r->count; i++)
        size += r->pieces[2 * i + 1] - r->pieces[2 * i];
    if (size > plan->most || size > job->room)
        return 0;
    if (!plain_command(plan, r->data + r->command, r->command_end - r->command, command))
        return 0;
    first = r->pieces[1] - r->pieces[0];
    taken->values = job->used;
    taken->values_size = compare(plan, r->data + r->pieces[0], first, command->instance, command->uid_size,
                                 job->values + job->used, MOST_VALUES - job->used, &taken->changed);
    if (taken->values_size < 0)
        return 0;
    taken->length = size;
    taken->uid_size = (int)command->uid_size;
    memcpy(taken->uid, command->instance, (size_t)command->uid_size);
    return 1;
}

/* Store and answer it; 0: it could not be stored, and is not answered. */
static int
take(const Plan *plan, Reader *r, Job *job, const Command *command, int sync)
{
    Taken *taken = &job->taken[job->count];
    const unsigned char *receipt = job->receipts + 16 * job->count;
    unsigned char header[MOST_META];
    struct timespec t;
    struct stat found;
    int fd = job->fds[job->count];
    digest_of(plan, r, taken->digest);
    clock_gettime(CLOCK_REALTIME, &t);
    taken->received = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    taken->offset = file_header(plan, taken, receipt, header);
    job->failed_errno = write_all(fd, header, taken->offset, r);
    if (job->failed_errno) {
        job->failed = WROTE;
        return 0;
    }
    if (sync && fdatasync(fd) != 0) {
        static const unsigned char open_seal = 2;
        job->failed_errno = errno;
        /* Memory may show what the disk has not: it must not be taken for whole after this process. */
        if (pwrite(fd, &open_seal, 1, taken->offset - PRIVATE) != 1)
            job->failed_errno = EIO;
        job->failed = SYNCED;
        return 0;
    }
    /* Made ahead, it may have waited: what has no name is gone with its last descriptor. */
    if (fstat(fd, &found) != 0 || found.st_nlink == 0 || *job->stop) {
        job->failed = WROTE;
        return 0;
    }
    close(fd);
    job->fds[job->count] = -1;
    job->used += taken->values_size;
    job->room -= taken->length;
    job->count++;
    job->owed_size = answer(r->fd, plan, command, job->owed);
    return 1;
}

/* Read messages and take those that are alike, until one is not, or one of the limits is reached; the code of the last. */
static int
work(const Plan *plan, Reader *r, Job *job, int sync)
{
    double idle = r->deadline;
    for (;;) {
        Command command;
        int code = STOPPED;
        r->command = r->command_end = -1;
        r->count = 0;
        r->pdv_left = 0;
        r->last = 0;
        r->deadline = idle;
        if (job->count < job->files && job->fds[job->count] < 0 && !sync) {
            job->fds[job->count] = make_file(plan, job->receipts + 16 * job->count);
            job->blocked = job->fds[job->count] < 0;
        }
        if (job->count && (job->owed_size || job->count == job->most || job->count == job->files || job->blocked))
            return STOPPED; /* nothing is read: the rows are to be written, or the answer sent, first */
        if (r->start == r->end)
            r->start = r->end = 0;
        else if (r->start > r->size / 4) {
            memmove((void *)r->data, r->data + r->start, (size_t)(r->end - r->start));
            r->end -= r->start;
            r->start = 0;
        }
        r->late = 0;
        if (read_command(r)) {
            code = read_data(r);
            if (code == STOPPED && r->late)
                return MORE; /* it goes on as any other, once the rows of those before are on their way */
        }
        if (code != WHOLE || job->fds[job->count] < 0 || !is_alike(plan, r, job, &command) ||
            !take(plan, r, job, &command, sync))
            return code;
        if (job->count == 1)
            r->look = now() + job->wait;
    }
}

PyDoc_STRVAR(receive_doc,
"receive(plan, fd, buffer, start, end, max_pdu, busy, deadline, slowest, sync, receipts, fds, most, wait, room, stop)\n"
"\n"
"Read messages from the beginning of one on, and take the images among them that are alike, until something else comes: at\n"
"most so many, and `wait` seconds after the first at the latest. `receipts` has 16 bytes for each file that may be filled, `fds`\n"
"its descriptor, or -1 if it is to be made. `stop` is a byte that ends it when it is set.\n"
"\n"
"Returns (state, taken, files, owed, failed, errno): the state is what fast.receive would return of the message that was not\n"
"taken; `taken` are (SOP instance UID, length, digest, offset, received, changed) in the order of the receipts, with changed\n"
"as ((number of the element, value), ...); `files` the descriptors now, -1 for those that are not open; `owed` is what is\n"
"still to be sent of the last answer; `failed` says that the message was not taken because its file could not be written (1) or\n"
"synced (2): it is the one of the first receipt behind those taken, and still open.");

static PyObject *
changed_of(const unsigned char *p, int count)
{
    PyObject *all = PyTuple_New(count);
    int i;
    for (i = 0; all != NULL && i < count; i++) {
        uint32_t size = little32(p + 4);
        PyObject *one = Py_BuildValue("(Iy#)", (unsigned)little32(p), (const char *)p + 8, (Py_ssize_t)size);
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
        p += 8 + size;
    }
    return all;
}

static PyObject *
taken_of(const Job *job)
{
    PyObject *all = PyTuple_New(job->count);
    int i;
    for (i = 0; all != NULL && i < job->count; i++) {
        const Taken *t = &job->taken[i];
        PyObject *one = Py_BuildValue("(s#ny#ndN)", (const char *)t->uid, (Py_ssize_t)t->uid_size, t->length,
                                      (const char *)t->digest, (Py_ssize_t)16, t->offset, t->received,
                                      changed_of(job->values + t->values, t->changed));
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *
numbers(const Py_ssize_t *from, int count)
{
    PyObject *all = PyTuple_New(count);
    int i;
    for (i = 0; all != NULL && i < count; i++) {
        PyObject *one = PyLong_FromSsize_t(from[i]);
        if (one == NULL || PyTuple_SetItem(all, i, one) < 0)
            Py_CLEAR(all);
    }
    return all;
}

static PyObject *
receive(PyObject *module, PyObject *args)
{
    PyObject *capsule, *result = NULL;
    Plan *plan;
    Reader *r = NULL;
    Job *job = NULL;
    Py_buffer buffer, receipts, fds, stop;
    int fd, sync, most, code, i;
    Py_ssize_t start, end, max_pdu, room, files[MOST];
    double busy, deadline, slowest, wait;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oiw*nnndddpy*y*idny*", &capsule, &fd, &buffer, &start, &end, &max_pdu, &busy, &deadline,
                          &slowest, &sync, &receipts, &fds, &most, &wait, &room, &stop))
        return NULL;
    plan = PyCapsule_GetPointer(capsule, NAME);
    if (plan == NULL)
        goto done;
    if (start < 0 || start > end || end > buffer.len || !(slowest > 0) || receipts.len % 16 || receipts.len / 16 > MOST ||
        fds.len != receipts.len / 16 * (Py_ssize_t)sizeof(int) || stop.len < 1 || most < 1) {
        PyErr_SetString(PyExc_ValueError, "numbers that do not fit together");
        goto done;
    }
    r = calloc(1, sizeof *r);
    job = calloc(1, sizeof *job);
    if (r == NULL || job == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    r->fd = fd;
    r->data = buffer.buf;
    r->size = buffer.len;
    r->start = start;
    r->end = end;
    r->max_pdu = max_pdu;
    r->busy = busy;
    r->deadline = deadline;
    r->slowest = slowest;
    job->receipts = receipts.buf;
    job->files = (int)(receipts.len / 16);
    memcpy(job->fds, fds.buf, (size_t)fds.len);
    job->most = most;
    job->wait = wait;
    job->room = room;
    job->stop = stop.buf;
    job->values = plan->values;
    Py_BEGIN_ALLOW_THREADS
    code = work(plan, r, job, sync);
    Py_END_ALLOW_THREADS
    for (i = 0; i < job->files; i++)
        files[i] = job->fds[i];
    result = Py_BuildValue(
        "((iinnnniinddnnN)NNy#ii)", code, r->error, r->start, r->end, r->pdu_left, r->pdv_left, r->last, r->context,
        r->moved, r->began, r->deadline, r->command, r->command_end, numbers(r->pieces, 2 * r->count), taken_of(job),
        numbers(files, job->files), (const char *)job->owed, job->owed_size, job->failed, job->failed_errno);
done:
    free(job);
    free(r);
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&receipts);
    PyBuffer_Release(&fds);
    PyBuffer_Release(&stop);
    return result;
}

/* -- plans --------------------------------------------------------------------------------------------------------------------- */

static void
destroy(PyObject *capsule)
{
    forget(PyCapsule_GetPointer(capsule, NAME));
}

static unsigned char *
copy_of(const char *data, Py_ssize_t size)
{
    unsigned char *copy = malloc((size_t)size + 1);
    if (copy != NULL) {
        memcpy(copy, data, (size_t)size);
        copy[size] = 0;
    }
    return copy;
}

/* Whether the elements lie one behind the other in a header of this size. */
static int
fits(const Plan *plan)
{
    Py_ssize_t i, at = 0;
    for (i = 0; i < plan->count; i++) {
        const Element *e = &plan->elements[i];
        if (e->at != at || e->length_at < 4 || e->value_at < e->length_at + 2 || e->value_at > e->size || e->kind > INSTANCE ||
            (e->value_at - e->length_at != 2 && e->value_at - e->length_at != 4) || e->size > plan->head_size - at)
            return 0;
        at += e->size;
    }
    return at == plan->head_size;
}

PyDoc_STRVAR(plan_doc,
"plan(context, explicit, most, head, stop, elements, sop_class, before, after, association, folder)\n"
"\n"
"What images are compared with and how they are stored: see Likeness for head (the header), stop (how the element behind it\n"
"begins) and elements (at, size, length_at, value_at, kind of each, as five numbers of 32 bits); `sop_class` as in the\n"
"command, `before` and `after` what the file meta has around the SOP instance UID, up to the private element's value.");

static PyObject *
make_plan(PyObject *module, PyObject *args)
{
    const char *head, *stop, *elements, *sop_class, *before, *after, *association, *folder;
    Py_ssize_t head_size, stop_size, elements_size, class_size, before_size, after_size, association_size, most;
    int context, explicit_vr;
    Plan *plan;
    PyObject *capsule;
    (void)module;
    if (!PyArg_ParseTuple(args, "ipny#y#y#y#y#y#y#s", &context, &explicit_vr, &most, &head, &head_size, &stop, &stop_size,
                          &elements, &elements_size, &sop_class, &class_size, &before, &before_size, &after, &after_size,
                          &association, &association_size, &folder))
        return NULL;
    if (context < 0 || context > 255 || association_size != 16 || class_size < 1 || class_size > LONGEST_UID || class_size & 1 ||
        before_size < 144 || before_size + after_size + 8 + LONGEST_UID + PRIVATE > MOST_META || stop_size < 4 ||
        stop_size > 8 || elements_size % (Py_ssize_t)sizeof(Element)) {
        PyErr_SetString(PyExc_ValueError, "sizes that do not fit together");
        return NULL;
    }
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return PyErr_NoMemory();
    plan->context = context;
    plan->explicit_vr = explicit_vr;
    plan->most = most;
    plan->head = malloc((size_t)(head_size + stop_size));
    plan->head_size = head_size;
    plan->stop_size = stop_size;
    plan->elements = (Element *)copy_of(elements, elements_size);
    plan->count = elements_size / (Py_ssize_t)sizeof(Element);
    plan->sop_class = copy_of(sop_class, class_size);
    plan->class_size = class_size;
    plan->before = copy_of(before, before_size);
    plan->before_size = before_size;
    plan->after = copy_of(after, after_size);
    plan->after_size = after_size;
    memcpy(plan->association, association, 16);
    plan->folder = (char *)copy_of(folder, (Py_ssize_t)strlen(folder));
    plan->values = malloc(MOST_VALUES);
    plan->state = xxh3.create();
    if (!plan->head || !plan->elements || !plan->sop_class || !plan->before || !plan->after || !plan->folder || !plan->values ||
        !plan->state) {
        forget(plan);
        return PyErr_NoMemory();
    }
    memcpy(plan->head, head, (size_t)head_size);
    memcpy(plan->head + head_size, stop, (size_t)stop_size);
    if (!fits(plan)) {
        forget(plan);
        PyErr_SetString(PyExc_ValueError, "elements that do not lie one behind the other");
        return NULL;
    }
    capsule = PyCapsule_New(plan, NAME, destroy);
    if (capsule == NULL)
        forget(plan);
    return capsule;
}

PyDoc_STRVAR(match_doc,
"match(plan, data, uid)\n\nThe changed values of a data set as in `receive`, or None: it is not alike. For tests.");

static PyObject *
match(PyObject *module, PyObject *args)
{
    PyObject *capsule, *result = NULL;
    const char *data, *uid;
    Py_ssize_t size, uid_size, used;
    unsigned char *values;
    Plan *plan;
    int changed;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy#y#", &capsule, &data, &size, &uid, &uid_size))
        return NULL;
    plan = PyCapsule_GetPointer(capsule, NAME);
    if (plan == NULL)
        return NULL;
    values = malloc(MOST_VALUES);
    if (values == NULL)
        return PyErr_NoMemory();
    used = compare(plan, (const unsigned char *)data, size, (const unsigned char *)uid, uid_size, values, MOST_VALUES, &changed);
    if (used < 0) {
        result = Py_None;
        Py_INCREF(result);
    }
    else
        result = changed_of(values, changed);
    free(values);
    return result;
}

static PyMethodDef methods[] = {
    {"receive", receive, METH_VARARGS, receive_doc},
    {"plan", make_plan, METH_VARARGS, plan_doc},
    {"match", match, METH_VARARGS, match_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_alike", "Images that are like the one before, compiled; see alike.py.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__alike(void)
{
    PyObject *module;
    if (!find_digest()) {
        PyErr_SetString(PyExc_ImportError, "libxxhash.so.0 (0.8 or newer) is not there");
        return NULL;
    }
    module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0)
        Py_CLEAR(module);
    return module;
}
