/* Storing one image that is alike: its file is filled while it comes in, as Writer.put and Intake do it.
 * What fails is told, and left to alike.py; nothing here removes a file.
 *
 * File meta: PS3.10 section 7.1, and part10.py for what it holds of ours.
 */
#ifndef SCANPOST_ALIKE_STORE_H
#define SCANPOST_ALIKE_STORE_H

#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "_alike_laps.h"
#include "_alike_plan.h"

enum { WROTE = 1, SYNCED = 2, FOLDER = 3 }; /* what failed; see receive() */
enum { SEAL_WHOLE = 1, SEAL_OPEN = 2 }; /* as in part10.py */

enum {
    MOST = 64,                   /* images of one call */
    MOST_META = 8192,            /* as in part10.py */
    PRIVATE = 66,                /* bytes of the private element there */
    EARLY = 160 * 1024,          /* bytes of an image that are stored while the next are on their way; a smaller one comes whole */
    AT_ONCE = 512 * 1024,        /* bytes of a write */
    BLOCK = 4096,                /* bytes in which room is given */
    PORTION = 128 * 1024         /* and so on: a write ends at a multiple of it in the file, since the page cache takes whole
                                  * large folios then, and begins as soon as so much is there */
};

typedef struct {
    unsigned char uid[LONGEST_UID];
    int uid_size;
    unsigned char digest[16];
    Py_ssize_t length, offset; /* of the data set, and where it begins in the file */
    double received;
    Py_ssize_t values, values_size; /* where its changed values lie: number of the element, size, bytes, and so on */
    int changed;
} Taken;


typedef struct {
    const unsigned char *receipts; /* of the files that are made or to be made */
    int fds[MOST];                 /* those from `made` on are still to be made */
    int files, made, ready;        /* the names of those below `ready` are as durable as promised */
    int ahead;                     /* files to be made at a time, where their names are synced; 0: none */
    double wait;     /* seconds that an image which was taken may wait for company, and for one that is on its way then */
    double due;      /* until when the first of them does */
    Py_ssize_t room; /* bytes that may still be taken */
    const volatile unsigned char *halt, *outdated; /* nothing may be taken while one of these bytes is set */
    Py_ssize_t halts, outdateds;
    Taken taken[MOST];
    int count;
    unsigned char *values;
    Py_ssize_t used;
    unsigned char owed[512]; /* of an answer */
    Py_ssize_t owed_size;
    int failed, failed_errno; /* WROTE, SYNCED; 0: nothing */
    /* The image under way: */
    Command command;
    int started, early;       /* its file was begun; before all of it was there */
    unsigned char header[MOST_META];
    Py_ssize_t header_size;
    Py_ssize_t done, digested; /* bytes of the data set; `done` begins with the header, below 0 */
    Py_ssize_t reserved;       /* bytes that the file system holds ready for its file; 0: none */
} Job;

/* The parts of the data set between two of its bytes, as many as fit into `parts`; how many. */
static int
parts_of(const Reader *r, Py_ssize_t at, Py_ssize_t until, struct iovec *parts, int most)
{
    Py_ssize_t start = 0;
    int i, count = 0;
    for (i = 0; i < r->count && count < most && at < until; i++) {
        Py_ssize_t end = start + r->pieces[2 * i + 1] - r->pieces[2 * i];
        if (at < end) {
            Py_ssize_t stop = end < until ? end : until;
            parts[count].iov_base = (void *)(r->data + r->pieces[2 * i] + (at - start));
            parts[count++].iov_len = (size_t)(stop - at);
            at = stop;
        }
        start = end;
    }
    return count;
}

static void
set_digest(unsigned char *digest, Hash hash)
{
    put32_big(digest, (uint32_t)(hash.high >> 32));
    put32_big(digest + 4, (uint32_t)hash.high);
    put32_big(digest + 8, (uint32_t)(hash.low >> 32));
    put32_big(digest + 12, (uint32_t)hash.low);
}

/* The value of the private element, which is the end of the file's header. */
static void
seal(const Plan *plan, const Taken *taken, const unsigned char *receipt, int how, unsigned char *out)
{
    uint64_t length = how == SEAL_WHOLE ? (uint64_t)taken->length : 0;
    memset(out, 0, PRIVATE);
    out[0] = (unsigned char)how;
    memcpy(out + 1, receipt, 16);
    memcpy(out + 17, plan->association, 16);
    put32(out + 33, (uint32_t)length);
    put32(out + 37, (uint32_t)(length >> 32));
    if (how == SEAL_WHOLE)
        memcpy(out + 41, taken->digest, 16);
    memcpy(out + 57, &taken->received, 8);
}

