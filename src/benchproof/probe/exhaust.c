/* Takes what there is until no more is given: memory, or room in a file system. Bounded by the caller, and it says how
   far it came. It is a fault that a laboratory plants in one sandbox to see whether the others suffer. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

/* Content that no page is shared for and nothing compresses. */
static void scramble(unsigned char *to, size_t size)
{
    static uint64_t x = 88172645463325252u;
    for (size_t i = 0; i + sizeof x <= size; i += sizeof x) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(to + i, &x, sizeof x);
    }
}

static int told(uint64_t taken, int error)
{
    printf("%" PRIu64 " %s\n", taken, error ? strerror(error) : "limit");
    return fflush(stdout) ? 1 : 0;
}

int hoard(uint64_t bytes)
{
    for (uint64_t taken = 0;; taken += CHUNK) {
        if (taken >= bytes) return told(taken, 0);
        unsigned char *page = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) return told(taken, errno);
        scramble(page, CHUNK);
    }
}

/* With 0 bytes it gives the room back. */
int fill_up(const char *path, uint64_t bytes)
{
    static unsigned char chunk[CHUNK];
    uint64_t taken = 0;
    int error = 0, fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) die(path);
    while (!error && taken < bytes) {
        scramble(chunk, CHUNK);
        ssize_t n = write(fd, chunk, bytes - taken < CHUNK ? bytes - taken : CHUNK);
        if (n > 0) taken += (uint64_t)n;
        else if (n == 0 || errno != EINTR) error = n ? errno : EIO;
    }
    if (!error && bytes && fsync(fd) && errno != EINVAL) error = errno;
    close(fd);
    return told(taken, error);
}
