/* The digest of a data set, xxh3-128: functions of libxxhash, which is looked for when the module is loaded.
 */
#ifndef SCANPOST_ALIKE_DIGEST_H
#define SCANPOST_ALIKE_DIGEST_H

#include <dlfcn.h>
#include <stdint.h>

typedef struct {
    uint64_t low, high;
} Hash;

static struct {
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
    *(void **)&xxh3.create = dlsym(library, "XXH3_createState");
    *(void **)&xxh3.reset = dlsym(library, "XXH3_128bits_reset");
    *(void **)&xxh3.update = dlsym(library, "XXH3_128bits_update");
    *(void **)&xxh3.digest = dlsym(library, "XXH3_128bits_digest");
    *(void **)&xxh3.release = dlsym(library, "XXH3_freeState");
    return xxh3.create && xxh3.reset && xxh3.update && xxh3.digest && xxh3.release;
}

#endif
