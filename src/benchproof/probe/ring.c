/* A ring of requests that the kernel takes and answers, io_uring: with a request that asks for nothing, and with reads. */

#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int fd;
    uint32_t *tail, *mask;                                   /* of the submissions: ours to move */
    uint32_t *completed_head, *completed_tail, *completed_mask, *overflow;
    struct io_uring_sqe *submissions;
    struct io_uring_cqe *completions;
    uint32_t *array;
} ring;

static unsigned char *map_ring(size_t size, uint64_t offset)
{
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, (off_t)offset);
    if (mapped == MAP_FAILED) die("mapping a ring");
    return mapped;
}

int ring_open(unsigned entries)
{
    struct io_uring_params p = { 0 };
    if ((ring.fd = (int)syscall(SYS_io_uring_setup, entries, &p)) < 0) return -1;
    unsigned char *in = map_ring(p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    unsigned char *out = map_ring(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    ring.tail = (uint32_t *)(void *)(in + p.sq_off.tail), ring.mask = (uint32_t *)(void *)(in + p.sq_off.ring_mask);
    ring.array = (uint32_t *)(void *)(in + p.sq_off.array);
    ring.completed_head = (uint32_t *)(void *)(out + p.cq_off.head), ring.completed_tail = (uint32_t *)(void *)(out + p.cq_off.tail);
    ring.completed_mask = (uint32_t *)(void *)(out + p.cq_off.ring_mask), ring.overflow = (uint32_t *)(void *)(out + p.cq_off.overflow);
    ring.completions = (struct io_uring_cqe *)(void *)(out + p.cq_off.cqes);
    ring.submissions = (struct io_uring_sqe *)(void *)map_ring(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    return 0;
}

static void submit(struct io_uring_sqe request)
{
    uint32_t tail = *ring.tail, slot = tail & *ring.mask;
    ring.submissions[slot] = request;
    ring.array[slot] = slot;
    __atomic_store_n(ring.tail, tail + 1, __ATOMIC_RELEASE);
}

void ring_read(int fd, void *into, uint32_t bytes, uint64_t offset, uint64_t cookie)
{
    submit((struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = fd, .addr = (uintptr_t)into, .len = bytes, .off = offset,
                                  .user_data = cookie });
}

int ring_enter(unsigned fresh)
{
    long taken;
    do taken = syscall(SYS_io_uring_enter, ring.fd, fresh, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    while (taken < 0 && errno == EINTR);
    return (int)taken;
}

int ring_next(uint64_t *cookie, int32_t *result)
{
    uint32_t head = *ring.completed_head;
    if (__atomic_load_n(ring.completed_tail, __ATOMIC_ACQUIRE) == head) return 0;
    const struct io_uring_cqe *answer = &ring.completions[head & *ring.completed_mask];
    *cookie = answer->user_data, *result = answer->res;
    __atomic_store_n(ring.completed_head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

static void nop_prepare(void) { if (ring_open(8)) unsupported("io_uring_setup"); }

static void nop_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t cookie = S.sum + 1;
        submit((struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = cookie + (PLANTED == WRONG_ANSWER) });
        long taken = PLANTED == SKIP_WORK ? 1 : syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        uint32_t head = *ring.completed_head;
        if (taken != 1 || __atomic_load_n(ring.completed_tail, __ATOMIC_ACQUIRE) == head) { S.failures += n - i; return; }
        const struct io_uring_cqe *answer = &ring.completions[head & *ring.completed_mask];
        S.failures += answer->user_data != cookie || answer->res != 0;
        __atomic_store_n(ring.completed_head, head + 1, __ATOMIC_RELEASE);
        S.sum++;
    }
}

static void nop_finish(void)
{
    evidence("completed", S.sum);
    evidence("overflows", *ring.overflow);
    close(ring.fd);
}

const struct benchmark RINGS[] = {
    { "ring.nop", nop_prepare, nop_batch, nop_finish, 1 },
    { 0 },
};
