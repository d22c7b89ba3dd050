/* Where the time of an image goes, for the profile of bench/: nanoseconds by step, over all threads. Off, it costs a look.
 */
#ifndef SCANPOST_ALIKE_LAPS_H
#define SCANPOST_ALIKE_LAPS_H

#include <stdint.h>
#include <time.h>

enum { RECEIVE, COMPARE, DIGEST, WRITE, SYNC, CLOSE, ANSWER, MAKE, LAPS }; /* bench/profile.py names them */

static struct {
    volatile int on;
    uint64_t spent[LAPS];
} laps;

static _Thread_local uint64_t lap_began;

/* What passed since the last call in this thread was that step's; LAPS: nobody's. */
static void
lap(int step)
{
    struct timespec t;
    uint64_t moment;
    if (!laps.on)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    moment = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    if (step < LAPS && lap_began)
        __atomic_fetch_add(&laps.spent[step], moment - lap_began, __ATOMIC_RELAXED);
    lap_began = moment;
}

#endif