/* The file's header, as FileMetaForm.fill makes it; its size. */
static Py_ssize_t
file_header(const Plan *plan, const Taken *taken, const unsigned char *receipt, int how, unsigned char *out)
{
    static const unsigned char element[] = {0x02, 0x00, 0x03, 0x00, 'U', 'I'};
    Py_ssize_t even = (taken->uid_size + 1) & ~1, at = plan->before_size;
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
    seal(plan, taken, receipt, how, out + at);
    at += PRIVATE;
    put32(out + 140, (uint32_t)(at - 144)); /* the group length */
    return at;
}

/* Make the file of an image; -1: that is not so simple. */
static int
make_file(const Plan *plan, const unsigned char *receipt)
{
    static const char digits[] = "0123456789abcdef";
    char name[37];
    int i;
    for (i = 0; i < 16; i++) {
        name[2 * i] = digits[receipt[i] >> 4];
        name[2 * i + 1] = digits[receipt[i] & 15];
    }
    memcpy(name + 32, ".dcm", 5);
    return openat(plan->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
}

/* Make the names of the files that were made since the last time durable. 0: that failed, and none may be filled. */
static int
sync_folder(const Plan *plan, Job *job)
{
    if (job->made > job->ready && fsync(plan->folder) != 0) {
        job->failed = FOLDER;
        job->failed_errno = errno;
        return 0;
    }
    job->ready = job->made;
    return 1;
}

/* While the sender prepares the next image: see to it that there is a file for it. 0: there is none. */
static int
prepare(const Plan *plan, Job *job, int sync)
{
    int wanted = sync ? 2 : job->made > job->count ? 0 : 1;
    while (wanted-- > 0 && job->made < job->files && (!sync || job->made - job->ready < job->ahead)) {
        job->fds[job->made] = make_file(plan, job->receipts + 16 * job->made);
        if (job->fds[job->made] < 0) {
            job->files = job->made; /* no more, then */
            break;
        }
        job->made++;
    }
    if (!sync)
        job->ready = job->made;
    else if ((job->count >= job->ready || job->made - job->ready >= job->ahead) && !sync_folder(plan, job))
        return 0;
    return job->count < job->ready;
}

static int
halted(const Job *job)
{
    Py_ssize_t i;
    for (i = 0; i < job->halts; i++)
        if (job->halt[i])
            return 1;
    for (i = 0; i < job->outdateds; i++)
        if (job->outdated[i])
            return 1;
    return 0;
}

static Py_ssize_t
size_of(const Reader *r)
{
    Py_ssize_t size = 0;
    int i;
    for (i = 0; i < r->count; i++)
        size += r->pieces[2 * i + 1] - r->pieces[2 * i];
    return size;
}

/* Whether the message under way is an image like the others, as far as its header, and may be taken. */
static int
is_alike(const Plan *plan, const Reader *r, Job *job)
{
    Taken *taken = &job->taken[job->count];
    struct timespec t;
    if (r->context != plan->context || r->count < 1 || halted(job))
        return 0;
    if (!plain_command(plan, r->data + r->command, r->command_end - r->command, &job->command))
        return 0;
    taken->values = job->used;
    taken->values_size = compare(plan, r->data + r->pieces[0], r->pieces[1] - r->pieces[0], job->command.instance,
                                 job->command.uid_size, job->values + job->used, MOST_VALUES - job->used, &taken->changed);
    if (taken->values_size < 0)
        return 0;
    taken->uid_size = (int)job->command.uid_size;
    memcpy(taken->uid, job->command.instance, (size_t)taken->uid_size);
    clock_gettime(CLOCK_REALTIME, &t);
    taken->received = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    lap(COMPARE);
    return 1;
}

/* The place in the data set at or before `until` that is a multiple of PORTION in the file. */
static Py_ssize_t
whole_portions(const Job *job, Py_ssize_t until)
{
    return (job->header_size + until) / PORTION * PORTION - job->header_size;
}

/* Append header and data set up to `until` to the file, in portions; 0: that failed. */
static int
write_on(const Reader *r, Job *job, Py_ssize_t until)
{
    while (job->done < until) {
        struct iovec parts[16];
        int count = 0;
        Py_ssize_t from = job->done < 0 ? 0 : job->done, most = whole_portions(job, job->done + AT_ONCE);
        ssize_t written;
        if (job->done < 0) {
            parts[0].iov_base = job->header + job->header_size + job->done;
            parts[0].iov_len = (size_t)-job->done;
            count = 1;
        }
        count += parts_of(r, from, most < until ? most : until, parts + count, 15);
        written = writev(job->fds[job->count], parts, count);
        if (written > 0)
            job->done += written;
        else if (written == 0 || errno != EINTR) {
            job->failed = WROTE;
            job->failed_errno = written == 0 ? ENOSPC : errno;
            return 0;
        }
    }
    lap(WRITE);
    return 1;
}

/* Begin the file of the image under way, if it is one to take: 0 if not. */
static int
begin(const Plan *plan, const Reader *r, Job *job)
{
    if (!is_alike(plan, r, job))
        return 0;
    job->digested = 0;
    job->started = 1;
    xxh3.reset(plan->state);
    return 1;
}

static void
digest_on(const Plan *plan, const Reader *r, Job *job, Py_ssize_t until)
{
    struct iovec parts[16];
    while (job->digested < until) {
        int i, count = parts_of(r, job->digested, until, parts, 16);
        for (i = 0; i < count; i++) {
            xxh3.update(plan->state, parts[i].iov_base, parts[i].iov_len);
            job->digested += (Py_ssize_t)parts[i].iov_len;
        }
    }
    lap(DIGEST);
}

static void
head_file(const Plan *plan, Job *job, int how)
{
    job->header_size = file_header(plan, &job->taken[job->count], job->receipts + 16 * job->count, how, job->header);
    job->done = -job->header_size;
}

/* Where images are of about one size, let the file system find room for the next large one at once: to look for it block by
 * block, as they are written, costs a fifth of the writing. That it does not do so is no error.
 */
static void
reserve(const Plan *plan, Job *job)
{
    job->reserved = 0;
#ifdef FALLOC_FL_KEEP_SIZE
    if (plan->lately[0] - plan->lately[1] < BLOCK && plan->lately[1] - plan->lately[0] < BLOCK && plan->lately[1] > 0 &&
        fallocate(job->fds[job->count], FALLOC_FL_KEEP_SIZE, 0, job->header_size + plan->lately[0]) == 0)
        job->reserved = job->header_size + plan->lately[0];
#else
    (void)plan;
#endif
}

/* Give back what of the room the file did not need, but for a last block. 0: that failed. */
static int
give_back(Job *job)
{
    Py_ssize_t size = job->header_size + job->done;
    if (job->reserved - size < BLOCK || ftruncate(job->fds[job->count], size) == 0)
        return 1;
    job->failed = WROTE;
    job->failed_errno = errno;
    return 0;
}

/* A part of a large image is there: store it while the next one is on its way. 0: that failed. */
static int
store_part(const Plan *plan, const Reader *r, Job *job)
{
    Py_ssize_t size = size_of(r);
    if (!job->started) {
        if (size > job->room || !begin(plan, r, job))
            return 1; /* perhaps its header is not whole yet */
        head_file(plan, job, SEAL_OPEN);
        reserve(plan, job);
        job->early = 1;
    }
    digest_on(plan, r, job, size);
    return write_on(r, job, whole_portions(job, size));
}

/* All of the image is there: 0 if it is not one to take, or could not be stored. */
static int
store_rest(const Plan *plan, const Reader *r, Job *job)
{
    Taken *taken = &job->taken[job->count];
    Py_ssize_t size = size_of(r), sealed;
    if (size > plan->most || size > job->room || (!job->started && !begin(plan, r, job)))
        return 0;
    taken->length = size;
    digest_on(plan, r, job, size);
    set_digest(taken->digest, xxh3.digest(plan->state));
    if (!job->early)
        head_file(plan, job, SEAL_WHOLE);
    taken->offset = job->header_size;
    if (!write_on(r, job, size))
        return 0;
    if (!job->early)
        return 1;
    if (!give_back(job))
        return 0;
    seal(plan, taken, job->receipts + 16 * job->count, SEAL_WHOLE, job->header);
    sealed = pwrite(job->fds[job->count], job->header, PRIVATE, taken->offset - PRIVATE);
    if (sealed != PRIVATE) {
        job->failed = WROTE;
        job->failed_errno = sealed < 0 ? errno : ENOSPC;
        return 0;
    }
    lap(WRITE);
    return 1;
}

#endif
