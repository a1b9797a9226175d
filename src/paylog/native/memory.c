/* How malloc treats blocks of some megabytes, of which a load takes and drops thousands. */
#if defined(__linux__)
#include <features.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Keep what was freed for the next block: the first touch of a fresh page costs more than filling it. */
void paylog_keep_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
#endif
}

/* Hand back what was kept: after work that took much more than what follows will. */
void paylog_release_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
